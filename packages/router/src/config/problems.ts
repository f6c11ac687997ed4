import type { z } from 'zod';
import { isJsonObject, type JsonObject } from '../core/json.ts';
import type { ConfigProblem } from './config-error.ts';
import { configJsonSchema, keysAt } from './json-schema.ts';
import { nearest } from './nearest.ts';

/** Where a value came from, for messages. */
export interface Places {
  /** `PORT` or `lfo.yaml:3 server.port`. */
  of(path: readonly PropertyKey[]): string;
}

/** Turns what zod found into sentences that say what is allowed; values are shown only where they cannot be secret. */
export function describeIssues(issues: readonly z.core.$ZodIssue[], value: unknown, places: Places): ConfigProblem[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') return unknownKeys(issue.keys, issue.path, value, places);
    return [{ where: places.of(issue.path), message: expectation(issue, valueAt(value, issue.path)) }];
  });
}

function unknownKeys(
  keys: readonly string[],
  path: readonly PropertyKey[],
  value: unknown,
  places: Places,
): ConfigProblem[] {
  const schema: JsonObject = configJsonSchema();
  const kindOf = (depth: number): unknown => valueAt(value, [...path.slice(0, depth), 'kind']);
  const allowed = keysAt(schema, path, kindOf);
  return keys.map((key) => {
    const suggestion = nearest(key, allowed);
    const hint = suggestion === undefined ? `allowed here: ${allowed.join(', ')}` : `did you mean ${suggestion}?`;
    return { where: places.of([...path, key]), message: `is not a key LFO knows; ${hint}` };
  });
}

function expectation(issue: z.core.$ZodIssue, received: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      if (received === undefined) return 'is missing';
      return `must be ${typeNames[issue.expected] ?? issue.expected}${shown(received)}`;
    case 'too_small':
      if (issue.origin === 'string') return 'must not be empty';
      return `must be at least ${issue.minimum}${shown(received)}`;
    case 'too_big':
      return `must be at most ${issue.maximum}${shown(received)}`;
    case 'invalid_value':
      return `must be ${issue.values.map(String).join(' or ')}${shown(received, true)}`;
    case 'invalid_union':
      return received === undefined ? `is missing: ${backendKinds}` : `must be ${backendKinds}`;
    default:
      return issue.message;
  }
}

const backendKinds = 'openai-compatible, lfo or gemini';

const typeNames: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  object: 'a group of keys',
};

function shown(received: unknown, isPublic = false): string {
  if (typeof received === 'number' || typeof received === 'boolean') return `, not ${received}`;
  if (isPublic && typeof received === 'string' && received.length <= 40) return `, not ${JSON.stringify(received)}`;
  return '';
}

/** The value at a path of plain data, `undefined` where there is none. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let current = value;
  for (const part of path) {
    if (Array.isArray(current) && typeof part === 'number') current = current[part];
    else if (isJsonObject(current) && Object.hasOwn(current, part)) current = current[String(part)];
    else return undefined;
  }
  return current;
}

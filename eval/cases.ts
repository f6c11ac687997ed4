import { existsSync, readdirSync } from 'node:fs';
import { isJsonObject, type JsonObject, type JsonValue } from '@lfo/router/src/core/json.ts';
import type { ChatRequest, Message, ResponseFormat, ToolSpec } from '@lfo/router/src/core/request.ts';
import { readLines } from './reference-data.ts';

/** One request to answer. */
export interface EvalCase {
  readonly id: string;
  readonly category: string;
  readonly request: ChatRequest;
}

/**
 * Reads the cases of a folder by id: BFCL's own files (`BFCL_v4_*.json`) and `questions.jsonl` (also packed), whose lines
 * are `{id, category, question}` or `{id, category, messages, tools?, response_format?}`.
 */
export function readCases(folder: URL): ReadonlyMap<string, EvalCase> {
  const names = readdirSync(folder).filter((name) => /^BFCL_v\d_.*\.json$|^questions\.jsonl(?:\.gz)?$/.test(name));
  const cases = names.flatMap((name) => {
    const category = /^BFCL_v\d_(.*)\.json$/.exec(name)?.[1];
    return readLines(new URL(name, folder)).map((row) =>
      category === undefined ? plainCase(row) : bfclCase(row, category),
    );
  });
  return new Map(cases.map((one) => [one.id, one]));
}

/** What the leaderboard accepts as right calls, by id; no entry where no call is right. */
export function readTruths(folder: URL): ReadonlyMap<string, readonly JsonValue[]> {
  if (!existsSync(new URL('possible_answer/', folder))) return new Map();
  const answers = new URL('possible_answer/', folder);
  const rows = readdirSync(answers).flatMap((name) => readLines(new URL(name, answers)));
  return new Map(rows.map((row) => [text(row['id']), list(row['ground_truth'])]));
}

function bfclCase(row: JsonObject, category: string): EvalCase {
  const turns = list(list(row['question'])[0]).filter(isJsonObject);
  const id = text(row['id']);
  return { id, category, request: requestOf(id, turns.flatMap(messageOf), list(row['function']).flatMap(toolOf)) };
}

function plainCase(row: JsonObject): EvalCase {
  const id = typeof row['id'] === 'number' ? String(row['id']) : text(row['id']);
  const messages = Array.isArray(row['messages'])
    ? row['messages'].filter(isJsonObject).flatMap(messageOf)
    : [userMessage(text(row['question']))];
  const format = row['response_format'];
  return {
    id,
    category: text(row['category']),
    request: {
      ...requestOf(id, messages, list(row['tools']).flatMap(toolOf)),
      ...(isJsonObject(format) && { responseFormat: formatOf(format) }),
    },
  };
}

function requestOf(id: string, messages: readonly Message[], tools: readonly ToolSpec[]): ChatRequest {
  return {
    id,
    model: 'lfo-auto',
    messages,
    tools,
    sampling: { stop: [], logprobs: false },
    stream: true,
    hints: { mode: 'auto' },
    bodyBytes: JSON.stringify({ messages, tools }).length,
  };
}

function userMessage(content: string): Message {
  return { role: 'user', content: [{ type: 'text', text: content }] };
}

function messageOf(turn: JsonObject): readonly Message[] {
  const parts = Array.isArray(turn['content'])
    ? turn['content']
        .filter(isJsonObject)
        .map((part) => text(part['text']))
        .join('')
    : text(turn['content']);
  const content = [{ type: 'text' as const, text: parts }];
  switch (turn['role']) {
    case 'system':
    case 'developer':
      return [{ role: turn['role'], content }];
    case 'assistant':
      return [{ role: 'assistant', content, toolCalls: list(turn['tool_calls']).flatMap(toolCallOf) }];
    case 'tool':
      return [{ role: 'tool', toolCallId: text(turn['tool_call_id']), content }];
    default:
      return [{ role: 'user', content }];
  }
}

function toolCallOf(value: JsonValue): Array<{ id: string; name: string; arguments: string }> {
  if (!isJsonObject(value)) return [];
  const called = isJsonObject(value['function']) ? value['function'] : value;
  const given = called['arguments'] ?? {};
  return [
    {
      id: text(value['id']),
      name: text(called['name']),
      arguments: typeof given === 'string' ? given : JSON.stringify(given),
    },
  ];
}

/** Nested (`{type, function}`) or flat. The leaderboard's dots are written as `_` and its Python type names as JSON's. */
function toolOf(value: JsonValue): ToolSpec[] {
  if (!isJsonObject(value)) return [];
  const declared = isJsonObject(value['function']) ? value['function'] : value;
  const parameters = standardTypes(declared['parameters'] ?? {});
  const description = declared['description'];
  return [
    {
      name: text(declared['name']).replaceAll('.', '_'),
      ...(typeof description === 'string' && { description }),
      ...(isJsonObject(parameters) && { parameters }),
    },
  ];
}

function standardTypes(value: JsonValue): JsonValue {
  if (!isJsonObject(value)) return Array.isArray(value) ? value.map(standardTypes) : value;
  const pairs = Object.entries(value).flatMap(([key, member]) => {
    if (key !== 'type' || typeof member !== 'string') return [[key, standardTypes(member)] as const];
    return member === 'any' ? [] : [[key, typeNames.get(member) ?? member] as const];
  });
  return Object.fromEntries(pairs);
}

function formatOf(format: JsonObject): ResponseFormat {
  const schema = isJsonObject(format['json_schema']) ? format['json_schema'] : format;
  if (format['type'] === 'json_schema') {
    const body = schema['schema'];
    return { type: 'json_schema', name: text(schema['name']), ...(isJsonObject(body) && { schema: body }) };
  }
  return { type: format['type'] === 'json_object' ? 'json_object' : 'text' };
}

/** The value where it is a list, else nothing. */
export function list(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

/** The value where it is a string, else the empty one. */
export function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

const typeNames = new Map([
  ['dict', 'object'],
  ['float', 'number'],
  ['tuple', 'array'],
]);

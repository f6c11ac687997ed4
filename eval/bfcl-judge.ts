import { isJsonObject, type JsonObject, type JsonValue } from '@lfo/router/src/core/json.ts';
import type { ToolSpec } from '@lfo/router/src/core/request.ts';
import { list } from './cases.ts';
import type { WrittenCall } from './trace-file.ts';

/**
 * Whether calls are right by the rule of the Berkeley Function-Calling Leaderboard's AST checker
 * (`bfcl_eval/eval_checker/ast_eval/ast_checker.py`): as many calls as expected, matched in any order; no call where none
 * is expected.
 */
export function areRight(
  calls: readonly WrittenCall[],
  truth: readonly JsonValue[] | undefined,
  tools: readonly ToolSpec[],
): boolean {
  const expected = truth ?? [];
  if (calls.length !== expected.length) return false;
  const open = [...calls];
  return expected.every((one) => {
    const match = open.findIndex((call) => isExpected(call, one, tools));
    if (match >= 0) open.splice(match, 1);
    return match >= 0;
  });
}

/** Whether a call equals one expected call, `{name: {argument: [allowed values]}}`; `""` allows to leave it out. */
export function isExpected(call: WrittenCall, expected: JsonValue, tools: readonly ToolSpec[]): boolean {
  if (!isJsonObject(expected) || call.arguments === undefined) return false;
  const [entry] = Object.entries(expected);
  if (entry === undefined || entry[0].replaceAll('.', '_') !== call.name || !isJsonObject(entry[1])) return false;
  const allowed = entry[1];
  const given = call.arguments;
  const tool = tools.find(({ name }) => name === call.name);
  const properties = isJsonObject(tool?.parameters?.['properties']) ? tool.parameters['properties'] : {};
  if (list(tool?.parameters?.['required']).some((name) => typeof name === 'string' && !(name in given))) return false;
  return (
    Object.entries(given).every(([name, value]) => {
      const schema = properties[name];
      return isJsonObject(schema) && name in allowed && isAllowed(value, list(allowed[name]), schema);
    }) && Object.entries(allowed).every(([name, values]) => name in given || list(values).includes(''))
  );
}

function isAllowed(value: JsonValue, allowed: readonly JsonValue[], schema: JsonObject): boolean {
  const items = isJsonObject(schema['items']) ? schema['items'] : {};
  // A possible answer of another type than declared stands for a variable: it is compared as it is.
  const isVariable = !isOfType(value, schema) && allowed.some((one) => one !== '' && sameKind(one, value));
  if (!isOfType(value, schema) && !isVariable) return false;
  if (isVariable) return allowed.some((one) => sameValue(one, value));
  if (typeof value === 'string') return allowed.some((one) => typeof one === 'string' && plain(one) === plain(value));
  if (isJsonObject(value)) return allowed.some((one) => isJsonObject(one) && fitsObject(value, one));
  if (!Array.isArray(value)) return allowed.some((one) => sameValue(one, value));
  if (items['type'] === 'object') return allowed.some((one) => Array.isArray(one) && fitsObjects(value, one));
  return allowed.some((one) => Array.isArray(one) && sameValue(one, value));
}

function isOfType(value: JsonValue, { type }: JsonObject): boolean {
  switch (type) {
    case 'string':
    case 'boolean':
    case 'number':
      return typeof value === type;
    case 'integer':
      return Number.isInteger(value);
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isJsonObject(value);
    default:
      return true;
  }
}

function sameKind(one: JsonValue, other: JsonValue): boolean {
  return typeof one === typeof other && Array.isArray(one) === Array.isArray(other);
}

function fitsObjects(value: readonly JsonValue[], expected: readonly JsonValue[]): boolean {
  return (
    value.length === expected.length &&
    value.every((member, index) => {
      const one = expected[index] ?? null;
      return isJsonObject(member) && isJsonObject(one) && fitsObject(member, one);
    })
  );
}

/** Of an object each key has its own list of allowed values. */
function fitsObject(value: JsonObject, expected: JsonObject): boolean {
  return (
    Object.entries(value).every(([key, member]) =>
      list(expected[key]).some((one) =>
        isJsonObject(one) && isJsonObject(member) ? fitsObject(member, one) : sameValue(one, member),
      ),
    ) && Object.entries(expected).every(([key, values]) => key in value || list(values).includes(''))
  );
}

function sameValue(one: JsonValue, other: JsonValue): boolean {
  if (Array.isArray(one) && Array.isArray(other))
    return one.length === other.length && one.every((member, index) => sameValue(member, other[index] ?? null));
  if (isJsonObject(one) && isJsonObject(other)) {
    const keys = Object.keys(one);
    return (
      keys.length === Object.keys(other).length && keys.every((key) => sameValue(one[key] ?? null, other[key] ?? null))
    );
  }
  return typeof one === 'string' && typeof other === 'string' ? plain(one) === plain(other) : one === other;
}

function plain(value: string): string {
  return value
    .toLowerCase()
    .replaceAll(/[ ,./\-_*^]/g, '')
    .replaceAll("'", '"');
}

import { jsonrepair } from 'jsonrepair';
import { jsonExtent, memberSource } from './json-extent.ts';

/** A call as the model wrote it, arguments as JSON text of an object. */
export interface ToolCall {
  readonly name: string;
  readonly json: string;
  /** Whether the model's own text had to be repaired: broken JSON, another spelling of a name or key. Wrapping is no repair. */
  readonly repaired: boolean;
}

const nameKeys = ['name', 'tool', 'tool_name', 'function', 'function_name'];
const argumentKeys = ['arguments', 'parameters', 'args', 'input', 'arguments_json'];

/** Reads a JSON object or array as calls; undefined when it is anything else. */
export function parseJsonCalls(source: string, tools: readonly string[]): ToolCall[] | undefined {
  const parsed = parseLoosely(source);
  if (parsed === undefined) return undefined;
  if (!Array.isArray(parsed.value)) {
    const call = toCall(parsed.value, tools, parsed.repaired ? undefined : source);
    return call && [{ ...call, repaired: call.repaired || parsed.repaired }];
  }
  if (parsed.value.length === 0) return undefined;
  const sources = parsed.repaired ? [] : elementSources(source);
  const calls: ToolCall[] = [];
  for (const [index, element] of parsed.value.entries()) {
    const call = toCall(element, tools, sources[index]);
    if (call === undefined) return undefined;
    calls.push({ ...call, repaired: call.repaired || parsed.repaired });
  }
  return calls;
}

/** Broken JSON of arguments as that of the object it means; undefined where it means none. */
export function repairedArguments(json: string): string | undefined {
  const read = parseLoosely(json);
  return read !== undefined && isObject(read.value) ? (read.repaired ? JSON.stringify(read.value) : json) : undefined;
}

/** The brackets that are missing at the end of JSON; undefined where more than those is wrong with it. */
export function missingEnd(json: string): string | undefined {
  try {
    const whole = jsonrepair(json);
    const rest = whole.startsWith(json) ? whole.slice(json.length) : '';
    // A number may have been cut in its middle.
    const isClosed = /["\]}el]\s*$/.test(json) && /^[\]}]+$/.test(rest);
    return isClosed && isObject(JSON.parse(whole)) ? rest : undefined;
  } catch {
    return undefined;
  }
}

/** Finds the declared tool a written name means; the name itself when it is none of them. */
export function canonicalName(written: string, tools: readonly string[]): { name: string; known: boolean } {
  if (tools.includes(written)) return { name: written, known: true };
  const alike = tools.filter((tool) => fold(tool) === fold(written));
  const [only] = alike;
  return only !== undefined && alike.length === 1 ? { name: only, known: true } : { name: written, known: false };
}

/** `functions.get-Weather` and `get_weather` are one name. */
function fold(name: string): string {
  return name
    .replace(/^(functions?|tools?)[.:/]/i, '')
    .replace(/[^\p{L}\p{N}]/gu, '')
    .toLowerCase();
}

function toCall(value: unknown, tools: readonly string[], source: string | undefined): ToolCall | undefined {
  if (!isObject(value)) return undefined;
  if (isObject(value['function'])) {
    const inner = toCall(value['function'], tools, source === undefined ? undefined : memberSource(source, 'function'));
    return inner && { ...inner, repaired: true };
  }
  const nameKey = nameKeys.find((key) => typeof value[key] === 'string');
  const written = nameKey === undefined ? undefined : value[nameKey];
  if (typeof written !== 'string' || written === '') return undefined;
  const { name, known } = canonicalName(written, tools);
  const argumentKey = argumentKeys.find((key) => key in value);
  if (argumentKey === undefined && !known) return undefined;
  const given = argumentKey === undefined ? undefined : readArguments(value[argumentKey]);
  if (argumentKey !== undefined && given === undefined) return undefined;
  const plain = nameKey === 'name' && argumentKey === 'arguments' && isObject(value['arguments']);
  const exact = plain && source !== undefined ? memberSource(source, 'arguments') : undefined;
  return { name, json: exact ?? JSON.stringify(given ?? {}), repaired: !plain || name !== written };
}

function readArguments(value: unknown): Record<string, unknown> | undefined {
  if (value === null) return {};
  const read = typeof value === 'string' ? (value.trim() === '' ? {} : parseLoosely(value)?.value) : value;
  return isObject(read) ? read : undefined;
}

function parseLoosely(source: string): { value: unknown; repaired: boolean } | undefined {
  try {
    return { value: JSON.parse(source), repaired: false };
  } catch {
    try {
      return { value: JSON.parse(jsonrepair(source)), repaired: true };
    } catch {
      return undefined;
    }
  }
}

function elementSources(source: string): string[] {
  const sources: string[] = [];
  for (let index = source.indexOf('{'); index >= 0;) {
    const end = jsonExtent(source, index);
    if (end === undefined) break;
    sources.push(source.slice(index, end));
    index = source.indexOf('{', end);
  }
  return sources;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import { canonicalName } from './json-calls.ts';

/** Where in a text a tool call begins; `open` once that is certain, `partial` while the rest must be awaited. */
export interface CallStart {
  readonly at: number;
  readonly state: 'open' | 'partial';
}

/** Marks FunctionGemma's calls. */
export const gemmaTag = '<start_function_call>';
const tags = ['<tool_call>', '<function_call>', '[TOOL_CALLS]', gemmaTag];
const fenceLanguages = ['', 'json', 'jsonc', 'tool_call', 'tool_code', 'tool'];
const firstKeys = ['name', 'tool', 'tool_name', 'function', 'function_name', 'type', 'arguments', 'parameters'];

/** What precedes the JSON of a call: tags and code fences, also nested. */
export const wrapping = /^(?:(?:<tool_call>|<function_call>|\[TOOL_CALLS\]|```[\w-]*[ \t]*(?=\n|[{[]))\s*)*/;

/** Finds the first place where a call begins or may begin. Bare JSON counts only at the start of a line. */
export function findCallStart(text: string, atLineStart: boolean, tools: readonly string[]): CallStart | undefined {
  for (const match of text.matchAll(/[<`{[]/g)) {
    const rest = text.slice(match.index);
    const tag = tagState(rest);
    if (tag !== 'no') return { at: match.index, state: tag };
    if (match[0] === '<' || !isLineStart(atLineStart, text.slice(0, match.index))) continue;
    const state = match[0] === '`' ? fenceState(rest, tools) : headState(rest, tools);
    if (state !== 'no') return { at: match.index, state };
  }
  return undefined;
}

/** Whether text following `before` stands at the start of a line, indentation aside. */
export function isLineStart(lineStart: boolean, before: string): boolean {
  const newline = before.lastIndexOf('\n');
  return (newline >= 0 || lineStart) && before.slice(newline + 1).trim() === '';
}

type State = 'open' | 'partial' | 'no';

function tagState(rest: string): State {
  if (tags.some((tag) => rest.startsWith(tag))) return 'open';
  return tags.some((tag) => tag.startsWith(rest)) && rest !== '[' ? 'partial' : 'no';
}

function fenceState(rest: string, tools: readonly string[]): State {
  if (/^`{1,2}$/.test(rest)) return 'partial';
  const fence = /^```([\w-]*)[ \t]*(\n\s*)?/.exec(rest);
  if (fence === null) return 'no';
  const language = fence[1] ?? '';
  const inner = rest.slice(fence[0].length);
  if (fence[2] === undefined && inner === '')
    return fenceLanguages.some((known) => known.startsWith(language)) ? 'partial' : 'no';
  if (fence[2] === undefined || !fenceLanguages.includes(language)) return 'no';
  if (inner === '') return 'partial';
  if (inner.startsWith('<')) return tagState(inner);
  return inner.startsWith('{') || inner.startsWith('[') ? headState(inner, tools) : 'no';
}

/** Judges JSON by its first members, so that a plain JSON answer is let through after its first key. */
function headState(rest: string, tools: readonly string[]): State {
  const list = /^\[\s*/.exec(rest);
  const object = list === null ? rest : rest.slice(list[0].length);
  if (object === '') return 'partial';
  if (!object.startsWith('{')) return 'no';
  const key = /^\{\s*(?:["']([^"'\\]*)(["'])?)?/.exec(object);
  const name = key?.[1];
  if (key === null || name === undefined) return key !== null && key[0] === object ? 'partial' : 'no';
  if (key[2] === undefined) {
    return key[0] === object && firstKeys.some((known) => known.startsWith(name)) ? 'partial' : 'no';
  }
  return firstKeys.includes(name) ? memberState(name, object.slice(key[0].length), tools) : 'no';
}

function memberState(key: string, rest: string, tools: readonly string[]): State {
  const value = /^\s*(?::\s*)?/.exec(rest)?.[0] ?? '';
  const after = rest.slice(value.length);
  if (after === '') return 'partial';
  if (!value.includes(':')) return 'no';
  if (key === 'arguments' || key === 'parameters')
    return after.startsWith('{') || after.startsWith('"') ? 'open' : 'no';
  if (key === 'function' && after.startsWith('{')) return 'open';
  const text = /^["']((?:[^"'\\]|\\.)*)(["'])?/.exec(after);
  if (text === null) return 'no';
  if (text[2] === undefined) return text[0] === after ? 'partial' : 'no';
  if (key === 'type') return text[1] === 'function' ? 'open' : 'no';
  if (canonicalName(text[1] ?? '', tools).known) return 'open';
  return unknownNameState(after.slice(text[0].length));
}

/** `{"name": "add", "arguments": …}` calls a tool that does not exist; `{"name": "Ada", "age": …}` is data. */
function unknownNameState(rest: string): State {
  const next = /^\s*,?\s*(?:["']([^"'\\]*)(["'])?)?/.exec(rest);
  if (next === null || next[1] === undefined) return next !== null && next[0] === rest ? 'partial' : 'no';
  const keys = ['arguments', 'parameters', 'args'];
  if (next[2] !== undefined) return keys.includes(next[1]) ? 'open' : 'no';
  return next[0] === rest && keys.some((known) => known.startsWith(next[1] ?? '')) ? 'partial' : 'no';
}

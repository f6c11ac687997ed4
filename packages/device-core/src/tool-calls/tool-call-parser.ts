import { parseGemmaCall } from './gemma-call.ts';
import { canonicalName, parseJsonCalls, type ToolCall } from './json-calls.ts';
import { isQuoted, jsonExtent } from './json-extent.ts';
import { findCallStart, gemmaTag, isLineStart, wrapping } from './call-start.ts';

export { missingEnd, repairedArguments } from './json-calls.ts';

/** A piece of an answer: text to show, or a call; `isComplete` is false for one the end of the answer cut off. */
export type ParsedPart =
  | { readonly k: 'text'; readonly text: string }
  | { readonly k: 'call'; readonly call: ToolCall; readonly isComplete: boolean };

const closers = ['</tool_call>', '</function_call>', '<end_function_call>', '<start_function_response>', '```'];
const afterCall =
  /^(?:[\s,;}\]]|<\/tool_call>|<\/function_call>|<end_function_call>|<start_function_response>|```(?![\w`]|$))+/;
const closing = /<\/tool_call>|<\/function_call>|\n\s*```/;

export interface ParserOptions {
  /** What names no tool that is offered stays the text it was. */
  readonly isDeclaredOnly?: boolean;
}

/**
 * Tells tool calls from text while tokens arrive, in the shapes small models write: Hermes tags, bare JSON, fenced
 * JSON, FunctionGemma. Text that cannot be a call passes at once; what may be one is held until that is decided, and
 * a call is held until it is whole. The result does not depend on how the text was split.
 */
export class ToolCallParser {
  readonly #tools: readonly string[];
  readonly #isDeclaredOnly: boolean;
  #mode: 'text' | 'call' | 'after' = 'text';
  #buffer = '';
  /** White space between text and what follows: dropped when that is a call. */
  #space = '';
  #lineStart = true;
  #parts: ParsedPart[] = [];

  /** `tools` are the names of the tools offered. */
  constructor(tools: readonly string[], { isDeclaredOnly = false }: ParserOptions = {}) {
    this.#tools = tools;
    this.#isDeclaredOnly = isDeclaredOnly;
  }

  /** What the held text is: shown already, still undecided, or a call. */
  get inside(): 'text' | 'undecided' | 'call' {
    if (this.#mode !== 'text') return 'call';
    return this.#buffer === '' ? 'text' : 'undecided';
  }

  push(text: string): ParsedPart[] {
    this.#buffer += text;
    while (this.#step());
    return this.#take();
  }

  /** Ends the answer: the model stopped by itself, or was cut off, in which case an unfinished call stays unfinished. */
  end(why: 'stopped' | 'cut'): ParsedPart[] {
    if (this.#mode === 'call') this.#endCall(why);
    else if (this.#mode === 'after') this.#endAfter();
    this.#text(this.#buffer);
    this.#buffer = '';
    if (this.#mode === 'text') this.#emit(this.#space);
    this.#space = '';
    return this.#take();
  }

  #step(): boolean {
    if (this.#buffer === '') return false;
    if (this.#mode === 'text') return this.#readText();
    return this.#mode === 'call' ? this.#readCall() : this.#readAfter();
  }

  #readText(): boolean {
    const start = findCallStart(this.#buffer, this.#lineStart, this.#tools);
    this.#text(this.#buffer.slice(0, start?.at));
    this.#buffer = start === undefined ? '' : this.#buffer.slice(start.at);
    if (start?.state !== 'open') return false;
    this.#mode = 'call';
    return true;
  }

  #readCall(): boolean {
    const read = readCalls(this.#buffer, this.#tools);
    if (read === undefined) return false;
    if (read.calls === undefined || !this.#areTaken(read.calls)) {
      this.#mode = 'text';
      this.#text(this.#buffer.slice(0, read.end));
    } else this.#calls(read.calls);
    this.#buffer = this.#buffer.slice(read.end);
    return true;
  }

  #readAfter(): boolean {
    this.#buffer = this.#buffer.replace(afterCall, '');
    if (closers.some((closer) => closer.startsWith(this.#buffer))) return false;
    this.#mode = 'text';
    this.#lineStart = true;
    return true;
  }

  #endCall(why: 'stopped' | 'cut'): void {
    if (why === 'cut') {
      const call = cutCall(this.#buffer, this.#tools);
      if (call === undefined || !this.#areTaken([call])) this.#mode = 'text';
      else {
        this.#parts.push({ k: 'call', call, isComplete: false });
        this.#buffer = '';
      }
      return;
    }
    const calls = repairCalls(this.#buffer, this.#tools);
    if (calls === undefined || !this.#areTaken(calls)) this.#mode = 'text';
    else {
      this.#calls(calls.map(({ name, json }) => ({ name, json, repaired: true })));
      this.#buffer = '';
    }
  }

  #endAfter(): void {
    if (closers.some((closer) => closer.startsWith(this.#buffer))) this.#buffer = '';
  }

  #areTaken(calls: readonly ToolCall[]): boolean {
    return !this.#isDeclaredOnly || calls.every(({ name }) => this.#tools.includes(name));
  }

  #calls(calls: readonly ToolCall[]): void {
    this.#space = '';
    for (const call of calls) this.#parts.push({ k: 'call', call, isComplete: true });
    this.#mode = 'after';
  }

  #text(text: string): void {
    if (text === '') return;
    this.#lineStart = isLineStart(this.#lineStart, text);
    const all = this.#space + text;
    const shown = all.trimEnd();
    this.#space = all.slice(shown.length);
    this.#emit(shown);
  }

  #emit(text: string): void {
    if (text === '') return;
    const last = this.#parts.at(-1);
    if (last?.k === 'text') this.#parts[this.#parts.length - 1] = { k: 'text', text: last.text + text };
    else this.#parts.push({ k: 'text', text });
  }

  #take(): ParsedPart[] {
    const parts = this.#parts;
    this.#parts = [];
    return parts;
  }
}

/** Undefined while the call is unfinished; without `calls` the text up to `end` is no call after all. */
function readCalls(text: string, tools: readonly string[]): { calls?: ToolCall[]; end: number } | undefined {
  if (text.startsWith(gemmaTag)) {
    const read = parseGemmaCall(text.slice(gemmaTag.length), tools);
    if (read === undefined) return undefined;
    return read === null ? { end: gemmaTag.length } : { calls: [read.call], end: gemmaTag.length + read.end };
  }
  const start = bodyStart(text);
  if (start >= text.length) return undefined;
  if (text[start] !== '{' && text[start] !== '[') return { end: Math.max(1, start) };
  const end = jsonExtent(text, start) ?? closedEarly(text, start);
  if (end === undefined) return undefined;
  const calls = parseJsonCalls(text.slice(start, end), tools);
  return calls === undefined ? { end } : { calls, end };
}

/** A closing tag outside a string ends JSON whose own brackets do not. */
function closedEarly(text: string, start: number): number | undefined {
  const close = text.slice(start).search(closing);
  return close < 0 || isQuoted(text, start, start + close) ? undefined : start + close;
}

function repairCalls(text: string, tools: readonly string[]): ToolCall[] | undefined {
  if (text.startsWith(gemmaTag)) {
    const body = text.slice(gemmaTag.length);
    const read = ['}', '<escape>}'].map((ending) => parseGemmaCall(body + ending, tools)).find((found) => found);
    return read ? [read.call] : undefined;
  }
  const body = text.slice(bodyStart(text));
  const close = body.search(closing);
  return parseJsonCalls(close < 0 ? body : body.slice(0, close), tools);
}

function cutCall(text: string, tools: readonly string[]): ToolCall | undefined {
  const gemma = /^<start_function_call>\s*call:([^\s{]+)\s*\{/.exec(text);
  if (gemma !== null) return { name: canonicalName(gemma[1] ?? '', tools).name, json: '', repaired: false };
  const name = /["'](?:name|tool|tool_name|function|function_name)["']\s*:\s*["']([^"']+)["']/.exec(text);
  if (name === null) return undefined;
  const rest = text.slice(name.index + name[0].length);
  const given = /^\s*,\s*["'](?:arguments|parameters|args|input)["']\s*:\s*/.exec(rest);
  const json = given === null ? '' : rest.slice(given[0].length);
  return { name: canonicalName(name[1] ?? '', tools).name, json, repaired: false };
}

function bodyStart(text: string): number {
  return wrapping.exec(text)?.[0].length ?? 0;
}

/** What a token of an answer decides. `structure` is what the form of a call leaves no choice about. */
export type TokenLabel =
  | 'decision'
  | 'name'
  | 'key'
  | 'value'
  | 'after-value'
  | 'stop'
  | 'structure'
  | 'text'
  | 'reasoning';

/** A token's label and, within a call, which call of the answer and which of its arguments it belongs to. */
export interface LabelledToken {
  readonly label: TokenLabel;
  /** 0, 1, 2 … in the order of the text. */
  readonly call?: number;
  /** Name of the top-level argument; on keys, values and what follows a value. */
  readonly argument?: string;
}

/** What the labeller needs to know of a declared tool. */
export interface DeclaredTool {
  readonly name: string;
}

/**
 * Labels the tokens of one answer: what precedes a call (`decision`: tags, fences, the opening brace), its `name`, each
 * `key` and `value` of its arguments, the choice between another argument and the end (`after-value`), what follows the
 * call (`stop`), all other tokens of calls (`structure`), `reasoning` and `text`. Reads Hermes tags, bare JSON, fenced
 * JSON, lists of calls and FunctionGemma's form, whole or cut off. A token of several kinds has the one that says most
 * about the answer; a token without text has the label of the text that follows. Linear in the text.
 */
export function labelTokens(pieces: readonly string[], tools: readonly DeclaredTool[]): readonly LabelledToken[] {
  const marks = new AnswerScanner(pieces.join(''), new Set(tools.map(({ name }) => name))).scan();
  let at = 0;
  return pieces.map((piece) => {
    const from = at;
    at += piece.length;
    return marks.labelOf(from, at);
  });
}

/** From the least telling to the most; a token takes the highest among its characters. */
const order = [
  'text',
  'structure',
  'stop',
  'decision',
  'reasoning',
  'after-value',
  'key',
  'value',
  'name',
] as const satisfies readonly TokenLabel[];
const rank = Object.fromEntries(order.map((label, index) => [label, index]));

interface CallSpan {
  readonly from: number;
  to: number;
}

interface ArgumentSpan extends CallSpan {
  readonly name: string;
}

/** Labels of characters, and the extents of calls and arguments, in order. */
class Marks {
  readonly #text: string;
  readonly #ranks: Uint8Array;
  readonly calls: CallSpan[] = [];
  readonly arguments: ArgumentSpan[] = [];

  constructor(text: string) {
    this.#text = text;
    this.#ranks = new Uint8Array(text.length);
  }

  mark(from: number, to: number, label: TokenLabel): void {
    this.#ranks.fill(rank[label] ?? 0, from, to);
  }

  labelOf(from: number, to: number): LabelledToken {
    const label = order[this.#highest(from, to)] ?? 'text';
    if (label === 'text' || label === 'reasoning') return { label };
    // A token may begin before its call, and what follows a call belongs to it.
    const call = this.calls.findLastIndex((span) => span.from < Math.max(to, from + 1));
    const isOfArgument = label === 'key' || label === 'value' || label === 'after-value';
    const argument = isOfArgument ? this.#argumentAt(from, to) : undefined;
    return { label, ...(call >= 0 && { call }), ...(argument !== undefined && { argument }) };
  }

  #highest(from: number, to: number): number {
    if (from === to) return this.#ranks[from] ?? this.#ranks[from - 1] ?? 0;
    let highest = 0;
    let spaces = 0;
    for (let index = from; index < to; index += 1) {
      const value = this.#ranks[index] ?? 0;
      // White space beside other characters says nothing of its own.
      if (isSpace(this.#text, index)) spaces = Math.max(spaces, value);
      else highest = Math.max(highest, value + 1);
    }
    return highest === 0 ? spaces : highest - 1;
  }

  #argumentAt(from: number, to: number): string | undefined {
    return this.arguments.findLast((span) => span.from < Math.max(to, from + 1))?.name;
  }
}

/** Reads an answer once, marking as it goes; what turns out to be no call stays text. */
class AnswerScanner {
  readonly #text: string;
  readonly #tools: ReadonlySet<string>;
  readonly #marks: Marks;

  constructor(text: string, tools: ReadonlySet<string>) {
    this.#text = text;
    this.#tools = tools;
    this.#marks = new Marks(text);
  }

  scan(): Marks {
    let at = 0;
    let hasCall = false;
    while (at < this.#text.length) {
      if (!hasCall) at = this.#reasoning(at);
      else at = this.#closers(at);
      const start = this.#nextStart(at, hasCall);
      if (start === undefined) break;
      const end = this.#call(start);
      hasCall ||= end !== undefined;
      at = end ?? start + 1;
    }
    return this.#marks;
  }

  #reasoning(at: number): number {
    const open = /\s*<think>/y;
    open.lastIndex = at;
    if (!open.test(this.#text)) return at;
    const close = this.#text.indexOf('</think>', open.lastIndex);
    const end = close < 0 ? this.#text.length : close + '</think>'.length;
    this.#marks.mark(at, end, 'reasoning');
    return end;
  }

  /** Where a call may begin: a tag anywhere, a fence or JSON at the start of a line or after a call. */
  #nextStart(from: number, afterCall: boolean): number | undefined {
    const start = /<tool_call>|<function_call>|\[TOOL_CALLS\]|<start_function_call>|```|[{[]/g;
    start.lastIndex = from;
    for (let match = start.exec(this.#text); match !== null; match = start.exec(this.#text)) {
      const isMark = match[0].length > 3;
      if (isMark || isLineStart(this.#text, match.index)) return match.index;
      if (afterCall && match.index === from) return match.index;
    }
    return undefined;
  }

  /** Marks what stands between two calls or after the last one; made-up text after a call is text. */
  #closers(from: number): number {
    const closers =
      /(?:[\s,;}\]]|<\/tool_call>|<\/function_call>|<end_function_call>|<start_function_response>|```(?!\w)|<\|\w+\|>|<\/s>|<end_of_turn>|<eos>)+/y;
    closers.lastIndex = from;
    const end = closers.test(this.#text) ? closers.lastIndex : from;
    this.#marks.mark(from, end, 'stop');
    return end;
  }

  /** Marks the calls that begin here; undefined when there is none. */
  #call(start: number): number | undefined {
    const wrap =
      /(?:(?:<tool_call>|<function_call>|\[TOOL_CALLS\]|<start_function_call>|```[\w-]*[ \t]*(?=\n|[{[]))\s*)*/y;
    wrap.lastIndex = start;
    wrap.test(this.#text);
    const body = Math.max(start, wrap.lastIndex);
    const reader = new CallReader(this.#text, this.#tools);
    const read = reader.read(body);
    const isOpenMark = body >= this.#text.length && /[<[]/.test(this.#text[start] ?? '');
    if (read === undefined && !isOpenMark) return undefined;
    this.#marks.mark(start, body, 'decision');
    for (const { from, to, label } of reader.spans) this.#marks.mark(from, to, label);
    for (const call of reader.calls) this.#marks.calls.push(call.from === body ? { from: start, to: call.to } : call);
    this.#marks.arguments.push(...reader.arguments);
    return read ?? this.#text.length;
  }
}

const nameKeys = new Set(['name', 'tool', 'tool_name', 'function', 'function_name']);
const argumentKeys = new Set(['arguments', 'parameters', 'args', 'input', 'arguments_json']);

/** Reads the JSON, or FunctionGemma's notation, of one call or of a list of calls. Tolerant: cut-off ends are fine. */
class CallReader {
  readonly spans: Array<{ readonly from: number; readonly to: number; readonly label: TokenLabel }> = [];
  readonly calls: CallSpan[] = [];
  readonly arguments: ArgumentSpan[] = [];
  readonly #text: string;
  readonly #tools: ReadonlySet<string>;
  #at = 0;
  /** Where an arguments object closes after a value: that brace keeps its label. */
  #closed = -1;

  constructor(text: string, tools: ReadonlySet<string>) {
    this.#text = text;
    this.#tools = tools;
  }

  /** Index after the call, the whole text's length where it is cut off; undefined when it is no call. */
  read(at: number): number | undefined {
    this.#at = at;
    if (this.#text.startsWith('call:', at)) return this.#gemmaCall();
    if (this.#peek() === '{') return this.#callObject() ? this.#at : undefined;
    if (this.#peek() !== '[') return undefined;
    this.#mark(at, at + 1, 'decision');
    this.#at += 1;
    for (;;) {
      this.#skip('decision');
      if (this.#peek() === ',') {
        this.#mark(this.#at, this.#at + 1, 'stop');
        this.#at += 1;
      } else if (this.#peek() === ']' && this.calls.length > 0) {
        this.#mark(this.#at, this.#at + 1, 'stop');
        return this.#at + 1;
      } else if (this.#peek() !== '{' || !this.#callObject()) {
        return this.calls.length > 0 ? this.#at : undefined;
      }
    }
  }

  #gemmaCall(): number | undefined {
    const from = this.#at;
    const name = /call:([^\s{]*)/y;
    name.lastIndex = from;
    if (!name.test(this.#text)) return undefined;
    this.#mark(from, from + 5, 'decision');
    this.#mark(from + 5, name.lastIndex, 'name');
    this.#at = name.lastIndex;
    this.#skip('structure');
    const call = this.#open(from);
    if (this.#peek() === '{') this.#object('arguments', 'gemma');
    call.to = this.#at;
    return this.#at;
  }

  /** `{"name": …, "arguments": {…}}` in any order of keys, also inside `{"type": "function", "function": {…}}`. */
  #callObject(): boolean {
    const from = this.#at;
    const kept = this.spans.length;
    this.#mark(from, from + 1, 'decision');
    const call = this.#open(from);
    const found = this.#members(0);
    call.to = this.#at;
    const isCut = this.#at >= this.#text.length;
    const isCall =
      found.name !== undefined && (found.hasArguments || this.#tools.has(found.name) || (isCut && found.isLast));
    if (isCall) return true;
    this.spans.length = kept;
    this.calls.pop();
    return false;
  }

  #members(depth: number): { name?: string; hasArguments: boolean; isLast: boolean } {
    let name: string | undefined;
    let hasArguments = false;
    let isLast = false;
    this.#at += 1;
    for (;;) {
      this.#skip('structure');
      const char = this.#peek();
      if (char === undefined) break;
      if (char === '}') {
        this.#mark(this.#at, this.#at + 1, 'structure');
        this.#at += 1;
        break;
      }
      const key = this.#keyAndColon('structure');
      if (key === undefined) break;
      isLast = nameKeys.has(key);
      if (key === 'function' && this.#peek() === '{' && depth === 0) {
        const inner = this.#members(depth + 1);
        name = inner.name ?? name;
        hasArguments ||= inner.hasArguments;
      } else if (nameKeys.has(key) && isQuote(this.#peek())) name = this.#name();
      else if (argumentKeys.has(key)) {
        hasArguments = true;
        if (this.#peek() === '{') this.#object('arguments', 'json');
        else this.#value('value');
      } else this.#value('structure');
      this.#skip('structure');
      if (this.#peek() === ',') {
        this.#mark(this.#at, this.#at + 1, 'structure');
        this.#at += 1;
      }
    }
    return { ...(name !== undefined && { name }), hasArguments, isLast };
  }

  #name(): string {
    const from = this.#at;
    const end = this.#stringEnd(from);
    this.#mark(from, from + 1, 'structure');
    const isClosed = end > from + 1 && this.#text[end - 1] === this.#text[from];
    const to = isClosed ? end - 1 : end;
    this.#mark(from + 1, to, 'name');
    // The token that closes the name decides that it ends here.
    this.#mark(to, end, 'structure');
    this.#at = end;
    return this.#text.slice(from + 1, to);
  }

  /** The arguments, or with `inner` an object within one, whose characters are all value. */
  #object(kind: 'arguments' | 'inner', form: 'json' | 'gemma'): void {
    const own = kind === 'arguments';
    this.#mark(this.#at, this.#at + 1, own ? 'structure' : 'value');
    this.#at += 1;
    for (;;) {
      this.#skip(own ? 'structure' : 'value');
      const char = this.#peek();
      if (char === undefined) return;
      if (char === '}') {
        this.#mark(this.#at, this.#at + 1, own ? 'structure' : 'value');
        this.#at += 1;
        return;
      }
      if (char === ',') {
        this.#mark(this.#at, this.#at + 1, own ? 'structure' : 'value');
        this.#at += 1;
        continue;
      }
      const from = this.#at;
      const key = form === 'gemma' ? this.#gemmaKey() : this.#keyAndColon(own ? 'key' : 'value');
      if (key === undefined) return;
      const argument = { from, to: from, name: key };
      if (own) this.arguments.push(argument);
      if (form === 'gemma') this.#gemmaValue();
      else this.#value('value');
      argument.to = this.#at;
      if (own) this.#afterValue();
    }
  }

  /** The closing quote and all that follows up to the comma or brace: where the model says whether more comes. */
  #afterValue(): void {
    const from = this.#at;
    this.#skip('after-value');
    const closes = this.#peek() === '}';
    if (this.#peek() === ',' || closes) {
      this.#mark(this.#at, this.#at + 1, 'after-value');
      if (!closes) this.#at += 1;
    }
    const before = this.#text[from - 1];
    if (isQuote(before)) this.#mark(from - 1, from, 'after-value');
    if (closes) this.#closed = this.#at;
  }

  #keyAndColon(label: TokenLabel): string | undefined {
    const from = this.#at;
    const quoted = isQuote(this.#peek());
    const word = /[\w$-]+/y;
    word.lastIndex = from;
    if (!quoted && !word.test(this.#text)) return undefined;
    const end = quoted ? this.#stringEnd(from) : word.lastIndex;
    const inner: readonly [number, number] = quoted ? [from + 1, Math.max(from + 1, end - 1)] : [from, end];
    const around = label === 'value' ? 'value' : 'structure';
    this.#mark(from, end, around);
    this.#mark(inner[0], inner[1], label);
    this.#at = end;
    this.#skip(around);
    if (this.#peek() !== ':') return this.#peek() === undefined ? this.#text.slice(...inner) : undefined;
    this.#mark(this.#at, this.#at + 1, around);
    this.#at += 1;
    this.#skip(around);
    return this.#text.slice(...inner);
  }

  #gemmaKey(): string | undefined {
    const key = /([^:{},]*):?/y;
    key.lastIndex = this.#at;
    const match = key.exec(this.#text);
    if (match === null || match[0] === '') return undefined;
    const name = match[1] ?? '';
    this.#mark(this.#at, this.#at + name.length, 'key');
    this.#mark(this.#at + name.length, key.lastIndex, 'structure');
    this.#at = key.lastIndex;
    return name.trim();
  }

  #gemmaValue(): void {
    const escape = '<escape>';
    if (this.#text.startsWith(escape, this.#at)) {
      const from = this.#at + escape.length;
      const close = this.#text.indexOf(escape, from);
      const to = close < 0 ? this.#text.length : close;
      this.#mark(this.#at, from, 'structure');
      this.#mark(from, to, 'value');
      const end = close < 0 ? to : close + escape.length;
      this.#mark(to, end, 'after-value');
      this.#at = end;
    } else if (this.#peek() === '{') this.#object('inner', 'gemma');
    else if (this.#peek() === '[') this.#list('gemma');
    else this.#bare();
  }

  #value(label: TokenLabel): void {
    const from = this.#at;
    if (isQuote(this.#peek())) {
      const end = this.#stringEnd(from);
      this.#mark(from, from + 1, label === 'value' ? 'structure' : label);
      this.#mark(from + 1, end, label);
      this.#at = end;
    } else if (this.#peek() === '{') {
      if (label === 'value') this.#object('inner', 'json');
      else this.#skipBalanced(label);
    } else if (this.#peek() === '[') {
      if (label === 'value') this.#list('json');
      else this.#skipBalanced(label);
    } else this.#bare(label);
  }

  #list(form: 'json' | 'gemma'): void {
    this.#mark(this.#at, this.#at + 1, 'value');
    this.#at += 1;
    for (;;) {
      this.#skip('value');
      const char = this.#peek();
      if (char === undefined || char === '}') return;
      if (char === ']' || char === ',') {
        this.#mark(this.#at, this.#at + 1, 'value');
        this.#at += 1;
        if (char === ']') return;
        continue;
      }
      const before = this.#at;
      if (form === 'gemma') this.#gemmaValue();
      else this.#value('value');
      if (this.#at === before) return;
    }
  }

  #bare(label: TokenLabel = 'value'): void {
    const bare = /[^,}\]\s]+/y;
    bare.lastIndex = this.#at;
    if (!bare.test(this.#text)) return;
    this.#mark(this.#at, bare.lastIndex, label);
    this.#at = bare.lastIndex;
  }

  #skipBalanced(label: TokenLabel): void {
    const from = this.#at;
    let depth = 0;
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at];
      if (char === '"') {
        this.#at = this.#stringEnd(this.#at);
        continue;
      }
      if (char === '{' || char === '[') depth += 1;
      if (char === '}' || char === ']') depth -= 1;
      this.#at += 1;
      if (depth === 0) break;
    }
    this.#mark(from, this.#at, label);
  }

  /** Index after the closing quote, or the end of the text. */
  #stringEnd(from: number): number {
    const quote = this.#text[from];
    for (let index = from + 1; index < this.#text.length; index += 1) {
      if (this.#text[index] === '\\') index += 1;
      else if (this.#text[index] === quote) return index + 1;
    }
    return this.#text.length;
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #open(from: number): CallSpan {
    const call = { from, to: from };
    this.calls.push(call);
    return call;
  }

  #mark(from: number, to: number, label: TokenLabel): void {
    if (to <= from || (from === this.#closed && to === from + 1)) return;
    this.spans.push({ from, to, label });
  }

  #skip(label: TokenLabel): void {
    const from = this.#at;
    while (this.#at < this.#text.length && isSpace(this.#text, this.#at)) this.#at += 1;
    this.#mark(from, this.#at, label);
  }
}

function isQuote(char: string | undefined): boolean {
  return char === '"' || char === "'";
}

function isSpace(text: string, index: number): boolean {
  const code = text.charCodeAt(index);
  return code === 32 || (code >= 9 && code <= 13);
}

function isLineStart(text: string, at: number): boolean {
  for (let index = at - 1; index >= 0; index -= 1) {
    if (text[index] === '\n') return true;
    if (!isSpace(text, index)) return text.startsWith('</think>', index - 7);
  }
  return true;
}

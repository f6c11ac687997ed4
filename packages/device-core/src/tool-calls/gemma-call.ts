import { canonicalName, type ToolCall } from './json-calls.ts';

const escape = '<escape>';

/**
 * Reads FunctionGemma's `call:NAME{key:<escape>text<escape>,n:3}`.
 * Undefined while it is unfinished, null when it is no call at all.
 */
export function parseGemmaCall(
  source: string,
  tools: readonly string[],
): { readonly call: ToolCall; readonly end: number } | undefined | null {
  const head = /^\s*call:([^\s{]+)\s*(?=\{)/.exec(source);
  if (head === null) return /^\s*(c(a(l(l(:[^\s{]*\s*)?)?)?)?)?$/.test(source) ? undefined : null;
  const reader = new Reader(source, head[0].length);
  const value = reader.object();
  if (value === undefined) return undefined;
  const written = head[1] ?? '';
  const { name } = canonicalName(written, tools);
  return {
    call: { name, json: JSON.stringify(value), repaired: name !== written },
    end: reader.index,
  };
}

type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

/** Each method gives undefined when the text ends too early. */
class Reader {
  readonly #text: string;
  index: number;

  constructor(text: string, index: number) {
    this.#text = text;
    this.index = index;
  }

  object(): { [key: string]: Value } | undefined {
    const entries: Array<[string, Value]> = [];
    this.index += 1;
    for (;;) {
      this.#skip(/[\s,]/);
      if (this.#char === undefined) return undefined;
      if (this.#take('}')) return Object.fromEntries(entries);
      const key = this.#key();
      const value = key === undefined ? undefined : this.#value();
      if (key === undefined || value === undefined) return undefined;
      entries.push([key, value]);
    }
  }

  #array(): Value[] | undefined {
    const items: Value[] = [];
    this.index += 1;
    for (;;) {
      this.#skip(/[\s,]/);
      if (this.#char === undefined) return undefined;
      if (this.#take(']')) return items;
      const value = this.#value();
      if (value === undefined) return undefined;
      items.push(value);
    }
  }

  #value(): Value | undefined {
    this.#skip(/\s/);
    if (this.#char === '{') return this.object();
    if (this.#char === '[') return this.#array();
    return this.#take(escape) ? this.#escaped() : this.#bare();
  }

  #key(): string | undefined {
    const key = this.#take(escape) ? this.#escaped() : this.#until(/:/);
    if (key === undefined) return undefined;
    this.#skip(/\s/);
    this.#take(':');
    return key.trim();
  }

  #escaped(): string | undefined {
    const end = this.#text.indexOf(escape, this.index);
    if (end < 0) return undefined;
    const text = this.#text.slice(this.index, end);
    this.index = end + escape.length;
    return text;
  }

  #bare(): Value | undefined {
    const text = this.#until(/[,}\]]/)?.trim();
    if (text === undefined) return undefined;
    if (text === 'true' || text === 'false') return text === 'true';
    if (text === 'null' || text === 'None') return null;
    return /^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(text) ? Number(text) : text;
  }

  #until(stop: RegExp): string | undefined {
    const length = this.#text.slice(this.index).search(stop);
    if (length < 0) return undefined;
    const text = this.#text.slice(this.index, this.index + length);
    this.index += length;
    return text;
  }

  get #char(): string | undefined {
    return this.#text[this.index];
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.index)) return false;
    this.index += text.length;
    return true;
  }

  #skip(what: RegExp): void {
    while (this.index < this.#text.length && what.test(this.#text[this.index] ?? '')) this.index += 1;
  }
}

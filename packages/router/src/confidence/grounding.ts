import { isJsonObject, type JsonObject, type JsonValue } from '../core/json.ts';
import { textOf, type ChatRequest } from '../core/request.ts';

/** How far the arguments of calls are supported by their conversation. */
export interface Grounding {
  /** Share 0..1 of string and number arguments that occur in the conversation, or are an enum value or default. */
  grounded(call: JsonObject, schema: JsonObject | undefined): number | undefined;
  /** Share 0..1 of the names and numbers of the last user turn that no call takes up; undefined without any. */
  uncoveredTerms(calls: readonly JsonObject[]): number | undefined;
  /** Whether the last user turn sounds like several tasks. English cue words; other languages say no. */
  readonly asksForSeveral: boolean;
}

/** Reads the conversation once; linear in its text, of which the latest part counts. */
export function groundingOf(request: ChatRequest): Grounding {
  const said = normalise(request.messages.map(textOf).join('\n').slice(-maxGroundChars));
  const words = new Set(said.match(wordPattern) ?? []);
  const numbers = numbersIn(said);
  const asked = lastUserText(request).slice(0, maxEntityChars);
  const entities = entitiesIn(asked);

  const isSupported = (value: string | number): boolean => {
    if (typeof value === 'number') return numbers.has(Math.abs(value));
    const text = normalise(value);
    if (text === '' || said.includes(text)) return true;
    const parts = text.match(wordPattern) ?? [];
    const known = parts.filter((part) => words.has(part) || words.has(singular(part)) || words.has(`${part}s`));
    return parts.length > 0 && known.length / parts.length >= 0.5;
  };
  return {
    asksForSeveral: severalPattern.test(asked),
    grounded(call, schema) {
      let total = 0;
      let supported = 0;
      for (const { value, schema: declared } of leaves(call, schema, 0)) {
        total++;
        if (isOffered(value, declared) || isSupported(value)) supported++;
      }
      return total === 0 ? undefined : supported / total;
    },
    uncoveredTerms(calls) {
      if (entities.length === 0) return undefined;
      const taken = normalise(calls.map((call) => JSON.stringify(call)).join(' '));
      const takenNumbers = numbersIn(taken);
      const left = entities.filter((entity) => {
        const number = Number(entity);
        return Number.isNaN(number) ? !taken.includes(entity) : !takenNumbers.has(number);
      });
      return left.length / entities.length;
    },
  };
}

interface Leaf {
  readonly value: string | number;
  readonly schema: JsonObject | undefined;
}

function* leaves(value: JsonValue, schema: JsonValue | undefined, depth: number): Generator<Leaf> {
  const declared = isJsonObject(schema) ? schema : undefined;
  if (typeof value === 'string' || typeof value === 'number') yield { value, schema: declared };
  if (typeof value !== 'object' || value === null || depth > maxLeafDepth) return;
  if (!isJsonObject(value)) {
    for (const member of value) yield* leaves(member, declared?.['items'], depth + 1);
    return;
  }
  const properties = declared?.['properties'];
  for (const [name, member] of Object.entries(value)) {
    const known = isJsonObject(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined;
    yield* leaves(member, known, depth + 1);
  }
}

function isOffered(value: string | number, schema: JsonObject | undefined): boolean {
  if (schema === undefined) return false;
  if (schema['default'] === value || schema['const'] === value) return true;
  if (Array.isArray(schema['enum'])) return schema['enum'].includes(value);
  // Many declarations name the choices in the description only.
  const description = schema['description'];
  return typeof description === 'string' && String(value) !== '' && mentions(normalise(description), value);
}

function mentions(description: string, value: string | number): boolean {
  if (typeof value === 'number') return numbersIn(description).has(value);
  return description.includes(normalise(value));
}

function lastUserText({ messages }: ChatRequest): string {
  const turn = messages.findLast((message) => message.role === 'user');
  return turn === undefined ? '' : textOf(turn);
}

/** Numbers, quoted phrases and runs of capitalised words that do not merely begin a sentence. */
function entitiesIn(text: string): readonly string[] {
  const found = new Set<string>();
  for (const match of text.matchAll(/(?<![A-Za-z\d.])\d[\d,]*(?:\.\d+)?/g)) found.add(match[0].replaceAll(',', ''));
  for (const match of text.matchAll(/["“]([^"”\n]{2,60})["”]/g)) found.add(normalise(match[1] ?? ''));
  for (const match of text.matchAll(/(?<![.?!]\s)(?<=[\s(])\p{Lu}[\p{L}\d]+(?: \p{Lu}[\p{L}\d]+)*/gu)) {
    found.add(normalise(match[0]));
  }
  return [...found];
}

function numbersIn(text: string): ReadonlySet<number> {
  const numbers = new Set<number>();
  for (const match of text.matchAll(/\d[\d,]*(?:\.\d+)?/g)) {
    const value = Number(match[0].replaceAll(',', ''));
    numbers.add(value);
    // "5 %" is written 0.05 by some tools and 5 by others.
    numbers.add(value / 100);
  }
  for (const [index, word] of numberWords.entries()) if (text.includes(word)) numbers.add(index);
  return numbers;
}

function normalise(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[_\s-]+/g, ' ')
    .trim();
}

function singular(word: string): string {
  return word.endsWith('s') ? word.slice(0, -1) : word;
}

const severalPattern = /\b(?:respectively|both|then|also|each|as well as)\b|;/i;
const wordPattern = /[\p{L}\d]+/gu;
const numberWords = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'] as const;
const maxGroundChars = 100_000;
const maxEntityChars = 4_000;
const maxLeafDepth = 16;

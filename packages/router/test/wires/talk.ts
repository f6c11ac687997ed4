import assert from 'node:assert/strict';
import type { JsonObject } from '../../src/core/json.ts';

/** A conversation and what is wanted of its answer, in the words of no wire. */
export interface Talk {
  readonly system?: string;
  readonly turns: readonly Turn[];
  readonly tools?: readonly { readonly name: string; readonly description: string; readonly schema: JsonObject }[];
  readonly maxTokens?: number;
  readonly temperature?: number;
  /** The answer is JSON of this form. */
  readonly schema?: JsonObject;
  /** The thoughts before the answer are wanted too. */
  readonly thinks?: boolean;
}

export type Turn =
  | { readonly user: string; /** PNG, base64. */ readonly image?: string }
  | { readonly assistant: string; readonly thought?: string; readonly calls?: readonly TalkCall[] }
  | { readonly result: string; readonly of: TalkCall; readonly isError?: boolean };

export interface TalkCall {
  readonly id: string;
  readonly name: string;
  readonly input: JsonObject;
}

/** What a client understood of an answer. */
export interface Understood {
  readonly text: string;
  readonly thought: string;
  readonly calls: readonly { readonly name: string; readonly input: unknown }[];
  /** As the wire itself says it, in one word for all. */
  readonly stop: 'end' | 'calls' | 'length' | 'refusal' | 'failed';
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** The code of an error, the message beside it and the request's id where the envelope has one. */
export interface UnderstoodError {
  readonly code: string;
  readonly message: string;
}

/** One client wire: how a talk is written on it, and how its answers read. */
export interface Wire {
  readonly name: string;
  /** It knows a prompt and a text, neither turns nor calls. */
  readonly isTextOnly?: true;
  path(model: string, isStream: boolean): string;
  body(talk: Talk, model: string, isStream: boolean): JsonObject;
  whole(body: unknown): Understood;
  /** Reads a stream and holds its order to what the official types and documents promise. */
  stream(text: string): Understood;
  error(body: unknown): UnderstoodError;
}

/** A body whose shape the official types say and the tests assert. */
export function parsed(body: unknown) {
  return JSON.parse(typeof body === 'string' ? body : JSON.stringify(body));
}

/** `tools` as most wires write them: absent where there are none. */
export function functionTools(
  { tools = [] }: Talk,
  write: (spec: { name: string; description: string; parameters: JsonObject }) => JsonObject,
): { readonly tools?: readonly JsonObject[] } {
  if (tools.length === 0) return {};
  return { tools: tools.map(({ name, description, schema }) => write({ name, description, parameters: schema })) };
}

/** Code and message where an envelope has them side by side. */
export function errorFields(value: unknown): UnderstoodError {
  const { code, message }: { readonly code: unknown; readonly message: unknown } = parsed(value);
  return { code: String(code), message: String(message) };
}

/** A tool's result where the wire has no mark for one that is an error. */
export function resultText({ result, isError }: Extract<Turn, { readonly result: string }>): string {
  return isError === true ? `Error: ${result}` : result;
}

/** The parts of a stream, and whether an error stands in the place of its last one, which is left out and looked at. */
export function untilError(parts: readonly unknown[], wire: Pick<Wire, 'error'>) {
  const bodies = parts.map((part) => parsed(part));
  const isCut = 'error' in (bodies.at(-1) ?? {});
  if (isCut) wire.error(bodies.pop());
  return { bodies, isCut };
}

/** One event of a stream with event names, comments left out. */
export interface NamedEvent {
  readonly name: string;
  readonly json: string;
}

/** Takes apart a stream whose every frame names its event. */
export function namedEvents(text: string): readonly NamedEvent[] {
  assert.ok(text.endsWith('\n\n'), 'the last frame is whole');
  return text
    .split('\n\n')
    .filter((frame) => frame !== '' && !frame.startsWith(':'))
    .map((frame) => {
      // JSON may hold separators of lines that are none to an event stream.
      const found = /^event: (\S+)\ndata: ([^\r\n]*)$/.exec(frame);
      assert.ok(found?.[1] !== undefined && found[2] !== undefined, `not a named event: ${frame}`);
      const [, name, json] = found;
      return { name, json };
    });
}

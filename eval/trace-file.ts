import { ToolCallParser } from '@lfo/device-core/tool-calls';
import type { InferenceEvent, TokenScore } from '@lfo/router/src/core/events.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '@lfo/router/src/core/json.ts';
import type { ToolSpec } from '@lfo/router/src/core/request.ts';
import { list, text } from './cases.ts';
import { readLines } from './reference-data.ts';

/** Most tokens of an answer that was recorded. */
export const recordedTokens = 256;

/** One recorded answer of a small model. */
export interface Trace {
  readonly id: string;
  readonly model: string;
  readonly text: string;
  /** Text of each token; the last may be the end token, which the text leaves out. */
  readonly pieces: readonly string[];
  /** Natural logarithms, one a piece; none where the recording has no scores. */
  readonly logprobs: readonly number[];
  /** Likeliest first tokens. */
  readonly first: readonly { readonly token: string; readonly logprob: number }[];
  readonly finish: 'stop' | 'length';
  /** Times of the recording, on a machine that others used too; 0 where there are none. */
  readonly prefillMs: number;
  readonly decodeMs: number;
}

/** Reads a file of traces; the model is the file's where a line names none. */
export function readTraces(file: URL): readonly Trace[] {
  const named = /([^/]+?)\.jsonl(?:\.gz)?$/.exec(file.pathname)?.[1] ?? '';
  return readLines(file).flatMap((row) => traceOf(row, named) ?? []);
}

function traceOf(row: JsonObject, file: string): Trace | undefined {
  const id = idOf(row['id']);
  if (id === undefined || typeof row['text'] !== 'string') return undefined;
  // Without pieces the text is read as one, and without one score a piece there are none.
  const hasPieces = Array.isArray(row['pieces']) && row['pieces'].length > 0;
  const pieces = hasPieces ? list(row['pieces']).map(text) : row['text'] === '' ? [] : [row['text']];
  const given = list(row['lp']).flatMap((value) => (typeof value === 'number' ? value : []));
  const logprobs = given.length === pieces.length ? given : [];
  const finish = row['finish'];
  const isCut = finish === undefined ? pieces.length >= recordedTokens : finish === 'length';
  return {
    id,
    model: typeof row['model'] === 'string' ? row['model'] : file,
    text: row['text'],
    pieces,
    logprobs,
    first: list(row['first']).flatMap(alternative),
    finish: isCut ? 'length' : 'stop',
    prefillMs: Number(row['prefill_ms'] ?? 0),
    decodeMs: Number(row['decode_ms'] ?? 0),
  };
}

function alternative(value: JsonValue): Array<{ token: string; logprob: number }> {
  if (!Array.isArray(value) || typeof value[1] !== 'number') return [];
  return [{ token: text(value[0]), logprob: value[1] }];
}

/**
 * The events a backend yields while this answer is written, one token at a time, calls read as the device host reads
 * them. Without `scores` the same answer as of an engine that gives none.
 */
export function eventsOf(trace: Trace, tools: readonly ToolSpec[], scores = true): readonly InferenceEvent[] {
  const parser = tools.length === 0 ? undefined : new ToolCallParser(tools.map(({ name }) => name));
  const events: InferenceEvent[] = [{ type: 'start', model: trace.model }];
  let held: TokenScore[] = [];
  let calls = 0;
  let left = trace.text.length;
  let isOver = false;
  const write = (parts: ReturnType<ToolCallParser['push']>): void => {
    for (const part of parts) {
      if (isOver) return;
      if (part.k === 'text') {
        // What small models write after a call is its made-up result: the device host ends the answer there.
        if (calls > 0) isOver = part.text.trim() !== '';
        else events.push({ type: 'text-delta', text: part.text });
        continue;
      }
      const { name, json, repaired } = part.call;
      events.push({ type: 'tool-call-start', index: calls, id: `call${calls}`, name });
      events.push({ type: 'tool-call-delta', index: calls, json });
      if (part.isComplete) events.push({ type: 'tool-call-end', index: calls, ...(repaired && { repaired }) });
      calls += 1;
    }
  };
  const release = (about: 'text' | 'tool-call'): void => {
    if (scores && held.length > 0) events.push({ type: 'token-scores', about, scores: held });
    held = [];
  };
  for (const [index, piece] of trace.pieces.entries()) {
    if (isOver) break;
    const shown = piece.slice(0, Math.max(0, left));
    left -= piece.length;
    const top = index === 0 && trace.first.length > 0 ? { top: trace.first } : {};
    const logprob = trace.logprobs[index];
    if (logprob !== undefined) held.push({ token: piece, logprob, ...top });
    const before = calls;
    const parts = shown === '' ? [] : (parser?.push(shown) ?? [{ k: 'text' as const, text: shown }]);
    const inside = parser?.inside ?? 'text';
    if (inside !== 'undecided') release(inside === 'call' || calls > before ? 'tool-call' : 'text');
    write(parts);
  }
  const isCall = calls > 0 || parser?.inside === 'call';
  const rest = isOver ? [] : (parser?.end(trace.finish === 'stop' ? 'stopped' : 'cut') ?? []);
  release(isCall || rest.some(({ k }) => k === 'call') ? 'tool-call' : 'text');
  write(rest);
  const usage = { promptTokens: 0, completionTokens: trace.pieces.length };
  const reason = trace.finish === 'length' && !isOver ? 'length' : calls > 0 ? 'tool_calls' : 'stop';
  events.push({ type: 'finish', reason, usage });
  return events;
}

/** Calls of an answer, arguments read; undefined arguments where the JSON cannot be read. */
export interface WrittenCall {
  readonly name: string;
  readonly arguments: JsonObject | undefined;
}

/** The calls among the events of an answer. */
export function callsOf(events: readonly InferenceEvent[]): readonly WrittenCall[] {
  const calls = new Map<number, { name: string; json: string }>();
  for (const event of events) {
    if (event.type === 'tool-call-start') calls.set(event.index, { name: event.name, json: '' });
    if (event.type === 'tool-call-delta') {
      const call = calls.get(event.index);
      if (call !== undefined) call.json += event.json;
    }
  }
  return [...calls.values()].map(({ name, json }) => {
    try {
      const value: JsonValue = JSON.parse(json === '' ? '{}' : json);
      return { name, arguments: isJsonObject(value) ? value : undefined };
    } catch {
      return { name, arguments: undefined };
    }
  });
}

/** Ids may be numbers. */
export function idOf(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined;
}

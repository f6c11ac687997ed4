import assert from 'node:assert/strict';

import { isJsonObject, type JsonObject, parseJson } from '@lfo/router/src/core/json.ts';

/** A whole event stream, taken apart. */
export interface ReadStream {
  /** Every JSON payload in order, error frames included. */
  readonly chunks: readonly JsonObject[];
  /** Whether the stream came to its `[DONE]`. */
  readonly isDone: boolean;
  readonly comments: number;
}

/** Takes apart what a server wrote as SSE; anything but comments, JSON objects and one last `[DONE]` fails. */
export function readSse(text: string): ReadStream {
  const chunks: JsonObject[] = [];
  let isDone = false;
  let comments = 0;
  for (const frame of text.split('\n\n')) {
    if (frame === '') continue;
    assert.equal(isDone, false, 'nothing follows [DONE]');
    if (frame.startsWith(':')) {
      comments++;
      continue;
    }
    assert.ok(frame.startsWith('data: '), `not a data frame: ${frame}`);
    const data = frame.slice('data: '.length);
    if (data === '[DONE]') {
      isDone = true;
      continue;
    }
    const chunk = parseJson(data);
    assert.ok(isJsonObject(chunk), `not a JSON object: ${data}`);
    chunks.push(chunk);
  }
  return { chunks, isDone, comments };
}

/** A value deep inside parsed JSON: `at(chunk, 'choices', 0, 'delta')`; `undefined` where there is none. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let here = value;
  for (const key of path) {
    if (typeof here !== 'object' || here === null) return undefined;
    here = Reflect.get(here, key);
  }
  return here;
}

/** The words of a chat's chunks, one after the other. */
export function saidIn(chunks: readonly unknown[]): string {
  const texts = chunks.map((chunk) => at(chunk, 'choices', 0, 'delta', 'content'));
  return texts.filter((text) => typeof text === 'string').join('');
}

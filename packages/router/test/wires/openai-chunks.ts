import assert from 'node:assert/strict';
import { readSse } from '@lfo/testing/sse.ts';
import type OpenAI from 'openai';
import { parsed } from './talk.ts';

type Usage = OpenAI.CompletionUsage | null | undefined;

interface AnyChunk {
  readonly id: string;
  readonly object: string;
  readonly choices: readonly unknown[];
  readonly usage?: Usage;
}

/** What a stream of chunks says. */
interface ReadChunks<Choice> {
  readonly choices: readonly Choice[];
  readonly usage: Usage;
  /** Whether it ended in an error. */
  readonly hasFailed: boolean;
}

/** Reads a stream of chunks of this kind: choices, then the usage, which has none, and `[DONE]`; or an error, and nothing. */
export function readChunks<Chunk extends AnyChunk>(
  text: string,
  object: Chunk['object'],
): ReadChunks<Chunk['choices'][number]> {
  const { chunks, isDone } = readSse(text);
  const last = chunks.length - 1;
  const choices: Chunk['choices'][number][] = [];
  let usage: Usage;
  let id: string | undefined;
  let hasFailed = false;
  for (const [i, json] of chunks.entries()) {
    if ('error' in json) {
      assert.equal(i, last, 'nothing follows an error');
      hasFailed = true;
      continue;
    }
    const chunk: Chunk = parsed(json);
    assert.equal(chunk.object, object);
    id ??= chunk.id;
    assert.equal(chunk.id, id, 'one id for all chunks');
    const [choice] = chunk.choices;
    if (choice === undefined) {
      assert.equal(i, last, 'the usage comes last');
      usage = chunk.usage;
    } else choices.push(choice);
  }
  assert.equal(isDone, !hasFailed, 'a whole stream ends in [DONE], and no other does');
  return { choices, usage, hasFailed };
}

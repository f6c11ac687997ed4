import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { embedderOf } from './device-embedder.ts';

const vector = Buffer.from(new Float32Array([0.5, 1]).buffer).toString('base64url');

/** Of a device that says so of each message. */
async function countedFor(tokens: number, inputs: readonly string[]): Promise<number | undefined> {
  const embed = async (texts: readonly string[]) => ({ vectors: texts.map(() => vector), tokens });
  const embedder = embedderOf({
    id: () => 'phone',
    models: () => ['minilm'],
    contextTokens: () => 512,
    link: () => ({ embed }),
  });
  const call = { signal: new AbortController().signal, clock: new FakeClock(), model: 'minilm' };
  const { vectors, promptTokens } = await embedder.embed({ inputs, truncate: true }, call);
  assert.deepEqual(
    vectors.map((each) => [...each]),
    inputs.map(() => [0.5, 1]),
  );
  return promptTokens;
}

test('what a device counts for texts is taken, over several messages too, unless it cannot be', async () => {
  assert.equal(await countedFor(7, ['a text', 'another']), 7);
  assert.equal(
    await countedFor(
      40,
      Array.from({ length: 20 }, () => 'a text'),
    ),
    80,
  );
  for (const absurd of [2 ** 53 - 1, 1e9, 0]) assert.equal(await countedFor(absurd, ['a text']), undefined);
});

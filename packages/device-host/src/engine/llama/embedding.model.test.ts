import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineError } from '@lfo/device-core';
import { llamaEngine } from './llama-engine.ts';
import { fetched, never, options } from './model-trial.ts';

test('all-MiniLM-L6-v2 gives its publisher’s figures, as vectors of unit length', async () => {
  const engine = llamaEngine();
  try {
    const model = await engine.load(await fetched('all-minilm-l6-v2'), options, () => {}, never);
    assert.ok(model.embed !== undefined);
    assert.deepEqual([model.info.ctx, model.info.caps], [512, ['embedding']]);
    const texts = ['A man is eating food.', 'A man is eating a piece of bread.', 'The girl is carrying a baby.'];
    const { vectors, tokens } = await model.embed(texts, { truncate: false }, never);
    const cosine = (one: Float32Array = new Float32Array(), other: Float32Array = new Float32Array()): number =>
      one.reduce((sum, value, at) => sum + value * (other[at] ?? 0), 0);
    const [food, bread, baby] = vectors;
    assert.deepEqual([vectors.length, food?.length, tokens], [3, 384, 28]);
    assert.ok(Math.abs(cosine(food, food) - 1) < 1e-5);
    // The card of sentence-transformers/all-MiniLM-L6-v2 and its examples.
    assert.ok(Math.abs(cosine(food, bread) - 0.7553) < 0.001);
    assert.ok(Math.abs(cosine(food, baby) + 0.105) < 0.001);

    const long = 'word '.repeat(511);
    await assert.rejects(
      model.embed([texts[0] ?? '', long], { truncate: false }, never),
      (error) =>
        error instanceof EngineError && error.code === 'too_long' && error.message.startsWith('Text 1 has 513'),
    );
    assert.equal((await model.embed([long], { truncate: true }, never)).tokens, 512);
  } finally {
    await engine.close();
  }
});

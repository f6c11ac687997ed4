import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { EngineRequest, LoadedModel } from '@lfo/device-core';
import { llamaEngine } from './llama-engine.ts';
import { answer, ask, doneOf, fetched, never, scoresOf, textOf } from './model-trial.ts';

/** Longer than the window of 512 tokens that most layers of the model attend to. */
const body = Array.from(
  { length: 55 },
  (_, at) => `Entry ${at}: the ${['red', 'blue', 'green'][at % 3]} box of room ${at * 7} holds ${at + 3} coins.`,
).join('\n');
const tail = (question: string): EngineRequest =>
  ask(`${body}\n\n${question}`, { temperature: 0, maxTokens: 16, scores: { top: 0 } });
const first = tail('What does the box of the last room hold?');
const other = tail(
  `Repeat the list backwards, and say of each box what it holds. ${'Do it slowly and with care. '.repeat(30)}`,
);

for (const name of ['gemma3-270m', 'smollm2-135m']) {
  describe(`a warm prefix with ${name}`, { concurrency: false }, () => {
    const engine = llamaEngine();
    let model: LoadedModel;
    before(async () => {
      model = await engine.load(await fetched(name), { contextTokens: 4096, slots: 1, gpu: 'none' }, () => {}, never);
    });
    after(() => engine.close());

    test('changes neither the answer nor its scores', async () => {
      const cold = await answer(model, first);
      assert.equal(doneOf(cold).usage.cached_tokens, 0);
      await answer(model, other);
      const warm = await answer(model, first);
      const reused = doneOf(warm).usage.cached_tokens ?? 0;
      assert.ok(reused > 1000, `${reused} of ${doneOf(warm).usage.prompt_tokens} tokens were reused`);
      assert.equal(textOf(warm), textOf(cold));
      const logprobs = [cold, warm].map((events) =>
        scoresOf(events).flatMap(({ scores }) => scores.map(({ lp }) => lp)),
      );
      for (const [at, lp] of (logprobs[0] ?? []).entries()) {
        assert.ok(
          Math.abs(lp - (logprobs[1]?.[at] ?? NaN)) < 0.01,
          `token ${at}: ${lp} cold, ${logprobs[1]?.[at]} warm`,
        );
      }
    });
  });
}

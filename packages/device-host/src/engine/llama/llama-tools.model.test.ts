import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { LoadedModel } from '@lfo/device-core';
import { llamaEngine } from './llama-engine.ts';
import { answer, ask, doneOf, fetched, never, options, scoresOf, textOf, weather } from './model-trial.ts';

describe('llama.cpp with Qwen2.5-Coder-0.5B', { concurrency: false }, () => {
  const engine = llamaEngine();
  let model: LoadedModel;
  before(async () => {
    model = await engine.load(await fetched('qwen2.5-coder-0.5b'), { ...options, slots: 1 }, () => {}, never);
  });
  after(() => engine.close());

  test('a tool is called when the question asks for it', async () => {
    const events = await answer(
      model,
      ask('What is the weather in Paris?', { tools: [weather], maxTokens: 60, scores: { top: 0 } }),
    );
    assert.ok(model.info.caps.includes('tools'));
    assert.equal(doneOf(events).finishReason, 'tool_calls');
    assert.equal(events.find((event) => event.k === 'call')?.name, 'get_weather');
    assert.equal(textOf(events).trim(), '');
    assert.ok(scoresOf(events).every((part) => part.of === 'call' && part.taken === 'raw'));
  });

  test('tool_choice none is answered in text, a named choice with that tool', async () => {
    const none = await answer(model, ask('What is the weather in Paris?', { tools: [weather], toolChoice: 'none' }));
    assert.ok(none.every((event) => event.k !== 'call') && textOf(none) !== '');
    const named = await answer(
      model,
      ask('Say hello.', { tools: [weather, { name: 'other' }], toolChoice: { name: 'get_weather' }, maxTokens: 60 }),
    );
    assert.equal(named.find((event) => event.k === 'call')?.name, 'get_weather');
  });

  test('an answer with emoji is never broken', async () => {
    const text = textOf(await answer(model, ask('Repeat exactly: 😀🎉🚀', { maxTokens: 20 })));
    assert.ok(text !== '' && !text.includes('\uFFFD'));
  });
});

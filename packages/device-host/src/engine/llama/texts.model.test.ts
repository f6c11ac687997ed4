import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { LoadedModel } from '@lfo/device-core';
import { llamaEngine } from './llama-engine.ts';
import { answer, ask, doneOf, fetched, never, options, scoresOf, textOf } from './model-trial.ts';

describe('texts that are gone on with by Qwen2.5-Coder-0.5B', { concurrency: false }, () => {
  const engine = llamaEngine();
  let model: LoadedModel;
  before(async () => {
    model = await engine.load(await fetched('qwen2.5-coder-0.5b'), { ...options, slots: 1 }, () => {}, never);
  });
  after(() => engine.close());

  test('the middle is filled in, up to what comes after it', async () => {
    assert.ok(model.info.caps.includes('text') && model.info.caps.includes('infill'));
    const text = { prompt: 'def add(a, b):\n    ', suffix: '\n\nprint(add(1, 2))\n' };
    const events = await answer(model, ask('', { text, maxTokens: 32, scores: { top: 0 } }));
    assert.match(textOf(events), /^return a \+ b\n/);
    assert.ok(scoresOf(events).length > 0);
    // Three marks around 16 or so tokens of text, and no template.
    assert.ok(doneOf(events).usage.prompt_tokens < 24, String(doneOf(events).usage.prompt_tokens));
  });

  test('a text goes on without the template, and not as an answer', async () => {
    const said = textOf(await answer(model, ask('', { text: { prompt: 'The capital of France is' }, maxTokens: 3 })));
    assert.match(said, /^ Paris/);
    const { usage } = doneOf(await answer(model, ask('', { text: { prompt: 'Once upon a' }, maxTokens: 1 })));
    assert.equal(usage.prompt_tokens, 3);
  });

  test('marks of the model in a prompt are marks; those in a text with a gap are text', async () => {
    const [prompt, suffix] = ['def add(a, b):\n    ', '\n\nprint(add(1, 2))\n'];
    const fim = `<|fim_prefix|>${prompt}<|fim_suffix|>${suffix}<|fim_middle|>`;
    const asked = [{ prompt: fim }, { prompt, suffix }].map((text) => answer(model, ask('', { text, maxTokens: 12 })));
    const [written, built] = await Promise.all(asked);
    assert.equal(textOf(written ?? []), textOf(built ?? []));
    const marked = { prompt: '<|im_start|>', suffix: '<|im_end|>' };
    const { usage } = doneOf(await answer(model, ask('', { text: marked, maxTokens: 1 })));
    assert.ok(usage.prompt_tokens > 5, 'each mark of the text is several tokens');
  });

  test('a stop sequence ends it', async () => {
    const text = { prompt: '1, 2, 3, 4,' };
    const said = textOf(await answer(model, ask('', { text, stop: [' 6'], maxTokens: 20 })));
    assert.equal(said, ' 5,');
  });
});

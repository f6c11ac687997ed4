import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openApiValidator } from '@lfo/testing/openapi-validator.ts';
import { withoutReferenceData } from '@lfo/testing/reference-data.ts';
import { fromEvents, scriptedRouter, someUsage } from '@lfo/testing/scripted-router.ts';
import OpenAI from 'openai';
import type { InferenceEvent } from '../src/core/events.ts';
import type { ChatRequest } from '../src/core/request.ts';

const said: readonly InferenceEvent[] = [
  { type: 'start', model: 'tiny' },
  { type: 'text-delta', text: ' a time' },
  { type: 'text-delta', text: ' 🏔.' },
  { type: 'finish', reason: 'length', usage: someUsage },
];

describe('legacy completions', () => {
  const seen: ChatRequest[] = [];
  const router = scriptedRouter({
    answer(request) {
      seen.push(request);
      return fromEvents(said);
    },
  });
  let base = '';
  before(async () => void (base = await router.listen()));
  after(() => router.app.close());

  const post = (body: object): Promise<Response> =>
    fetch(`${base}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  test('the official SDK, whole and as a stream: the prompt is a text, and a user’s message for those who can only answer', async () => {
    const client = new OpenAI({ apiKey: 'none', baseURL: `${base}/v1`, maxRetries: 0 });
    const asked = { model: 'lfo-auto', prompt: 'Once upon', max_tokens: 7, stop: 'END' };
    const data = await client.completions.create({ ...asked, echo: true, suffix: 'a mountain', best_of: 2 });
    assert.deepEqual(
      [data.object, data.model, data.choices[0]?.text, data.choices[0]?.finish_reason, data.usage?.total_tokens],
      ['text_completion', 'tiny', 'Once upon a time 🏔.', 'length', 15],
    );
    const request = seen.at(-1);
    assert.deepEqual(request?.messages, [{ role: 'user', content: [{ type: 'text', text: 'Once upon' }] }]);
    assert.deepEqual(request?.continuation, { prompt: 'Once upon', suffix: 'a mountain', bestOf: 2 });
    assert.deepEqual([request?.sampling.maxTokens, request?.sampling.stop], [7, ['END']]);

    let text = '';
    let reason: string | undefined;
    let tokens: number | undefined;
    const stream = await client.completions.create({
      ...asked,
      prompt: ['Once upon'],
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const { choices, usage } of stream) {
      text += choices[0]?.text ?? '';
      reason = choices[0]?.finish_reason ?? reason;
      tokens = usage?.total_tokens ?? tokens;
    }
    assert.deepEqual([text, reason, tokens], [' a time 🏔.', 'length', 15]);
    const raw = await (await post({ ...asked, stream: true })).text();
    assert.match(raw, /data: \[DONE\]\n\n$/);
    assert.match(raw, /"lfo_metadata":/);
  });

  test('what cannot be done names its field', async () => {
    for (const [body, param] of [
      [{ prompt: 'a', suffix: 1 }, 'suffix'],
      [{ prompt: 'a', logit_bias: { 5: 101 } }, 'logit_bias.5'],
      [{ prompt: [1, 2] }, 'prompt'],
      [{ prompt: ['a', 'b'] }, 'prompt'],
      [{ prompt: '' }, 'prompt'],
      [{}, 'prompt'],
      [{ prompt: 'a', logprobs: 9 }, 'logprobs'],
      [{ prompt: 'a', stream_options: {} }, 'stream_options'],
    ] as const) {
      const response = await post({ model: 'lfo-auto', ...body });
      const { error } = JSON.parse(await response.text());
      assert.deepEqual([response.status, error.param], [400, param]);
    }
  });

  test('OpenAI’s document', { skip: withoutReferenceData }, async () => {
    const body = await (await post({ model: 'lfo-auto', prompt: 'Once upon', logprobs: 2 })).text();
    openApiValidator()('CreateCompletionResponse', JSON.parse(body));
  });
});

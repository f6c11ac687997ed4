import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { joined } from '@lfo/testing/pairing.ts';
import { asking, startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { TestDevice } from '@lfo/testing/test-device.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';

/** Says a word and then nothing more until it is stopped. */
const forEver = () => ({
  parts: Array.from({ length: 2_000 }, (_, at) => ({ k: 'text', text: at === 0 ? 'Well' : '\n' }) as const),
  isGuarded: true,
});

const env = { LFO_FLEET_LISTEN: '127.0.0.1:0' };
const warning = /^the model repeated itself and was stopped/;

describe('a local model that repeats itself for ever', { timeout: 60_000 }, () => {
  test('is stopped; its answer ends as length, says why, and leaves the place to the next', async (t) => {
    const router = await startRouter(t, { env });
    await joined(router, new TestDevice(t, { slots: 1, answer: forEver }));
    for (let turn = 0; turn < 2; turn++) {
      const { status, json, headers } = await router.chat(asking('x', { model: 'lfo-local' }));
      assert.equal(status, 200);
      assert.equal(at(json, 'choices', 0, 'finish_reason'), 'length');
      assert.equal(at(json, 'lfo_metadata', 'native_finish_reason'), 'repetition');
      assert.match(String(at(json, 'lfo_metadata', 'warnings', 'finish_reason')), warning);
      assert.match(String(headers['x-lfo-warning']), /^finish_reason: the model repeated itself/);
      assert.equal(at(json, 'usage', 'completion_tokens'), 257);
    }
  });

  test('is told of in the last chunk of a stream', async (t) => {
    const router = await startRouter(t, { env });
    await joined(router, new TestDevice(t, { answer: forEver }));
    const { chunks } = await router.stream(asking('x', { model: 'lfo-local' }));
    assert.match(String(at(chunks.at(-1), 'lfo_metadata', 'warnings', 'finish_reason')), warning);
    assert.ok(chunks.some((chunk) => at(chunk, 'choices', 0, 'finish_reason') === 'length'));
  });

  test('is no answer where a cloud can give one, and nothing is said of it there', async (t) => {
    const cloud = await ScriptedUpstream.start(answerWith({ deltas: ['far'] }));
    t.after(() => cloud.close());
    const yaml = `backends:
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big] }
`;
    const router = await startRouter(t, { env, yaml });
    await joined(router, new TestDevice(t, { answer: forEver }));
    const { json, headers } = await router.chat(asking('x'));
    assert.equal(at(json, 'choices', 0, 'message', 'content'), 'far');
    assert.equal(at(json, 'lfo_metadata', 'attempts', 0, 'reason'), 'truncated_answer');
    assert.equal(headers['x-lfo-warning'], undefined);
  });
});

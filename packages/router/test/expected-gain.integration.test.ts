import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asking, startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { longPrompt, pacedAnswer } from '@lfo/testing/upstream/paced-answer.ts';

const tool = {
  type: 'function',
  function: {
    name: 'book_table',
    description: 'Book a table in a restaurant',
    parameters: { type: 'object', properties: { restaurant: { type: 'string' } } },
  },
};

test('what fits no tool and would take long goes to the cloud at once where seconds are dear, and says why', async (t) => {
  const near = await ScriptedUpstream.start(pacedAnswer(1_000));
  const far = await ScriptedUpstream.start(answerWith({ deltas: ['far'] }));
  t.after(() => Promise.all([near.close(), far.close()]));
  const routing = (text: string): string => `routing: { ${text} }
backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${near.origin}/v1", models: [small] }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${far.origin}/v1", models: [big] }
`;
  const dear = await startRouter(t, { yaml: routing('predict_gain: true, usd_per_second: 1') });
  const off = await startRouter(t, { yaml: routing('usd_per_second: 1') });
  const body = asking('Which novel of Dickens is the longest, and which of Tolstoy?', { tools: [tool] });
  for (const router of [dear, off]) {
    const before = await router.request('POST', '/v1/route', body);
    assert.equal(at(before.json, 'expected'), undefined, 'nobody knows how long it takes yet');
    for (let turn = 0; turn < 3; turn++) await router.stream(asking(longPrompt, { model: 'lfo-local' }));
  }
  const route = await dear.request('POST', '/v1/route', body);
  assert.equal(at(route.json, 'routing_reason'), 'expected_gain');
  assert.equal(at(route.json, 'route'), 'cloud');
  const right = at(route.json, 'expected', 'right');
  assert.ok(typeof right === 'number' && right > 0 && right < 0.5, String(right));
  const answer = await dear.chat(body);
  assert.deepEqual([answer.headers['x-lfo-route'], answer.headers['x-lfo-reason']], ['cloud', 'expected_gain']);
  const asEver = await off.request('POST', '/v1/route', body);
  assert.deepEqual([at(asEver.json, 'route'), at(asEver.json, 'expected')], ['local', undefined]);
});

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { asking, startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import type { Script } from '@lfo/testing/upstream/exchange.ts';
import { answerWith, deltaFrame } from '@lfo/testing/upstream/openai-answer.ts';

const tool = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Weather in a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

/** Calls the tool with each of its tokens at this log-probability. */
function calls(city: string, logprob: number): Script {
  const model = { model: 'm' };
  const tokens = ['get', '_weather', '{"', 'city', '":"', city, '"}'].map((token) => ({ token, logprob }));
  const json = `{"city":"${city}"}`;
  const call = { index: 0, id: 'c1', type: 'function', function: { name: 'get_weather', arguments: json } };
  return async (exchange) => {
    exchange.head(200, { 'content-type': 'text/event-stream' });
    await exchange.write(deltaFrame({ tool_calls: [call] }, tokens, null, model));
    await exchange.write(`${deltaFrame({}, [], 'tool_calls', model)}data: [DONE]\n\n`);
    exchange.finish();
  };
}

interface Rig {
  readonly ask: () => ReturnType<Awaited<ReturnType<typeof startRouter>>['chat']>;
  readonly other: ScriptedUpstream;
  readonly cloud: ScriptedUpstream;
  readonly router: Awaited<ReturnType<typeof startRouter>>;
}

async function rig(t: TestContext, otherModel: string, gate = 'second_opinion: true', more = ''): Promise<Rig> {
  const one = await ScriptedUpstream.start(calls('Paris', -0.6));
  const other = await ScriptedUpstream.start(calls('Paris', -0.01));
  const cloud = await ScriptedUpstream.start(answerWith({ deltas: ['far'] }));
  t.after(() => Promise.all([one.close(), other.close(), cloud.close()]));
  const yaml = `gate: { ${gate} }
${more}
backends:
  - { name: one, kind: openai-compatible, tier: local, base_url: "${one.origin}/v1", models: [qwen2.5-0.5b] }
  - { name: other, kind: openai-compatible, tier: local, base_url: "${other.origin}/v1", models: ["${otherModel}"] }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big] }
`;
  const router = await startRouter(t, { yaml });
  const body = asking('What is the weather in Paris?', { tools: [tool] });
  // Its own score, and a threshold that it misses by less than an agreement is worth.
  const { json } = await router.chat({ ...body, metadata: { confidence_threshold: '0' } });
  const score = at(json, 'lfo_metadata', 'confidence');
  assert.ok(typeof score === 'number' && score > 0.01 && score < 0.95, String(score));
  const threshold = String(Math.min(0.99, score + 0.02));
  const ask: Rig['ask'] = () => router.chat({ ...body, metadata: { confidence_threshold: threshold } });
  return { ask, other, cloud, router };
}

test('an answer that another family gives too stays local, with both told', async (t) => {
  const { ask, other, cloud } = await rig(t, 'llama-3.2-1b');
  const before = other.chats.length;
  const answer = await ask();
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['x-lfo-route'], 'local');
  assert.equal(answer.headers['x-lfo-reason'], 'second_opinion');
  assert.equal(at(answer.json, 'choices', 0, 'message', 'tool_calls', 0, 'function', 'name'), 'get_weather');
  assert.equal(at(answer.json, 'lfo_metadata', 'backend'), 'one');
  assert.equal(at(answer.json, 'lfo_metadata', 'degraded'), false);
  assert.deepEqual(at(answer.json, 'lfo_metadata', 'attempts', 0, 'second_opinion'), {
    backend: 'other',
    model: 'm',
    agrees: true,
  });
  assert.equal(other.chats.length, before + 1);
  assert.equal(cloud.chats.length, 0);
});

test('where the other one differs, or does not answer in time, the cloud answers as ever', async (t) => {
  const { ask, other, cloud } = await rig(t, 'llama-3.2-1b');
  other.always(calls('London', -0.01));
  const answer = await ask();
  assert.equal(answer.headers['x-lfo-route'], 'cloud');
  assert.equal(at(answer.json, 'lfo_metadata', 'attempts', 0, 'second_opinion', 'agrees'), false);
  other.always((exchange) => exchange.silence());
  assert.equal((await ask()).headers['x-lfo-route'], 'cloud');
  assert.equal(await other.exchanges.at(-1)?.ended, 'aborted');
  assert.equal(cloud.chats.length, 2);
});

for (const [what, model, gate, more] of [
  ['of its own family', 'qwen2.5-1.5b', 'second_opinion: true', ''],
  ['unless it is switched on', 'llama-3.2-1b', 'second_opinion: false', ''],
  [
    'that a rule keeps from the request',
    'llama-3.2-1b',
    'second_opinion: true',
    'routing: { rules: [{ name: not-there, when: { tools: true }, then: { forbid: other } }] }',
  ],
] as const) {
  test(`nobody is asked ${what}`, async (t) => {
    const { ask, other } = await rig(t, model, gate, more);
    const before = other.chats.length;
    assert.equal((await ask()).headers['x-lfo-route'], 'cloud');
    assert.equal(other.chats.length, before);
  });
}

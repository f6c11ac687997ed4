import assert from 'node:assert/strict';
import { test } from 'node:test';

import { asking, startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';

const settingOf = (body: unknown, name: string): unknown => {
  const list = at(body, 'settings');
  assert.ok(Array.isArray(list));
  return list.find((each: unknown) => at(each, 'setting') === name);
};

test('a threshold laid over the file steers at once, is shown with its origin, and is undone by deleting it', async (t) => {
  const local = await ScriptedUpstream.start(answerWith({ deltas: ['Syd', 'ney', '.'], logprobs: [-0.1, -0.1, -0.4] }));
  const cloud = await ScriptedUpstream.start(answerWith({ deltas: ['Canberra.'] }));
  t.after(() => Promise.all([local.close(), cloud.close()]));
  const yaml = `routing: { confidence_threshold: 0.3 }
backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small] }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big] }
`;
  const router = await startRouter(t, { yaml });
  const name = 'routing.confidence_threshold';
  const before = settingOf((await router.request('GET', '/admin/settings')).json, name);
  assert.deepEqual(before, { setting: name, value: 0.3, origin: 'file', fixedBy: null });
  assert.equal((await router.chat(asking('Capital?'))).headers['x-lfo-route'], 'local');

  const changed = await router.request('PATCH', `/admin/settings/${name}`, { value: 1 });
  assert.deepEqual(changed.json, { setting: name, value: 1, origin: 'override', fixedBy: null });
  assert.equal((await router.chat(asking('Capital?'))).headers['x-lfo-route'], 'cloud');
  const route = await router.request('POST', '/v1/route', asking('Capital?'));
  assert.deepEqual([at(route.json, 'threshold'), at(route.json, 'threshold_from')], [1, 'override']);

  await router.request('DELETE', `/admin/settings/${name}`);
  assert.equal((await router.chat(asking('Capital?'))).headers['x-lfo-route'], 'local');

  const odd = await router.request('PATCH', `/admin/settings/${name}`, { value: 7 });
  assert.equal(odd.status, 400);
  assert.equal((await router.request('PATCH', '/admin/settings/server.port', { value: 1 })).status, 404);
});

test('a goal laid over the file binds and is seen where requests are explained', async (t) => {
  const local = await ScriptedUpstream.start(answerWith({ deltas: ['Syd', 'ney', '.'], logprobs: [-0.1, -0.1, -0.4] }));
  const cloud = await ScriptedUpstream.start(answerWith({ deltas: ['Canberra.'] }));
  t.after(() => Promise.all([local.close(), cloud.close()]));
  const router = await startRouter(t, {
    yaml: `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small] }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big] }
`,
  });
  await router.request('PATCH', '/admin/settings/routing.goal.cloud_share', { value: 0 });
  const route = await router.request('POST', '/v1/route', asking('Capital?'));
  assert.deepEqual(
    [at(route.json, 'threshold'), at(route.json, 'threshold_from'), at(route.json, 'binding_goal')],
    [0, 'goal', 'cloud_share'],
  );
  assert.equal(at(route.json, 'goals', 0, 'state'), 'binds');
  assert.equal((await router.chat(asking('Capital?'))).headers['x-lfo-route'], 'local');
  await router.request('PATCH', '/admin/settings/routing.goal.cloud_share', { value: null });
  assert.equal(at((await router.request('POST', '/v1/route', asking('Capital?'))).json, 'threshold_from'), 'default');
});

test('what the environment fixes is not changed', async (t) => {
  const router = await startRouter(t, { env: { LFO_CONFIDENCE_THRESHOLD: '0.6' } });
  const answer = await router.request('PATCH', '/admin/settings/routing.confidence_threshold', { value: 0.9 });
  assert.equal(answer.status, 409);
  assert.match(answer.text, /LFO_CONFIDENCE_THRESHOLD/);
  const view = settingOf((await router.request('GET', '/admin/settings')).json, 'routing.confidence_threshold');
  assert.equal(at(view, 'origin'), 'environment');
});

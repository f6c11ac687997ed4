import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { runLfo } from '@lfo/testing/lfo-process.ts';
import { startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';

async function started(t: TestContext, rules: string, more = ''): Promise<TestRouter> {
  const near = await ScriptedUpstream.start(answerWith({ deltas: ['Near.'] }));
  const far = await ScriptedUpstream.start(answerWith({ deltas: ['Far.'] }));
  t.after(() => Promise.all([near.close(), far.close()]));
  return startRouter(t, {
    yaml: `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${near.origin}/v1", models: [small] }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${far.origin}/v1", models: [large], api_key: sk-far }
${more}
routing:
  confidence_threshold: 0
  rules:
${rules}
`,
  });
}

const rules = `
    - { name: legal-stays-home, when: { content: "(?i)contract" }, then: { require: local } }
    - { name: team-far, when: { header: { x-team: "far*" } }, then: { prefer: cloud } }
    - { name: project, when: { metadata: { project: "a*" } }, then: { forbid: local } }
    - { name: haiku-far, when: { model: "claude-haiku*" }, then: { prefer: cloud } }
    - { name: exact, when: { tools: true }, then: { goal: { quality: 0.98 } } }
`;

test('rules decide, are named in the answer and in /v1/route, and leave a 400 where nothing is left', async (t) => {
  const { chat, request } = await started(t, rules);
  const ask = (content: string, more: object = {}) => ({
    model: 'lfo-auto',
    messages: [{ role: 'user', content }],
    ...more,
  });
  const of = async (body: Record<string, unknown>, headers?: Record<string, string>) => {
    const { text, headers: head } = await chat(body, headers);
    const { lfo_metadata: said } = JSON.parse(text);
    return [said.route, said.routing_reason, said.rules, head['x-lfo-egress']];
  };
  assert.deepEqual(await of(ask('Our Contract'), { 'x-team': 'far-out' }), [
    'local',
    'rule',
    ['legal-stays-home', 'team-far'],
    'none',
  ]);
  assert.deepEqual(await of(ask('Hello'), { 'x-team': 'far-out' }), ['cloud', 'rule', ['team-far'], 'far']);
  assert.deepEqual(await of(ask('Hello', { metadata: { project: 'alpha' } })), ['cloud', 'rule', ['project'], 'far']);
  assert.deepEqual((await of(ask('Hello')))[2], undefined);
  const named = await of(ask('Hello', { model: 'claude-haiku-9' }));
  assert.deepEqual(named, ['cloud', 'rule', ['haiku-far'], 'far'], 'a name that stands for an alias is still the name');

  const { text } = await request('POST', '/v1/route', ask('A contract'));
  const { mode, rules: voted, routing_reason: reason } = JSON.parse(text);
  const expected = [{ name: 'legal-stays-home', vote: 'require', tier: 'local' }];
  assert.deepEqual([mode, reason, voted], ['local', 'rule', expected]);

  const tools = [{ type: 'function', function: { name: 'f' } }];
  const exact = await request('POST', '/v1/route', ask('Hello', { model: 'claude-haiku-9', tools }));
  const { rules: goals, requested_model: asked, name_rule: rule } = JSON.parse(exact.text);
  assert.deepEqual(goals, [
    { name: 'haiku-far', vote: 'prefer', tier: 'cloud' },
    { name: 'exact', vote: 'goal', quality: 0.98 },
  ]);
  assert.deepEqual([asked, rule], ['claude-haiku-9', '*haiku*']);

  const refused = await chat(ask('A contract', { model: 'lfo-cloud' }));
  assert.deepEqual([refused.status, JSON.parse(refused.text).error.code], [400, 'mode_conflict']);
  assert.match(refused.text, /legal-stays-home/);
});

test('a rule that contradicts another is no configuration', async (t) => {
  await assert.rejects(
    started(t, '    - { name: a, then: { require: local } }\n    - { name: b, then: { require: cloud } }'),
    /contradicts the rule "a"/,
  );
});

test('lfo replay tries rules on stored requests, and says of how many it cannot tell', async (t) => {
  const { chat, folder, app } = await started(t, '    []', 'records: { capture: true }');
  for (const model of ['no-such-model', '']) {
    const refused = await chat({ model, messages: [{ role: 'user', content: 'Hello' }] });
    assert.ok(refused.status >= 400, 'refused before it was routed');
  }
  for (const content of ['A contract', 'Hello', 'Goodbye']) {
    assert.equal((await chat({ model: 'lfo-auto', messages: [{ role: 'user', content }] })).status, 200);
  }
  await app.close();
  writeFileSync(
    join(folder, 'new.yaml'),
    `rules:
  - { name: contracts-far, when: { content: "(?i)contract" }, then: { prefer: cloud } }
  - { name: team, when: { header: { x-team: "*" } }, then: { require: cloud } }
  - { name: everything, then: { require: near } }
`,
  );
  const env = { LFO_DATA_DIR: join(folder, 'data'), LFO_LOCAL_MODEL: 'none' };
  const { code, stdout } = await runLfo(t, ['replay', '--rules', 'new.yaml', '--json'], { cwd: folder, env });
  assert.equal(code, 0);
  const { requests, untried, outcomes, rules: tried } = JSON.parse(stdout);
  assert.deepEqual([requests, untried], [3, 3]);
  assert.deepEqual(outcomes, { same: 3, to_local: 0, to_cloud: 0, other_backend: 0, refused: 0 });
  assert.deepEqual(tried['contracts-far'], { matched: 1, changed: 1, untried: 0 });
  assert.deepEqual(tried.team, { matched: 0, changed: 0, untried: 3 });
  const text = await runLfo(t, ['replay', '--rules', 'new.yaml'], { cwd: folder, env });
  assert.match(text.stdout, /contracts-far +1 +1 +0/);
  const wrong = await runLfo(t, ['replay', '--rules', 'absent.yaml'], { cwd: folder, env });
  assert.equal(wrong.code, 2);
});

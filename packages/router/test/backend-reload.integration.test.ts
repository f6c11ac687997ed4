import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '@lfo/testing/faults/keyed-process.ts';
import { type Answer, asking, startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { KeyTable } from '../src/keys/key-table.ts';
import { SqliteStore } from '../src/records/store/sqlite-store.ts';

test('a backend that is added to or removed from lfo.yaml is live after a reload; what runs on it goes on', async (t) => {
  const one = await ScriptedUpstream.start(answerWith({ deltas: ['one'], logprobs: [-0.01] }));
  const other = await ScriptedUpstream.start(answerWith({ deltas: ['o', 't', 'her'], paceMs: 300 }));
  const cloud = await ScriptedUpstream.start(answerWith({ deltas: ['cloud'] }));
  t.after(() => Promise.all([one.close(), other.close(), cloud.close()]));
  const entry = (name: string, tier: string, origin: string): string =>
    `  - { name: ${name}, kind: openai-compatible, tier: ${tier}, base_url: "${origin}/v1", models: [${name}-model] }\n`;
  const first = entry('one', 'local', one.origin);
  const router = await startRouter(t, { yaml: `backends:\n${first}` });
  const reload = (...entries: readonly string[]): void => {
    writeFileSync(join(router.folder, 'lfo.yaml'), `backends:\n${entries.join('')}`);
    const { type } = router.config.reload();
    assert.equal(type, 'applied');
  };
  const models = async (): Promise<string> => (await router.request('GET', '/v1/models')).text;
  const asked = (model: string) => router.chat(asking('Hello', { model }));
  assert.equal((await asked('lfo-cloud')).status, 503);

  reload(first, entry('other', 'local', other.origin), entry('far', 'cloud', cloud.origin));
  await until('both are listed', async () => /other-model/.test(await models()) && /far-model/.test(await models()));
  assert.match((await asked('lfo-cloud')).text, /"content":"cloud"/);
  await until('the new server is looked at, as those of the start are', async () =>
    other.requests.some(({ method, path }) => method === 'GET' && path === '/v1/models'),
  );
  assert.ok(cloud.requests.every(({ method }) => method === 'POST'));

  const running = asked('other-model');
  await until('it runs', async () => other.requests.some(({ method }) => method === 'POST'));
  reload(first);
  await until('both are gone', async () => !/other-model|far-model/.test(await models()));
  const answer = await running;
  assert.deepEqual([answer.status, /"content":"other"/.test(answer.text)], [200, true]);
  assert.equal((await asked('other-model')).status, 404);
  assert.equal((await asked('lfo-cloud')).status, 503);
  assert.match((await asked('lfo-auto')).text, /"content":"one"/);
});

test('the order of the file is the order of preference after a reload too', async (t) => {
  const [one, other] = [await ScriptedUpstream.start(), await ScriptedUpstream.start()];
  t.after(() => Promise.all([one.close(), other.close()]));
  for (const upstream of [one, other]) upstream.always(answerWith({ deltas: ['Hi'] }));
  const entry = (name: string, { origin }: ScriptedUpstream, models = 'big'): string =>
    `  - { name: ${name}, kind: openai-compatible, tier: cloud, base_url: "${origin}/v1", models: [${models}] }\n`;
  const router = await startRouter(t, { yaml: `backends:\n${entry('one', one)}${entry('other', other)}` });
  const reload = (...entries: readonly string[]): void => {
    writeFileSync(join(router.folder, 'lfo.yaml'), `backends:\n${entries.join('')}`);
    assert.equal(router.config.reload().type, 'applied');
  };
  const answering = async (): Promise<unknown> =>
    (await router.chat(asking('Hello', { model: 'lfo-cloud' }))).headers['x-lfo-egress'];
  assert.equal(await answering(), 'one');

  reload(entry('one', one, 'big, huge'), entry('other', other));
  await until('the change is in use', async () => /"huge"/.test((await router.request('GET', '/v1/models')).text));
  assert.equal(await answering(), 'one', 'one that was changed keeps its place');

  reload(entry('other', other), entry('one', one, 'big, huge'));
  await until('the other comes first', async () => (await answering()) === 'other');
});

test('money is counted and reserved by the prices in force, of a backend that came with a reload too', async (t) => {
  const cloud = await ScriptedUpstream.start(
    answerWith({ deltas: ['4'], usage: { prompt_tokens: 30, completion_tokens: 100, total_tokens: 130 }, paceMs: 300 }),
  );
  t.after(() => cloud.close());
  const router = await startRouter(t);
  const store = new SqliteStore(join(router.folder, 'data', 'lfo.db'));
  t.after(() => store.close());
  const limits = { usdPerDay: 1 };
  const { text } = await new KeyTable(store).create({ name: 'ci', scopes: ['chat'], limits }, Date.now());
  const reload = (perMillion: number): void => {
    writeFileSync(
      join(router.folder, 'lfo.yaml'),
      `prices: { big: { prompt: ${perMillion}, cached: ${perMillion}, completion: ${perMillion} } }
backends:
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big] }
`,
    );
    assert.equal(router.config.reload().type, 'applied');
  };
  const ask = () =>
    router.chat(asking('Hello', { model: 'lfo-cloud', max_tokens: 100 }), { authorization: `Bearer ${text}` });
  reload(1);
  // Until the router has seen that there is a key, everybody is the owner, whom no limit holds.
  await until('the key is known', async () => (await router.chat(asking('Hello'))).status === 401);
  await until('it may answer', async () => (await ask()).status === 200);
  // At this price one answer reserves more than is left once another runs.
  reload(10_000);
  let answers: readonly Answer[] = [];
  // What the first answer had reserved is given back a moment after it.
  await until('one of two may answer', async () => {
    answers = await Promise.all([ask(), ask()]);
    return answers.some(({ status }) => status === 200);
  });
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200, 429]));
  assert.match(answers.map(({ text }) => text).join(''), /"cost_usd":1\.3/);
});

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import { until } from '@lfo/testing/faults/keyed-process.ts';
import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { type Answer, asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import type { Script } from '@lfo/testing/upstream/exchange.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import type { KeyLimits } from '../src/core/identity.ts';
import { KeyTable } from '../src/keys/key-table.ts';
import { PostgresStore } from '../src/records/store/postgres-store.ts';
import { SqliteStore } from '../src/records/store/sqlite-store.ts';
import type { Store } from '../src/records/tables.ts';

const postgres = postgresOfFile();

const sure = answerWith({ deltas: ['It', ' is', ' 4', '.'], logprobs: [-0.05, -0.02, -0.01, -0.02], paceMs: 1 });
const unsure = answerWith({ deltas: ['Syd', 'ney', '.'], logprobs: [-1.9, -1.2, -0.9], paceMs: 1 });
/** 13 cents at the prices below. */
const answerUsd = 0.13;
const answer = answerWith({
  deltas: ['Can', 'ber', 'ra'],
  usage: { prompt_tokens: 30, completion_tokens: 100, total_tokens: 130 },
});
/** Slow enough that all clients are there before the first has its answer. */
const dear: Script = async (exchange) => {
  await exchange.pause(400);
  await answer(exchange);
};

interface Limited {
  readonly router: TestRouter;
  readonly local: ScriptedUpstream;
  readonly cloud: ScriptedUpstream;
  /** Sends a chat with the limited key. */
  readonly chat: (body: Readonly<Record<string, unknown>>) => Promise<Answer>;
  /** What the key has paid so far. */
  readonly spentUsd: () => Promise<number>;
}

/** A router with both tiers, and one key with these limits. */
async function limited(t: TestContext, limits: KeyLimits, databaseUrl?: string): Promise<Limited> {
  const local = await ScriptedUpstream.start(unsure);
  const cloud = await ScriptedUpstream.start(dear);
  t.after(() => Promise.all([local.close(), cloud.close()]));
  const router = await startRouter(t, {
    // A busy machine may take its time; what happens then is another test's.
    yaml: `limits: { store_wait_ms: 2000 }
prices:
  big: { prompt: 1000, cached: 1000, completion: 1000 }
backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small] }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big], concurrency: 100 }
`,
    ...(databaseUrl === undefined ? {} : { env: { DATABASE_URL: databaseUrl } }),
  });
  const store: Store =
    databaseUrl === undefined ? new SqliteStore(join(router.folder, 'data', 'lfo.db')) : new PostgresStore(databaseUrl);
  t.after(() => store.close());
  const { text, key } = await new KeyTable(store).create({ name: 'limited', scopes: ['chat'], limits }, Date.now());
  const headers = { authorization: `Bearer ${text}` };
  await until(
    'the key is known',
    async () => (await router.request('GET', '/v1/models', undefined, headers)).status === 200,
  );
  await until('keys are needed', async () => (await router.request('GET', '/v1/models')).status === 401);
  return {
    router,
    local,
    cloud,
    chat: (body) => router.chat(body, headers),
    async spentUsd() {
      const rows = await store.db.selectFrom('requests').select('cost_usd').where('client_key', '=', key.id).execute();
      return rows.reduce((sum, { cost_usd: usd }) => sum + (usd ?? 0), 0);
    },
  };
}

/** 64 clients, each with so many requests one after the other. */
async function sixtyFour(rounds: number, send: () => Promise<Answer>): Promise<readonly Answer[]> {
  const client = async (): Promise<readonly Answer[]> => {
    const answers: Answer[] = [];
    for (let round = 0; round < rounds; round += 1) answers.push(await send());
    return answers;
  };
  return (await Promise.all(Array.from({ length: 64 }, client))).flat();
}

const databases = [
  { name: 'SQLite', skip: false, url: async () => undefined },
  { name: 'PostgreSQL', skip: withoutPostgres, url: () => postgres().database() },
] as const;

for (const { name, skip, url } of databases) {
  describe(`64 clients of one key, ${name}`, { skip, timeout: 120_000 }, () => {
    test('a limit of one dollar a day lets one dollar through, and one answer at most', async (t) => {
      const { chat, cloud, spentUsd } = await limited(t, { usdPerDay: 1 }, await url());
      const answers = await sixtyFour(4, () => chat(asking('Capital of Australia?', { model: 'lfo-cloud' })));
      const given = answers.filter(({ status }) => status === 200);
      const refused = answers.filter(({ status }) => status === 429);
      assert.equal(given.length + refused.length, answers.length);
      assert.ok(refused.every(({ json }) => at(json, 'error', 'code') === 'rate_limit_exceeded'));
      assert.equal(given.length, cloud.requests.length);
      await until('each is on record', async () => Math.abs((await spentUsd()) - given.length * answerUsd) < 1e-6);
      assert.ok(given.length >= 1 && (await spentUsd()) <= 1 + answerUsd, `${await spentUsd()} dollars`);
    });

    test('auto stays local when the money is used up, and says so', async (t) => {
      const { chat, cloud, spentUsd } = await limited(t, { usdPerDay: 1 }, await url());
      const answers = await sixtyFour(4, () => chat(asking('Capital of Australia?')));
      assert.ok(answers.every(({ status }) => status === 200));
      const kept = answers.filter(({ headers }) => /limits: .*1 dollars a day/.test(String(headers['x-lfo-warning'])));
      assert.ok(kept.length > 0 && kept.length + cloud.requests.length >= answers.length);
      assert.ok(kept.every(({ headers }) => headers['x-lfo-egress'] === 'none' && headers['x-lfo-route'] === 'local'));
      assert.ok(cloud.requests.length * answerUsd <= 1 + answerUsd, `${cloud.requests.length} cloud answers`);
      assert.ok((await spentUsd()) <= 1 + answerUsd);
    });
  });
}

describe('limits of a key', { timeout: 60_000 }, () => {
  test('tokens of 64 clients at once go over their limit by one answer at most', async (t) => {
    const { chat } = await limited(t, { tokensPerDay: 2_000 });
    const answers = await sixtyFour(2, () => chat(asking('Capital of Australia?', { model: 'lfo-cloud' })));
    const given = answers.filter(({ status }) => status === 200).length;
    assert.ok(given >= 1 && given * 130 <= 2_000 + 130, `${given} answers`);
  });

  test('a spent budget keeps auto local, ends cloud, and leaves local alone', async (t) => {
    const { chat, local, cloud } = await limited(t, { usdPerDay: 0.1 });
    assert.equal((await chat(asking('first', { model: 'lfo-cloud' }))).headers['x-lfo-egress'], 'far');
    local.always(unsure);
    const auto = await chat(asking('second'));
    assert.deepEqual([auto.status, auto.headers['x-lfo-route'], auto.headers['x-lfo-egress']], [200, 'local', 'none']);
    assert.match(String(auto.headers['x-lfo-warning']), /limits: the limit of 0\.1 dollars a day is reached/);
    const pinned = await chat(asking('third', { model: 'big' }));
    assert.deepEqual([pinned.status, at(pinned.json, 'error', 'code')], [429, 'rate_limit_exceeded']);
    local.always(sure);
    const own = await chat(asking('fourth', { model: 'lfo-local' }));
    assert.deepEqual([own.status, own.headers['x-lfo-warning']], [200, undefined]);
    assert.equal(cloud.requests.length, 1);
  });
});

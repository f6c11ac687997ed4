import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startBalanced, withoutNginx } from '@lfo/testing/balanced-routers.ts';
import { ownerKey, type Site, startSite } from '@lfo/testing/balanced-site.ts';
import { until } from '@lfo/testing/faults/keyed-process.ts';
import { assertFigure, assertWithin } from '@lfo/testing/figure.ts';
import { type PostgresServer, startPostgres, transactionsOf, withoutPostgres } from '@lfo/testing/postgres.ts';
import { startRedis, withoutRedis } from '@lfo/testing/redis.ts';
import { at } from '@lfo/testing/sse.ts';
import { scaled } from '@lfo/testing/test-scale.ts';
import { Client } from 'pg';

const skip = [withoutPostgres, withoutRedis, withoutNginx].find((why) => why !== false) ?? false;
const options = { skip, timeout: scaled({ always: 170_000, full: 850_000 }) };
const routers = 3;

async function postgresOf(t: TestContext): Promise<PostgresServer> {
  const server = await startPostgres();
  t.after(() => server.stop());
  return server;
}

interface Load {
  readonly statuses: Map<number, number>;
  /** Of any request that was answered. */
  longestMs: number;
}

/** Eight clients that ask without a pause while something happens. */
async function loaded(site: Site, key: string, happens: () => Promise<void>): Promise<Load> {
  const load: Load = { statuses: new Map(), longestMs: 0 };
  const end = { isHere: false };
  const client = async (): Promise<void> => {
    while (!end.isHere) {
      const from = performance.now();
      const { status, text } = await site.chat(key);
      load.longestMs = Math.max(load.longestMs, performance.now() - from);
      load.statuses.set(status, (load.statuses.get(status) ?? 0) + 1);
      assert.ok(status === 200 || status === 429, `${status} ${text}`);
      await delay(20);
    }
  };
  const clients = Array.from({ length: 8 }, client);
  await happens();
  end.isHere = true;
  await Promise.all(clients);
  return load;
}

const waitMs = 600;
const limit = 120;

for (const kind of ['PostgreSQL', 'Redis'] as const) {
  for (const trouble of ['stopped', 'hung', 'emptied'] as const) {
    if (kind === 'PostgreSQL' && trouble === 'emptied') continue;
    test(`${kind} ${trouble} in mid-load: no request fails or waits for it, and shares hold`, options, async (t) => {
      const postgres = await postgresOf(t);
      const redis = kind === 'Redis' ? await startRedis() : undefined;
      if (redis !== undefined) t.after(() => redis.stop());
      const site = await startSite(t, {
        databaseUrl: await postgres.database(),
        env: redis === undefined ? {} : { LIMITS_URL: redis.url },
        storeWaitMs: 50,
        answerMs: 20,
      });
      // Each router has seen both keys before anything happens.
      const busy = await site.key({ requestsPerDay: 1_000_000 });
      const small = await site.key({ requestsPerDay: limit });
      const headers = { authorization: `Bearer ${ownerKey}` };
      let asked = 0;
      for (const url of site.routers.urls) {
        await until('it knows of all', async () => {
          const view: unknown = await (await fetch(`${url}/admin/routers`, { headers })).json();
          return at(view, 'routers', 'length') === routers;
        });
        await until('it counts', async () => (await site.chat(busy, {}, url)).status === 200);
        await until('it counts', async () => (await site.chat(small, {}, url)).status === 200);
        asked++;
      }
      const store = redis ?? postgres;
      const isHung = trouble === 'hung';
      const begin = async (): Promise<void> => {
        if (isHung) store.freeze();
        else if (trouble === 'stopped') await store.crash();
        else await redis?.empty();
      };
      const finish = async (): Promise<void> => {
        if (isHung) store.thaw();
        else if (trouble === 'stopped') await store.restart();
      };
      let passed = 0;
      const load = await loaded(site, busy, async () => {
        await delay(500);
        await begin();
        const small64 = Array.from({ length: 16 }, async () => {
          for (let turn = 0; turn < 12; turn++) {
            const { status, text } = await site.chat(small);
            assert.ok(status === 200 || status === 429, `${status} ${text}`);
            if (status === 200) passed++;
          }
        });
        await Promise.all(small64);
        // A store that was emptied answers.
        const state = trouble === 'emptied' ? 'answering' : 'away';
        const metrics = await (await fetch(`${site.routers.urls[0]}/metrics`, { headers })).text();
        assert.match(metrics, new RegExp(`lfo_limits_store\\{state="${state}"\\} 1`));
        await delay(500);
        await finish();
        await delay(1_500);
      });
      const total = passed + asked;
      t.diagnostic(`${JSON.stringify([...load.statuses])}; ${total} of ${limit} by the small key`);
      assert.deepEqual([...load.statuses.keys()], [200]);
      assertWithin(t, `longest request with ${kind} ${trouble}`, load.longestMs, waitMs);
      // What was seen last may be a beat old, and each router rounds its share.
      assert.ok(total < limit + routers, `${total} of ${limit}`);
      assertFigure(t, {
        what: `share of a limit with ${kind} ${trouble}`,
        value: total,
        unit: '',
        bound: limit / 2,
        is: 'least',
      });
    });
  }
}

test(
  'three routers start at once on an empty database, again and again: one schema and no error in its log',
  options,
  async (t) => {
    const postgres = await postgresOf(t);
    for (let start = 0; start < scaled({ always: 2, full: 10 }); start++) {
      const url = await postgres.database();
      const began = await startBalanced(t, {
        routers,
        yaml: 'backends:\n  - { name: far, kind: openai-compatible, tier: cloud, base_url: "http://127.0.0.1:9/v1", models: [big] }\n',
        env: { DATABASE_URL: url, LFO_AUTH_TOKEN: ownerKey },
      });
      const client = new Client(url);
      await client.connect();
      const { rows } = await client.query<{ name: string }>('select name from schema_steps');
      await client.end();
      assert.equal(new Set(rows.map(({ name }) => name)).size, rows.length, 'each step once');
      assert.ok(rows.length > 0);
      const answers = began.urls.map((each) =>
        fetch(`${each}/admin/routers`, { headers: { authorization: `Bearer ${ownerKey}` } }),
      );
      for (const answer of await Promise.all(answers)) assert.equal(answer.status, 200);
      for (let index = 0; index < routers; index++) await began.kill(index);
    }
    assert.deepEqual(postgres.errors(), []);
  },
);

test('the live feed of one router shows what another has answered, within two seconds', options, async (t) => {
  const postgres = await postgresOf(t);
  const site = await startSite(t, { databaseUrl: await postgres.database(), answerMs: 20 });
  const [first = '', , third = ''] = site.routers.urls;
  const leaving = new AbortController();
  t.after(() => leaving.abort());
  const feed = await fetch(`${third}/dashboard/api/live`, {
    headers: { authorization: `Bearer ${ownerKey}` },
    signal: leaving.signal,
  });
  assert.equal(feed.status, 200);
  let said = '';
  void (async () => {
    const decoder = new TextDecoder();
    for await (const bytes of feed.body ?? []) said += decoder.decode(bytes, { stream: true });
  })().catch(() => undefined);
  await delay(500);
  const before = performance.now();
  const { status, router } = await site.chat(ownerKey, {}, first);
  assert.deepEqual([status, router], [200, 'r0']);
  while (!said.includes('"router":"r0"')) {
    assert.ok(performance.now() - before < 30_000, said.slice(-500));
    await delay(20);
  }
  assertWithin(t, 'a row of another router in the live feed', performance.now() - before, 2_000);
});

test('an idle router asks the database for two transactions a second at most', options, async (t) => {
  const postgres = await postgresOf(t);
  const site = await startSite(t, { databaseUrl: await postgres.database() });
  const client = new Client(site.databaseUrl);
  await client.connect();
  await delay(12_000);
  const [before, from] = [await transactionsOf(client), performance.now()];
  await delay(scaled({ always: 6_000, full: 30_000 }));
  const count = (await transactionsOf(client)) - before;
  await client.end();
  const each = count / ((performance.now() - from) / 1_000) / routers;
  assertFigure(t, { what: 'transactions a second of an idle router', value: each, unit: '/s', bound: 2, is: 'most' });
});

test(
  'a router that is killed loses what it had in hand and nothing else; every answer but its last is on record',
  options,
  async (t) => {
    const postgres = await postgresOf(t);
    const site = await startSite(t, { databaseUrl: await postgres.database(), answerMs: 20 });
    const clients = 12;
    const answered: { readonly id: string; readonly router: string; readonly atMs: number }[] = [];
    const lost: string[] = [];
    const end = { isHere: false };
    const client = async (): Promise<void> => {
      while (!end.isHere) {
        const {
          status,
          router = '',
          text,
        } = await site.chat(ownerKey).catch((error: unknown) => ({ status: 0, router: '', text: String(error) }));
        if (status === 200) {
          const id = String(at(JSON.parse(text), 'lfo_metadata', 'request_id'));
          answered.push({ id, router, atMs: performance.now() });
        } else lost.push(`${status} of ${router}: ${text.slice(0, 100)}`);
        await delay(10);
      }
    };
    const running = Array.from({ length: clients }, client);
    await delay(1_500);
    await site.routers.kill(1);
    const killedMs = performance.now();
    await delay(2_500);
    end.isHere = true;
    await Promise.all(running);
    t.diagnostic(`${answered.length} answered, ${lost.length} lost`);
    assert.ok(lost.length <= clients, lost.join('\n'));
    const ids = async (): Promise<ReadonlyMap<string, string | null>> => {
      const rows = await site.store.db.selectFrom('requests').select(['id', 'router']).execute();
      return new Map(rows.map(({ id, router }) => [id, router]));
    };
    const alive = answered.filter(({ router }) => router !== 'r1');
    await until('all of the others are on record', async () => {
      const stored = await ids();
      return alive.every(({ id, router }) => stored.get(id) === router);
    });
    const stored = await ids();
    const ages = answered.flatMap(({ id, atMs }) => (stored.has(id) ? [] : [killedMs - atMs]));
    assertWithin(t, 'rows that went with a killed router, at most so old', Math.max(0, ...ages), 150);
  },
);

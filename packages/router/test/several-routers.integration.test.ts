import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { type BalancedRouters, startBalanced, withoutNginx } from '@lfo/testing/balanced-routers.ts';
import { until } from '@lfo/testing/faults/keyed-process.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { assertFigure, assertWithin } from '@lfo/testing/figure.ts';
import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { redisOfFile, withoutRedis } from '@lfo/testing/redis.ts';
import { scaled } from '@lfo/testing/test-scale.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import type { Script } from '@lfo/testing/upstream/exchange.ts';
import { Pool } from 'undici';
import type { KeyLimits } from '../src/core/identity.ts';
import { KeyTable } from '../src/keys/key-table.ts';
import { PostgresStore } from '../src/records/store/postgres-store.ts';

const postgres = postgresOfFile();
const redis = redisOfFile();
const skip = [withoutPostgres, withoutRedis, withoutNginx].find((why) => why !== false) ?? false;
const ownerKey = 'the-key-of-the-owner-of-all-of-this';

const usd = 0.13;
const answered = answerWith({
  deltas: ['Can', 'ber', 'ra'],
  usage: { prompt_tokens: 30, completion_tokens: 100, total_tokens: 130 },
});

interface Site {
  readonly routers: BalancedRouters;
  readonly store: PostgresStore;
  readonly cloud: ScriptedUpstream;
  /** Chats at the cloud: now, and at once at the most. */
  readonly running: { now: number; most: number };
  readonly databaseUrl: string;
  /** Status of a chat through the balancer, or at one router. */
  chat(key: string, body?: object, at?: string): Promise<{ status: number; router: string | undefined; text: string }>;
  key(limits: KeyLimits, more?: { readonly expiresMs?: number }): Promise<string>;
}

async function setUp(t: TestContext, { env = {}, drainMs = 0, count = 3 } = {}): Promise<Site> {
  const running = { now: 0, most: 0 };
  /** Slow enough that all clients are there before the first has its answer. */
  const slowly: Script = async (exchange) => {
    running.most = Math.max(running.most, ++running.now);
    await exchange.pause(300);
    running.now--;
    await answered(exchange);
  };
  const cloud = await ScriptedUpstream.start(slowly);
  t.after(() => cloud.close());
  const databaseUrl = await postgres().database();
  const yaml = `server: { drain_ms: ${drainMs} }
# Busy machines may take their time to answer: what happens when they do not is tested by itself.
limits: { store_wait_ms: 2000 }
prices:
  big: { prompt: 1000, cached: 1000, completion: 1000 }
backends:
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big], concurrency: 1000 }
`;
  const routers = await startBalanced(t, {
    routers: count,
    yaml,
    env: { DATABASE_URL: databaseUrl, LFO_AUTH_TOKEN: ownerKey, ...env },
  });
  const store = new PostgresStore(databaseUrl);
  t.after(() => store.close());
  const pools = new Map([routers.url, ...routers.urls].map((url) => [url, new Pool(url, { connections: 256 })]));
  t.after(() => Promise.all([...pools.values()].map((pool) => pool.destroy())));
  const keys = new KeyTable(store);
  return {
    routers,
    store,
    cloud,
    running,
    databaseUrl,
    async chat(key, body = {}, at = routers.url) {
      const pool = pools.get(at) ?? assert.fail('no such router');
      const answer = await pool.request({
        method: 'POST',
        path: '/v1/chat/completions',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: JSON.stringify({ model: 'lfo-cloud', messages: [{ role: 'user', content: 'Hello' }], ...body }),
      });
      const { 'x-lfo-router': router } = answer.headers;
      return {
        status: answer.statusCode,
        router: typeof router === 'string' ? router : undefined,
        text: await answer.body.text(),
      };
    },
    async key(limits, more = {}) {
      const { text } = await keys.create({ name: 'limited', scopes: ['chat'], limits, ...more }, Date.now());
      const headers = { authorization: `Bearer ${text}` };
      for (const url of routers.urls) {
        await until('the key is known', async () => (await fetch(`${url}/v1/models`, { headers })).ok);
      }
      return text;
    },
  };
}

/** 64 clients, each with so many requests one after the other; how many of them had an answer. */
async function storm(site: Site, key: string, rounds: number, body: object = {}): Promise<number> {
  let count = 0;
  const client = async (): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      const { status, text } = await site.chat(key, body);
      assert.ok(status === 200 || status === 429, `${status} ${text}`);
      if (status === 200) count++;
    }
  };
  await Promise.all(Array.from({ length: 64 }, client));
  return count;
}

for (const kind of ['PostgreSQL', 'Redis'] as const) {
  const env = (): Record<string, string> => (kind === 'Redis' ? { LIMITS_URL: redis().url } : {});

  test(
    `three routers, nginx, 64 clients: every limit holds, counted in ${kind}`,
    { skip, timeout: 170_000 },
    async (t) => {
      const there = await setUp(t, { env: env() });
      assert.equal(await storm(there, await there.key({ requestsPerMinute: 30 }), 1), 30, 'requests a minute');
      assert.equal(await storm(there, await there.key({ requestsPerDay: 30 }), 2), 30, 'requests a day');
      there.running.most = 0;
      const together = await storm(there, await there.key({ concurrency: 4 }), 1);
      assert.ok(together >= 4, `${together} were answered`);
      assert.equal(there.running.most, 4, 'requests at once');
      const tokens = 130 * (await storm(there, await there.key({ tokensPerDay: 1_300 }), 3, { max_tokens: 100 }));
      assert.ok(tokens > 900 && tokens <= 1_430, `${tokens} of 1300 tokens`);
      const dollars = usd * (await storm(there, await there.key({ usdPerDay: 1 }), 3, { max_tokens: 100 }));
      assert.ok(dollars > 0.7 && dollars <= 1 + usd, `${dollars} of 1 dollar`);
      assertFigure(t, { what: `dollars of 1, ${kind}`, value: dollars, unit: 'USD', bound: 1 + usd, is: 'most' });
    },
  );
}

test(
  'a rolling restart of all routers under load loses nothing, streams included',
  { skip, timeout: 170_000 },
  async (t) => {
    const there = await setUp(t, { drainMs: 2_500 });
    const long = answerWith({ deltas: Array.from({ length: 40 }, (_each, index) => `${index} `), paceMs: 50 });
    there.cloud.always(async (exchange) => (at(exchange.request.json, 'stream') === true ? long : answered)(exchange));
    const wanted = scaled({ always: 300, full: 5_000 });
    const failures: string[] = [];
    const streams: boolean[] = [];
    let answers = 0;
    const end = { isHere: false };
    const client = async (isStream: boolean): Promise<void> => {
      while (!end.isHere || answers < wanted) {
        try {
          const { status, text, router } = await there.chat(ownerKey, isStream ? { stream: true } : {});
          if (isStream) streams.push(/39 [^]*\[DONE\]/.test(text));
          else answers++;
          if (status !== 200) failures.push(`${status} of ${router}: ${text.slice(0, 200)}`);
        } catch (error) {
          failures.push(String(error));
        }
      }
    };
    const clients = [
      ...Array.from({ length: 12 }, () => client(false)),
      ...Array.from({ length: 4 }, () => client(true)),
    ];
    for (const index of [0, 1, 2]) {
      await delay(500);
      const { code } = await there.routers.stop(index);
      assert.equal(code, 0);
      await there.routers.start(index);
    }
    end.isHere = true;
    await Promise.all(clients);
    assert.deepEqual(failures, [], there.routers.balancerErrors());
    assert.ok(streams.length > 8 && streams.every(Boolean), `${streams.length} streams`);
    t.diagnostic(`${answers} answers and ${streams.length} streams, none lost`);
    // Every answered request is one row, with its router.
    await until('each is on record', async () => {
      const rows = await there.store.db.selectFrom('requests').select(['id', 'router']).execute();
      return rows.length === answers + streams.length && rows.every(({ router }) => /^r[0-2]$/.test(router ?? ''));
    });
  },
);

test(
  'what one router changes counts at all within a second; a killed one gives its places back',
  { skip, timeout: 170_000 },
  async (t) => {
    const there = await setUp(t);
    const { routers, store } = there;
    const keys = new KeyTable(store);
    const all = async (key: string, status: number): Promise<number> => {
      const startMs = performance.now();
      for (const url of routers.urls) {
        await until(`${status} everywhere`, async () => {
          const answer = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
          return answer.status === status;
        });
      }
      return performance.now() - startMs;
    };
    const { text, key } = await keys.create({ name: 'app', scopes: ['chat'], limits: {} }, Date.now());
    assertWithin(t, 'a new key at three routers', await all(text, 200), 1_000);
    there.cloud.always((exchange) => exchange.silence());
    const streams = routers.urls.map((url) => there.chat(text, { stream: true }, url).catch(() => undefined));
    await until('they run', async () => there.cloud.requests.length === 3);
    await keys.revoke(key.id, Date.now());
    const startMs = performance.now();
    await Promise.all(streams);
    assertWithin(t, 'streams of a revoked key at three routers', performance.now() - startMs, 1_000);
    await all(text, 401);

    // A browser that has logged in at one is known at all.
    const [first = '', second = '', third = ''] = routers.urls;
    const login = await fetch(`${first}/dashboard/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ key: ownerKey }),
    });
    const port = (url: string): string => new URL(url).port;
    const token = /=([\w-]+)/.exec(login.headers.get('set-cookie') ?? '')?.[1] ?? assert.fail('no cookie');
    const statusAt = async (url: string): Promise<number> => {
      const headers = { cookie: `lfo_session_${port(url)}=${token}` };
      return (await fetch(`${url}/admin/routers`, { headers })).status;
    };
    for (const url of routers.urls) assert.equal(await statusAt(url), 200);
    // Each hears of the others by their heartbeat.
    await until('all are known at the third', async () => {
      const view = await fetch(`${third}/admin/routers`, { headers: { authorization: `Bearer ${ownerKey}` } });
      return /"name":"r0".*"name":"r1".*"name":"r2"/.test(await view.text());
    });

    // Two places of two, held at a router that dies.
    const limited = await there.key({ concurrency: 2 });
    const lost = [0, 1].map(() => there.chat(limited, {}, second).catch(() => undefined));
    await until('they run', async () => there.cloud.requests.length === 5);
    assert.equal((await there.chat(limited, {}, first)).status, 429);
    await routers.kill(1);
    const killedMs = performance.now();
    there.cloud.always(answered);
    await Promise.all(lost);
    await until('its places are free', async () => (await there.chat(limited, {}, first)).status === 200);
    assertWithin(t, 'places of a killed router', performance.now() - killedMs, 15_000);
  },
);

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { answeredSlowly, ownerKey, type Site, type SiteOptions, startSite } from '@lfo/testing/balanced-site.ts';
import { withoutNginx } from '@lfo/testing/balanced-routers.ts';
import { until } from '@lfo/testing/faults/keyed-process.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { assertFigure, assertWithin } from '@lfo/testing/figure.ts';
import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { redisOfFile, withoutRedis } from '@lfo/testing/redis.ts';
import { scaled } from '@lfo/testing/test-scale.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { KeyTable } from '../src/keys/key-table.ts';

const postgres = postgresOfFile();
const redis = redisOfFile();
const skip = [withoutPostgres, withoutRedis, withoutNginx].find((why) => why !== false) ?? false;

const usd = 0.13;

const setUp = (t: TestContext, options: Omit<SiteOptions, 'databaseUrl'> = {}): Promise<Site> =>
  postgres()
    .database()
    .then((databaseUrl) => startSite(t, { ...options, databaseUrl }));

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
    { skip, timeout: scaled({ always: 170_000, full: 1_700_000 }) },
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
      // Of a minute as of a day; the minute is long enough for three rounds.
      const perMinute = 130 * (await storm(there, await there.key({ tokensPerMinute: 1_300 }), 1, { max_tokens: 100 }));
      assert.ok(perMinute > 900 && perMinute <= 1_430, `${perMinute} of 1300 tokens`);
      const inAMinute = usd * (await storm(there, await there.key({ usdPerMinute: 1 }), 1, { max_tokens: 100 }));
      assert.ok(inAMinute > 0.7 && inAMinute <= 1 + usd, `${inAMinute} of 1 dollar a minute`);
      assertFigure(t, { what: `dollars of 1, ${kind}`, value: dollars, unit: 'USD', bound: 1 + usd, is: 'most' });
    },
  );
}

test(
  'a rolling restart of all routers under load loses nothing, streams included',
  { skip, timeout: scaled({ always: 170_000, full: 1_700_000 }) },
  async (t) => {
    const there = await setUp(t, { drainMs: 2_500 });
    // Of two seconds, and of ten.
    const pieces = scaled({ always: 40, full: 200 });
    const long = answerWith({ deltas: Array.from({ length: pieces }, (_each, index) => `${index} `), paceMs: 50 });
    const whole = new RegExp(String.raw`\b${pieces - 1} [^]*\[DONE\]`);
    there.cloud.always(async (exchange) =>
      (at(exchange.request.json, 'stream') === true ? long : answeredSlowly)(exchange),
    );
    const wanted = scaled({ always: 300, full: 5_000 });
    const failures: string[] = [];
    const streams: boolean[] = [];
    let answers = 0;
    const end = { isHere: false };
    const client = async (isStream: boolean): Promise<void> => {
      while (!end.isHere || answers < wanted) {
        try {
          const { status, text, router } = await there.chat(ownerKey, isStream ? { stream: true } : {});
          if (isStream) streams.push(whole.test(text));
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
  { skip, timeout: scaled({ always: 170_000, full: 1_700_000 }) },
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
    there.cloud.always(answeredSlowly);
    await Promise.all(lost);
    await until('its places are free', async () => (await there.chat(limited, {}, first)).status === 200);
    assertWithin(t, 'places of a killed router', performance.now() - killedMs, 15_000);
  },
);

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';

import { Client } from 'pg';

import { assertWithin } from '../figure.ts';
import { workingFolder } from '../lfo-process.ts';
import { postgresOfFile, withoutPostgres } from '../postgres.ts';
import { at } from '../sse.ts';
import { faultTest } from './fault-test.ts';
import { counted, keysOf, type KeyedProcess, known, serveKeyed, until } from './keyed-process.ts';
import { eventStream, eventually, localServer, startPlayer, timed } from './subject.ts';

const server = postgresOfFile();

/** Two routers that share a database, and what each of them says. */
async function twoRouters(t: TestContext, env: Readonly<Record<string, string>>, cwds: readonly [string, string]) {
  const player = await startPlayer(t, localServer);
  return await Promise.all(cwds.map((cwd) => serveKeyed(t, { cwd, env, player })));
}

/** Everything that two routers on one database promise. */
async function share(
  t: TestContext,
  [one, two]: readonly KeyedProcess[],
  countsTogether: boolean,
  steps: () => Promise<readonly unknown[]>,
): Promise<void> {
  assert.ok(one !== undefined && two !== undefined);
  const { admin, key } = await keysOf(one);
  await known(two, key);
  const applied = await steps();
  assert.ok(applied.length > 0);
  assert.equal(new Set(applied).size, applied.length, 'each step of the schema once');

  const stored = async (): Promise<void> => {
    for (const router of [one, two])
      await until('its rows are stored', async () => (await counted(router, admin, 'pending')) === 0);
  };
  // Who asked until the keys were known may have been told to come back in a moment.
  await stored();
  const before = JSON.parse(await one.run('stats', '--json'));
  await Promise.all(
    [one, two].flatMap((router) =>
      Array.from({ length: 100 }, async () => assert.equal((await router.chat(key)).status, 200)),
    ),
  );
  await stored();
  for (const router of [one, two]) assert.equal(await counted(router, admin, 'dropped_total'), 0);
  const { requests, failed } = JSON.parse(await two.run('stats', '--json'));
  assert.deepEqual([requests - before.requests >= 200, failed - before.failed], [true, 0]);

  const day = await one.run('keys', 'create', '--name', 'day', '--requests-per-day', '12');
  const minute = await one.run('keys', 'create', '--name', 'minute', '--requests-per-minute', '5');
  for (const router of [one, two]) {
    for (const each of [day, minute]) {
      await until('the key is known', async () => (await router.request('GET', '/v1/models', each)).status === 200);
    }
  }
  const statuses = async (router: KeyedProcess, of: string, times: number): Promise<number[]> =>
    await Promise.all(Array.from({ length: times }, () => settled(router, of)));
  const passed = (all: readonly number[]): number => all.filter((status) => status === 200).length;
  assert.equal(passed(await statuses(one, day, 8)), 8);
  if (countsTogether) {
    assert.equal(passed(await statuses(two, day, 20)), 4);
    assert.equal(passed(await statuses(one, minute, 20)), 5);
    assert.equal(passed(await statuses(two, minute, 20)), 0);
  } else {
    // Days are heard of a second after an own request; minutes are counted by each router for itself.
    assert.equal(passed(await statuses(two, day, 1)), 1);
    await until('the other one has heard', async () => {
      const { headers } = await two.request('GET', '/v1/models', day);
      return headers['x-ratelimit-remaining-requests'] === '3';
    });
    assert.equal(passed(await statuses(two, day, 20)), 3);
    for (const router of [one, two]) {
      const all = await statuses(router, minute, 20);
      assert.equal(passed(all), 5, `answered ${all.join(', ')}`);
    }
  }

  await one.run('keys', 'revoke', 'app');
  for (const router of [one, two]) {
    const ms = await until('the key is dead', async () => (await router.chat(key)).status === 401);
    assertWithin(t, 'key dead', ms, 1_000);
  }
}

/** The status of a chat; who is told to come back in a moment comes back, as clients do. */
async function settled(router: KeyedProcess, key: string): Promise<number> {
  for (let turn = 0; ; turn++) {
    const { status } = await router.chat(key);
    if (status !== 503 || turn === 20) return status;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const together = 'one migration, both serve and record, limits as documented, a key revoked is dead at both';

faultTest(
  {
    row: 53,
    what: `two routers start at once on one PostgreSQL: ${together}`,
    bound: 'revoked within 1 s',
    skip: withoutPostgres,
  },
  async (t) => {
    const url = await server().database();
    const routers = await twoRouters(t, { DATABASE_URL: url }, [workingFolder(t), workingFolder(t)]);
    await share(t, routers, true, async () => {
      const client = new Client(url);
      await client.connect();
      const { rows } = await client.query('select name from schema_steps');
      await client.end();
      return rows.map((row: unknown) => at(row, 'name'));
    });
  },
);

faultTest(
  { row: 53, what: `two routers start at once on one SQLite file: ${together}`, bound: 'revoked within 1 s' },
  async (t) => {
    const cwd = workingFolder(t);
    const routers = await twoRouters(t, {}, [cwd, cwd]);
    await share(t, routers, false, async () => {
      const database = new DatabaseSync(join(cwd, 'data', 'lfo.db'), { readOnly: true });
      const names = database.prepare('select name from schema_steps').all();
      database.close();
      return names.map((row) => row['name']);
    });
  },
);

faultTest({ row: 48, what: 'a key revoked while it is used is dead, its streams cut', bound: '1 s' }, async (t) => {
  const router = await serveKeyed(t);
  const { key } = await keysOf(router);
  router.play(async (exchange) => {
    exchange.head(200, eventStream);
    for (let part = 0; part < 2_000 && exchange.end === undefined; part++) {
      await exchange.write(localServer.text('x'));
      await exchange.pause(25);
    }
  });
  const before = router.calls();
  const cut = router.streams(key);
  await eventually('it runs', () => router.calls() > before);
  await router.run('keys', 'revoke', 'app');
  const dead = await until(
    'the key is dead',
    async () => (await router.request('GET', '/v1/models', key)).status === 401,
  );
  assertWithin(t, 'key dead', dead, 1_000);
  const [isDone, lateMs] = await timed(cut);
  assert.equal(isDone, false);
  assertWithin(t, 'stream cut', lateMs, 1_000);
});

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { assertWithin } from '../figure.ts';
import { workingFolder } from '../lfo-process.ts';
import { postgresOfFile, withoutPostgres } from '../postgres.ts';
import { scaled } from '../test-scale.ts';
import { faultTest } from './fault-test.ts';
import { counted, type KeyedProcess, keysOf, serveKeyed, until } from './keyed-process.ts';
import { percentile } from './percentile.ts';
import { localServer, startPlayer, timed } from './subject.ts';

const server = postgresOfFile();

/** Milliseconds of each of these chats, one after the other, with a key whose limits are looked at each time. */
async function latencies(router: KeyedProcess, key: string, forMs: number): Promise<readonly number[]> {
  const found: number[] = [];
  for (const endMs = performance.now() + forMs; performance.now() < endMs;) {
    const [{ status, headers, text }, ms] = await timed(router.chat(key));
    assert.equal(status, 200, text);
    // What is left while the database that counts is away is what this router may still give.
    assert.equal(headers['x-ratelimit-limit-requests'], '1000000');
    assert.ok(Number(headers['x-ratelimit-remaining-requests']) > 0);
    found.push(ms);
    await delay(10);
  }
  return found;
}

const shown = 'nobody waits for it, keys and limits included, and no row is lost';
const bound = 'median and p90 + 50 ms';
/** Each starts six processes. */
const timeoutMs = 180_000;

/** Compares chats before and while the database stands still, then waits for every row. */
async function keepsServing(
  t: TestContext,
  router: KeyedProcess,
  fault: { readonly begin: () => Promise<void> | void; readonly end: () => Promise<void> | void },
): Promise<void> {
  const { admin, key } = await keysOf(router);
  const before = await latencies(router, key, 1_500);
  await fault.begin();
  const during = await latencies(router, key, 6_000);
  await until('the database refuses rows', async () => (await counted(router, admin, 'degraded')) === 1, 20_000);
  const degraded = await latencies(router, key, 1_000);
  assert.equal((await router.request('GET', '/health')).status, 200);
  assert.equal((await router.chat()).status, 401);
  await fault.end();
  const text = [before, during, degraded].map(
    (each) => `median ${percentile(each, 0.5).toFixed(1)}, largest ${Math.max(...each).toFixed(1)} ms (${each.length})`,
  );
  t.diagnostic(`before: ${text[0]}; during: ${text[1]}; once degraded: ${text[2]}`);
  for (const share of [0.5, 0.9]) {
    for (const [when, each] of Object.entries({ during, degraded })) {
      const more = percentile(each, share) - percentile(before, share);
      assertWithin(t, `p${share * 100} more, ${when}`, more, 50);
    }
  }
  await until('every row is stored', async () => (await counted(router, admin, 'pending')) === 0);
  assert.equal(await counted(router, admin, 'dropped_total'), 0);
  const { requests, lost } = JSON.parse(await router.run('stats', '--json'));
  assert.ok(requests >= before.length + during.length + degraded.length, `${requests} requests`);
  assert.deepEqual(lost, []);
}

faultTest({ row: 45, what: `SQLite is locked by another process: ${shown}`, bound, timeoutMs }, async (t) => {
  const router = await serveKeyed(t);
  const database = new DatabaseSync(join(router.cwd, 'data', 'lfo.db'));
  t.after(() => database.close());
  await keepsServing(t, router, {
    begin: () => database.exec('begin exclusive'),
    end: () => database.exec('rollback'),
  });
});

faultTest(
  { row: 45, what: `PostgreSQL dies and comes back: ${shown}`, bound, skip: withoutPostgres, timeoutMs },
  async (t) => {
    const router = await serveKeyed(t, { env: { DATABASE_URL: await server().database() } });
    await keepsServing(t, router, { begin: () => server().crash(), end: () => server().restart() });
  },
);

faultTest({ row: 45, what: `PostgreSQL hangs: ${shown}`, bound, skip: withoutPostgres, timeoutMs }, async (t) => {
  const router = await serveKeyed(t, { env: { DATABASE_URL: await server().database() } });
  t.after(() => server().thaw());
  await keepsServing(t, router, { begin: () => server().freeze(), end: () => server().thaw() });
});

/** Clients that ask at once. */
const clients = 32;

/** Chats without end on many connections; the ids of those that were answered. */
function load(router: KeyedProcess, key: string) {
  const answered: string[] = [];
  const failed = new Map<string, number>();
  const over = new AbortController();
  const asking = Array.from({ length: clients }, async () => {
    while (!over.signal.aborted) {
      try {
        const { status, headers } = await router.chat(key);
        if (status === 200) answered.push(String(headers['x-request-id']));
        else failed.set(String(status), (failed.get(String(status)) ?? 0) + 1);
      } catch {
        return; // The router is dead.
      }
    }
  });
  const stop = async (): Promise<void> => {
    over.abort();
    await Promise.all(asking);
  };
  return { answered, failed, stop };
}

faultTest(
  {
    row: 46,
    what: 'the router is killed while it serves: what the database took is there and sound, and it is back',
    bound: '5 times, 50 in the full run; median start 2 s',
    timeoutMs: scaled({ always: 300_000, full: 1_700_000 }),
  },
  async (t) => {
    const cwd = workingFolder(t);
    const player = await startPlayer(t, localServer);
    const first = await serveKeyed(t, { cwd, player });
    const keys = await keysOf(first);
    let router = first;
    let taken = 0;
    const ids: string[] = [];
    const startsMs: number[] = [];
    const rounds = scaled({ always: 5, full: 50 });
    for (let round = 0; round < rounds; round++) {
      const { answered, failed, stop } = load(router, keys.key);
      await delay(200 + (round % 10) * 60);
      taken += await counted(router, keys.admin, 'written_total');
      const settled = [...answered];
      await until(
        'they are stored',
        // Rows of requests under way may be written before those of requests whose clients have just read their answer.
        async () => (await counted(router, keys.admin, 'written_total')) >= settled.length + 2 * clients,
      );
      ids.push(...settled);
      router.lfo.child.kill('SIGKILL');
      await router.lfo.finished;
      await stop();
      assert.deepEqual([...failed], []);
      router = await serveKeyed(t, { cwd, player });
      startsMs.push(router.startedMs);
      assert.equal((await router.chat()).status, 401, 'the keys are known from the start');
    }
    t.diagnostic(`${ids.length} answers in ${rounds} rounds; slowest start ${Math.round(Math.max(...startsMs))} ms`);
    assertWithin(t, 'median start', percentile(startsMs, 0.5), 2_000);
    const database = new DatabaseSync(join(cwd, 'data', 'lfo.db'), { readOnly: true });
    t.after(() => database.close());
    const one = (query: string): unknown => Object.values(database.prepare(query).get() ?? {})[0];
    assert.equal(one('pragma integrity_check'), 'ok');
    const rows = Number(one('select count(*) from requests'));
    assert.ok(rows >= taken, `${rows} rows of ${taken} acknowledged ones`);
    assert.equal(one('select sum(requests) from usage_counts'), rows);
    const found = database.prepare('select 1 as one from requests where id = ?');
    for (const id of ids) assert.ok(found.get(id) !== undefined, `${id} is lost`);
  },
);

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { sql } from 'kysely';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { latestOf, type trendRanges } from './history.ts';
import type { RequestRow, Store } from './tables.ts';
import { compactRollups } from './compact-rollups.ts';
import { StoredHistory } from './queries/stored-history.ts';
import { PostgresStore } from './store/postgres-store.ts';
import { SqliteStore } from './store/sqlite-store.ts';
import { sampleRow } from './store/store-contract.ts';
import { trimRecords } from './trim-records.ts';
import { Upkeep } from './upkeep.ts';

const server = postgresOfFile();

const nowMs = 1_700_000_000_000;
const minuteMs = 60_000;
const dayMs = 86_400_000;
const never = new AbortController().signal;

const kinds = {
  async sqlite(t: TestContext): Promise<Store> {
    const folder = mkdtempSync(join(tmpdir(), 'lfo-upkeep-'));
    const store = new SqliteStore(join(folder, 'lfo.db'));
    t.after(async () => {
      await store.close();
      rmSync(folder, { recursive: true });
    });
    return store;
  },
  async postgresql(t: TestContext): Promise<Store> {
    const store = new PostgresStore(await server().database());
    t.after(() => store.close());
    return store;
  },
};

/** Rows of the last ten days, denser towards now; numbers differ so that a lost or doubled one shows. */
function tenDays(): readonly RequestRow[] {
  return Array.from({ length: 400 }, (_, index) =>
    sampleRow(`id-${index}`, {
      time_ms: Math.round(nowMs - 10 * dayMs * (index / 400) ** 3),
      route: index % 3 === 0 ? 'cloud' : 'local',
      prompt_tokens: index,
      total_ms: 10 + index * 7,
      cost_usd: index / 1024,
    }),
  );
}

async function everyRange(store: Store) {
  const history = new StoredHistory(store, new FakeClock(0, nowMs));
  const ranges = ['1h', '6h', '24h', '7d', '30d'] as const satisfies readonly (keyof typeof trendRanges)[];
  return Promise.all(ranges.map((range) => history.trends(latestOf(range, nowMs))));
}

async function countOf(store: Store, table: 'requests' | 'feedback' | 'captures' | 'usage_counts' | 'usage_latency') {
  const { count } = await store.db
    .selectFrom(table)
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return count;
}

for (const [kind, open] of Object.entries(kinds)) {
  const options = kind === 'postgresql' ? { skip: withoutPostgres } : {};

  test(
    `${kind}: merging old buckets changes no trend of any range, however often and by however many`,
    options,
    async (t) => {
      const store = await open(t);
      await store.append('requests', tenDays());
      const before = await everyRange(store);
      const buckets = await countOf(store, 'usage_counts');
      await Promise.all([
        compactRollups(store, nowMs),
        compactRollups(store, nowMs),
        store.append('requests', tenDays()),
      ]);
      await compactRollups(store, nowMs);
      assert.deepEqual(await everyRange(store), before);
      assert.ok((await countOf(store, 'usage_counts')) < buckets);
    },
  );

  test(`${kind}: rows that arrive late are counted in a bucket that was merged already`, options, async (t) => {
    const store = await open(t);
    await store.append('requests', tenDays());
    await compactRollups(store, nowMs);
    const late = Array.from({ length: 3 }, (_, index) => sampleRow(`late-${index}`, { time_ms: nowMs - 9 * dayMs }));
    const [, , , , before] = await everyRange(store);
    await store.append('requests', late);
    await compactRollups(store, nowMs);
    const [, , , , trends] = await everyRange(store);
    const sum = (counts: readonly number[] | undefined) => (counts ?? []).reduce((total, count) => total + count, 0);
    assert.equal(sum(trends?.local), sum(before?.local) + 3);
  });

  test(`${kind}: rows past their retention are deleted, their counts stay`, options, async (t) => {
    const store = await open(t);
    await store.append('requests', tenDays());
    const said = {
      request_id: 'id-399',
      time_ms: nowMs - 9 * dayMs,
      client_key: 'k',
      verdict: 'good',
      expected_route: null,
    } as const;
    await store.append('feedback', [said]);
    const old = tenDays().filter(({ time_ms: timeMs }) => timeMs < nowMs - 2 * dayMs).length;
    const limits = { retentionDays: 2, maxRows: 1_000_000, captureRetentionDays: 7 };
    const before = await everyRange(store);
    assert.equal(await trimRecords(store, nowMs, limits, never), old);
    assert.deepEqual([await countOf(store, 'requests'), await countOf(store, 'feedback')], [400 - old, 0]);
    assert.deepEqual(await everyRange(store), before);
  });

  test(`${kind}: prompts and answers go after their own retention, or with their rows`, options, async (t) => {
    const store = await open(t);
    const captureAt = (agoDays: number) => ({
      request_id: `id-${agoDays}`,
      time_ms: nowMs - agoDays * dayMs,
      words: '{}',
    });
    const ages = Array.from({ length: 120 }, (_, index) => index / 10);
    await store.append('captures', ages.map(captureAt));
    const oldest = async () => {
      const { age } = await store.db
        .selectFrom('captures')
        .select(({ fn }) => fn.min<number>('time_ms').as('age'))
        .executeTakeFirstOrThrow();
      return (nowMs - age) / dayMs;
    };
    await trimRecords(store, nowMs, { retentionDays: 90, maxRows: 1_000_000, captureRetentionDays: 7 }, never);
    assert.deepEqual([await oldest(), await countOf(store, 'captures')], [7, 71]);
    await trimRecords(store, nowMs, { retentionDays: 2, maxRows: 1_000_000, captureRetentionDays: 7 }, never);
    assert.equal(await oldest(), 2);
  });

  test(`${kind}: a gap is shown in the ranges it lies in, and kept as long as rows are`, options, async (t) => {
    const store = await open(t);
    const gap = (id: string, agoMs: number, requests: number) => ({
      id,
      from_ms: nowMs - agoMs,
      until_ms: nowMs - agoMs + 1_000,
      requests,
    });
    await store.append('record_gaps', [gap('new', 2 * 3_600_000, 12), gap('old', 3 * dayMs, 5)]);
    const shown = async () => (await everyRange(store)).map(({ gaps }) => gaps.map(({ requests }) => requests));
    assert.deepEqual(await shown(), [[], [12], [12], [5, 12], [5, 12]]);
    await trimRecords(store, nowMs, { retentionDays: 2, maxRows: 1, captureRetentionDays: 7 }, never);
    assert.deepEqual(await shown(), [[], [12], [12], [12], [12]]);
  });

  test(
    `${kind}: signatures beyond those a router reads at its start are deleted, the oldest first`,
    options,
    async (t) => {
      const store = await open(t);
      const signatures = Array.from({ length: 20_003 }, (_, index) => ({
        key: `k-${index}`,
        signature: 's',
        time_ms: nowMs + index,
      }));
      await store.append('signatures', signatures);
      const limits = { retentionDays: 90, maxRows: 100, captureRetentionDays: 7 };
      await trimRecords(store, nowMs, limits, never);
      const oldest = await store.db
        .selectFrom('signatures')
        .select(({ fn }) => [fn.min('time_ms').as('timeMs'), fn.countAll<number>().as('count')])
        .executeTakeFirstOrThrow();
      assert.deepEqual({ ...oldest }, { timeMs: nowMs + 3, count: 20_000 });
    },
  );

  test(`${kind}: the oldest rows beyond the greatest number are deleted, by whole buckets`, options, async (t) => {
    const store = await open(t);
    const rows = Array.from({ length: 2_500 }, (_, index) =>
      sampleRow(`id-${index}`, { time_ms: nowMs - index * minuteMs }),
    );
    await store.append('requests', rows);
    await trimRecords(store, nowMs, { retentionDays: 90, maxRows: 100, captureRetentionDays: 7 }, never);
    assert.equal(await countOf(store, 'requests'), 100);
  });
}

test(
  'of two routers on one PostgreSQL one merges, and the other waits for nothing',
  { skip: withoutPostgres },
  async (t) => {
    const url = await server().database();
    const [one, two] = [new PostgresStore(url), new PostgresStore(url)];
    t.after(() => Promise.all([one.close(), two.close()]));
    await one.append('requests', tenDays());
    const buckets = await countOf(one, 'usage_counts');
    await one.db.transaction().execute(async (transaction) => {
      await sql`select pg_advisory_xact_lock(5636102)`.execute(transaction);
      await compactRollups(two, nowMs);
      assert.equal(await countOf(two, 'usage_counts'), buckets);
    });
    await compactRollups(two, nowMs);
    assert.ok((await countOf(two, 'usage_counts')) < buckets);
  },
);

test('upkeep runs once a minute, survives a failing database and ends with its router', async (t) => {
  const store = await kinds.sqlite(t);
  await store.append('requests', [
    sampleRow('old', { time_ms: nowMs - 3 * dayMs }),
    sampleRow('new', { time_ms: nowMs }),
  ]);
  const clock = new FakeClock(0, nowMs);
  const errors: unknown[] = [];
  const limits = { retentionDays: 2, maxRows: 100, captureRetentionDays: 7 };
  const upkeep = new Upkeep({ store, clock, limits: () => limits, onError: (error) => errors.push(error) });
  clock.advance(59_999);
  assert.equal(await countOf(store, 'requests'), 2);
  clock.advance(1);
  await upkeep.idle();
  assert.equal(await countOf(store, 'requests'), 1);
  await store.close();
  clock.advance(60_000);
  await upkeep.idle();
  assert.equal(errors.length, 1);
  clock.advance(60_000);
  await upkeep.close();
  assert.equal(errors.length, 2);
  assert.equal(clock.pendingTimers, 0);
});

import { sql } from 'kysely';
import { isPostgres } from './store/postgres-dialect.ts';
import type { RollupCountsRow, RollupLatencyRow, Store } from './tables.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/**
 * How long buckets become as they age. Each range of the trends finds buckets no longer than its own steps: an hour in
 * minutes, six hours in 5 minutes, a day in quarters of an hour, a week in 2 hours, what is older in 8 hours.
 */
const stages = [
  { ageMs: hourMs + 5 * minuteMs, bucketMs: 5 * minuteMs },
  { ageMs: 6 * hourMs + 15 * minuteMs, bucketMs: 15 * minuteMs },
  { ageMs: 24 * hourMs + 15 * minuteMs, bucketMs: 2 * hourMs },
  { ageMs: 7 * dayMs + 2 * hourMs, bucketMs: 8 * hourMs },
] as const;

/** Rows of one statement; their values stay far below what a statement may bind. */
const rowsAtOnce = 500;

/**
 * Merges old buckets into longer ones, one longer bucket a transaction, so that rows are written between even when much
 * has to be made up for. What is read is deleted in the same transaction, so that several routers on one database and
 * rows that arrive meanwhile are each counted once.
 */
export async function compactRollups({ db }: Store, nowMs: number, signal?: AbortSignal): Promise<void> {
  for (const { ageMs, bucketMs } of stages) {
    const beforeMs = Math.floor((nowMs - ageMs) / bucketMs) * bucketMs;
    const next = (): Promise<number | null> => oldestShorter(db, bucketMs, beforeMs);
    for (let oldestMs = await next(); oldestMs !== null; oldestMs = await next()) {
      if (signal?.aborted === true) return;
      const isMine = await mergeBucket(db, oldestMs - (oldestMs % bucketMs), bucketMs);
      if (!isMine) return;
    }
  }
}

/** Begin of the oldest bucket that is part of a longer one; looks at one row a bucket, a thousand a year. */
async function oldestShorter(db: Database, bucketMs: number, beforeMs: number): Promise<number | null> {
  const { oldest } = await db
    .selectFrom('rollup_counts')
    .select(({ fn }) => fn.min<number | null>('bucket_ms').as('oldest'))
    .where('bucket_ms', '<', beforeMs)
    .where(sql<boolean>`bucket_ms % ${sql.lit(bucketMs)} <> 0`)
    .executeTakeFirstOrThrow();
  return oldest;
}

/** Any number that other programs on the database do not use for a lock of theirs. */
const lockId = 5_636_102;

/** Adds what lies within a bucket to its first part; `false` where another router is at it, which does the rest too. */
async function mergeBucket(db: Database, startMs: number, bucketMs: number): Promise<boolean> {
  const atStart = <Row extends object>(row: Row) => ({ ...row, bucket_ms: startMs });
  return db.transaction().execute(async (transaction) => {
    if (isPostgres(transaction)) {
      const { rows } = await sql<{
        mine: boolean;
      }>`select pg_try_advisory_xact_lock(${sql.lit(lockId)}) as mine`.execute(transaction);
      if (rows[0]?.mine !== true) return false;
    }
    const counts = await transaction
      .deleteFrom('rollup_counts')
      .where('bucket_ms', '>', startMs)
      .where('bucket_ms', '<', startMs + bucketMs)
      .returningAll()
      .execute();
    await addCounts(transaction, mergeCounts(counts.map(atStart)));
    const latencies = await transaction
      .deleteFrom('rollup_latency')
      .where('bucket_ms', '>', startMs)
      .where('bucket_ms', '<', startMs + bucketMs)
      .returningAll()
      .execute();
    await addLatencies(transaction, mergeLatencies(latencies.map(atStart)));
    return true;
  });
}

type Database = Store['db'];

async function addCounts(db: Database, rows: readonly RollupCountsRow[]): Promise<void> {
  for (const chunk of chunks(rows)) {
    await db
      .insertInto('rollup_counts')
      .values(chunk)
      .onConflict((conflict) =>
        conflict.column('bucket_ms').doUpdateSet((eb) => {
          const added = (name: CountName) => eb(`rollup_counts.${name}`, '+', eb.ref(`excluded.${name}`));
          return {
            requests: added('requests'),
            local: added('local'),
            cloud: added('cloud'),
            failed: added('failed'),
            escalated: added('escalated'),
            degraded: added('degraded'),
            prompt_tokens: added('prompt_tokens'),
            completion_tokens: added('completion_tokens'),
            cost_usd: added('cost_usd'),
            cost_avoided_usd: added('cost_avoided_usd'),
          };
        }),
      )
      .execute();
  }
}

async function addLatencies(db: Database, rows: readonly RollupLatencyRow[]): Promise<void> {
  for (const chunk of chunks(rows)) {
    await db
      .insertInto('rollup_latency')
      .values(chunk)
      .onConflict((conflict) =>
        conflict
          .columns(['bucket_ms', 'route', 'metric', 'bin'])
          .doUpdateSet((eb) => ({ count: eb('rollup_latency.count', '+', eb.ref('excluded.count')) })),
      )
      .execute();
  }
}

type CountName = Exclude<keyof RollupCountsRow, 'bucket_ms'>;

function mergeCounts(rows: readonly RollupCountsRow[]): readonly RollupCountsRow[] {
  return merge(
    rows,
    ({ bucket_ms: bucket }) => `${bucket}`,
    (a, b) => ({
      bucket_ms: a.bucket_ms,
      requests: a.requests + b.requests,
      local: a.local + b.local,
      cloud: a.cloud + b.cloud,
      failed: a.failed + b.failed,
      escalated: a.escalated + b.escalated,
      degraded: a.degraded + b.degraded,
      prompt_tokens: a.prompt_tokens + b.prompt_tokens,
      completion_tokens: a.completion_tokens + b.completion_tokens,
      cost_usd: a.cost_usd + b.cost_usd,
      cost_avoided_usd: a.cost_avoided_usd + b.cost_avoided_usd,
    }),
  );
}

function mergeLatencies(rows: readonly RollupLatencyRow[]): readonly RollupLatencyRow[] {
  return merge(
    rows,
    ({ bucket_ms: bucket, route, metric, bin }) => `${bucket} ${metric} ${bin} ${route}`,
    (a, b) => ({ ...a, count: a.count + b.count }),
  );
}

/** Rows with one key become one. */
function merge<Row>(rows: readonly Row[], keyOf: (row: Row) => string, add: (a: Row, b: Row) => Row): readonly Row[] {
  const merged = new Map<string, Row>();
  for (const row of rows) {
    const key = keyOf(row);
    const present = merged.get(key);
    merged.set(key, present === undefined ? row : add(present, row));
  }
  return [...merged.values()];
}

function chunks<Row>(rows: readonly Row[]): readonly (readonly Row[])[] {
  return Array.from({ length: Math.ceil(rows.length / rowsAtOnce) }, (_, index) =>
    rows.slice(index * rowsAtOnce, (index + 1) * rowsAtOnce),
  );
}

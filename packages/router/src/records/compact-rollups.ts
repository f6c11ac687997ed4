import { type Kysely, sql } from 'kysely';
import { isPostgres } from './store/postgres-dialect.ts';
import { usageCounts, usageDimensions } from './store/usage-roll-up.ts';
import type { Store, StoreTables } from './tables.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/**
 * How long buckets become as they age. Each range of the trends finds buckets no longer than its own steps: an hour in
 * minutes, six hours in 5 minutes, a day in quarters of an hour, a week in 2 hours, what is older in 8 hours.
 */
export const bucketStages = [
  { ageMs: hourMs + 5 * minuteMs, bucketMs: 5 * minuteMs },
  { ageMs: 6 * hourMs + 15 * minuteMs, bucketMs: 15 * minuteMs },
  { ageMs: 24 * hourMs + 15 * minuteMs, bucketMs: 2 * hourMs },
  { ageMs: 7 * dayMs + 2 * hourMs, bucketMs: 8 * hourMs },
] as const;

/**
 * Merges old buckets into longer ones, one longer bucket a transaction, so that rows are written between even when much
 * has to be made up for. What is read is deleted in the same transaction, so that several routers on one database and
 * rows that arrive meanwhile are each counted once.
 */
export async function compactRollups({ db }: Store, nowMs: number, signal?: AbortSignal): Promise<void> {
  for (const { ageMs, bucketMs } of bucketStages) {
    const beforeMs = Math.floor((nowMs - ageMs) / bucketMs) * bucketMs;
    const next = (): Promise<number | null> => oldestShorter(db, bucketMs, beforeMs);
    for (let oldestMs = await next(); oldestMs !== null; oldestMs = await next()) {
      if (signal?.aborted === true) return;
      const isMine = await mergeBucket(db, oldestMs - (oldestMs % bucketMs), bucketMs);
      if (!isMine) return;
    }
  }
}

type Database = Store['db'];

/** Begin of the oldest bucket that is part of a longer one; walks the primary key of what is left to merge or merged. */
async function oldestShorter(db: Database, bucketMs: number, beforeMs: number): Promise<number | null> {
  const { oldest } = await db
    .selectFrom('usage_counts')
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
  return db.transaction().execute(async (transaction) => {
    if (isPostgres(transaction)) {
      const { rows } = await sql<{
        mine: boolean;
      }>`select pg_try_advisory_xact_lock(${sql.lit(lockId)}) as mine`.execute(transaction);
      if (rows[0]?.mine !== true) return false;
    }
    const counts = Object.keys(usageCounts);
    await merge(transaction, 'usage_counts', usageDimensions, counts, startMs, bucketMs);
    const bins = [...usageDimensions, 'series', 'metric', 'bin'];
    await merge(transaction, 'usage_latency', bins, ['count'], startMs, bucketMs);
    return true;
  });
}

/** Statements alone: no row of a busy day has to travel. Upserts are in order of their keys, against deadlocks. */
async function merge(
  db: Kysely<StoreTables>,
  name: 'usage_counts' | 'usage_latency',
  keys: readonly string[],
  sums: readonly string[],
  startMs: number,
  bucketMs: number,
): Promise<void> {
  const [table, key] = [sql.table(name), sql.raw(keys.join(', '))];
  const within = sql`bucket_ms > ${startMs} and bucket_ms < ${startMs + bucketMs}`;
  const added = sql.raw(sums.map((column) => `sum(${column})`).join(', '));
  const add = sql.raw(sums.map((column) => `${column} = ${name}.${column} + excluded.${column}`).join(', '));
  const into = sql`insert into ${table} (bucket_ms, ${key}, ${sql.raw(sums.join(', '))})
    select cast(${startMs} as bigint), ${key}, ${added}`;
  const ending = sql`group by ${key} order by ${key} on conflict (bucket_ms, ${key}) do update set ${add}`;
  if (isPostgres(db)) {
    // One statement: between two, rows of other routers might come into what is deleted.
    await sql`with gone as (delete from ${table} where ${within} returning *) ${into} from gone ${ending}`.execute(db);
    return;
  }
  await sql`${into} from ${table} where ${within} ${ending}`.execute(db);
  await sql`delete from ${table} where ${within}`.execute(db);
}

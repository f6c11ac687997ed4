import type { RecordsConfig } from '../core/config/config.ts';
import type { Store } from '../core/store.ts';

const dayMs = 86_400_000;
/** Deleted at once: about 20 ms of the database's time, between which new rows are written. */
const rowsAtOnce = 1_000;

/**
 * Deletes what is older than the retention, or beyond the greatest number of rows. Roll-ups stay: they are small.
 * @returns rows deleted
 */
export async function trimRecords(
  store: Store,
  nowMs: number,
  limits: RecordsConfig,
  signal: AbortSignal,
): Promise<number> {
  const byAgeMs = nowMs - limits.retentionDays * dayMs;
  const beforeMs = Math.max(byAgeMs, (await oldestKeptMs(store, limits.maxRows)) ?? byAgeMs);
  let deleted = 0;
  while (!signal.aborted) {
    const count = await deleteOldest(store, beforeMs);
    deleted += count;
    if (count < rowsAtOnce) break;
  }
  await store.db.deleteFrom('feedback').where('time_ms', '<', beforeMs).execute();
  await store.db.deleteFrom('record_gaps').where('until_ms', '<', byAgeMs).execute();
  return deleted;
}

/** Begin of the oldest bucket whose requests still fit; counts buckets, since counting millions of rows takes seconds. */
async function oldestKeptMs({ db }: Store, maxRows: number): Promise<number | undefined> {
  const buckets = await db
    .selectFrom('rollup_counts')
    .select(['bucket_ms', 'requests'])
    .orderBy('bucket_ms', 'desc')
    .execute();
  let rows = 0;
  for (const [index, { requests }] of buckets.entries()) {
    rows += requests;
    if (rows > maxRows) return buckets[Math.max(0, index - 1)]?.bucket_ms;
  }
  return undefined;
}

async function deleteOldest({ db }: Store, beforeMs: number): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('requests')
    .where('id', 'in', (from) =>
      from.selectFrom('requests').select('id').where('time_ms', '<', beforeMs).orderBy('time_ms').limit(rowsAtOnce),
    )
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

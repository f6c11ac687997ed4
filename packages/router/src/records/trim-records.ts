import type { RecordsConfig } from '../core/config/config.ts';
import { defaultSignatureLimits } from '../core/signatures.ts';
import type { Store } from '../core/store.ts';

const dayMs = 86_400_000;
/** Deleted at once: about 20 ms of the database's time, between which new rows are written. */
const rowsAtOnce = 1_000;
/** They may be a hundred times as long. */
const capturesAtOnce = 50;

/** How much is kept. */
export type Retention = Pick<RecordsConfig, 'retentionDays' | 'maxRows' | 'captureRetentionDays'>;

/**
 * Deletes what is older than the retention, or beyond the greatest number of rows. Roll-ups stay: they are small.
 * Signatures of tool calls go beyond their own number.
 * @returns rows deleted
 */
export async function trimRecords(
  store: Store,
  nowMs: number,
  limits: Retention,
  signal: AbortSignal,
): Promise<number> {
  const byAgeMs = nowMs - limits.retentionDays * dayMs;
  const beforeMs = Math.max(byAgeMs, (await oldestKeptMs(store, limits.maxRows)) ?? byAgeMs);
  const deleted = await inSteps(rowsAtOnce, signal, (atOnce) => deleteRows(store, beforeMs, atOnce));
  const wordsBeforeMs = Math.max(beforeMs, nowMs - limits.captureRetentionDays * dayMs);
  await inSteps(capturesAtOnce, signal, (atOnce) => deleteCaptures(store, wordsBeforeMs, atOnce));
  await inSteps(rowsAtOnce, signal, (atOnce) => deleteFeedback(store, beforeMs, atOnce));
  const signedBeforeMs = await signaturesBeforeMs(store);
  if (signedBeforeMs !== undefined)
    await inSteps(rowsAtOnce, signal, (atOnce) => deleteSignatures(store, signedBeforeMs, atOnce));
  await store.db.deleteFrom('record_gaps').where('until_ms', '<', byAgeMs).execute();
  return deleted;
}

/** Repeats a step until it finds less to delete than it might; answers how much all have deleted. */
async function inSteps(
  atOnce: number,
  signal: AbortSignal,
  step: (atOnce: number) => Promise<number>,
): Promise<number> {
  let deleted = 0;
  while (!signal.aborted) {
    const count = await step(atOnce);
    deleted += count;
    if (count < atOnce) break;
  }
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

async function deleteRows({ db }: Store, beforeMs: number, atOnce: number): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('requests')
    .where('id', 'in', (from) =>
      from.selectFrom('requests').select('id').where('time_ms', '<', beforeMs).orderBy('time_ms').limit(atOnce),
    )
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

async function deleteCaptures({ db }: Store, beforeMs: number, atOnce: number): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('captures')
    .where('request_id', 'in', (from) =>
      from.selectFrom('captures').select('request_id').where('time_ms', '<', beforeMs).orderBy('time_ms').limit(atOnce),
    )
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

async function deleteFeedback({ db }: Store, beforeMs: number, atOnce: number): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('feedback')
    .where('request_id', 'in', (from) =>
      from.selectFrom('feedback').select('request_id').where('time_ms', '<', beforeMs).orderBy('time_ms').limit(atOnce),
    )
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

/** Time of the newest signature beyond those that a router reads at its start. */
async function signaturesBeforeMs({ db }: Store): Promise<number | undefined> {
  const newest = await db
    .selectFrom('signatures')
    .select('time_ms')
    .orderBy('time_ms', 'desc')
    .offset(defaultSignatureLimits.entries)
    .limit(1)
    .executeTakeFirst();
  return newest === undefined ? undefined : newest.time_ms + 1;
}

async function deleteSignatures({ db }: Store, beforeMs: number, atOnce: number): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('signatures')
    .where('key', 'in', (from) =>
      from.selectFrom('signatures').select('key').where('time_ms', '<', beforeMs).orderBy('time_ms').limit(atOnce),
    )
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

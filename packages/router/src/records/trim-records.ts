import { sql } from 'kysely';
import type { RecordsConfig } from '../config/config.ts';
import { keptSignatures } from './journal.ts';
import { firstIdAt } from '../core/id-time.ts';
import type { Store } from './tables.ts';

const dayMs = 86_400_000;

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
  const wordsBeforeMs = Math.max(beforeMs, nowMs - limits.captureRetentionDays * dayMs);
  const signedBeforeMs = await signaturesBeforeMs(store);
  const trim = (table: TimedTable, untilMs: number) => deleteOlder(store, table, untilMs, signal);
  const deleted = await trim('requests', beforeMs);
  await trimRefusals(store, nowMs, signal);
  await trim('captures', wordsBeforeMs);
  await trim('feedback', beforeMs);
  await trim('judgements', beforeMs);
  await trim('labels', beforeMs);
  if (signedBeforeMs !== undefined) await trim('signatures', signedBeforeMs);
  await store.db.deleteFrom('record_gaps').where('until_ms', '<', byAgeMs).execute();
  return deleted;
}

/** Requests that were turned away before anything was tried for them: a budget apart from that of answers. */
const keptRefusals = 10_000;
const refusalDays = 7;

async function trimRefusals({ db }: Store, nowMs: number, signal: AbortSignal): Promise<void> {
  const refused = db.selectFrom('requests').where('turned_away', '=', 1);
  const beyond = await refused.select('id').orderBy('id', 'desc').offset(keptRefusals).limit(1).executeTakeFirst();
  const tooOld = firstIdAt(nowMs - refusalDays * dayMs);
  const untilId = beyond === undefined || beyond.id < tooOld ? tooOld : `${beyond.id}~`;
  const { atOnce } = timedTables.requests;
  while (!signal.aborted) {
    const { numDeletedRows } = await db
      .deleteFrom('requests')
      .where('id', 'in', refused.select('id').where('id', '<', untilId).orderBy('id').limit(atOnce))
      .executeTakeFirstOrThrow();
    if (numDeletedRows < atOnce) return;
  }
}

/** Tables with an index by time, with their keys and how many rows are deleted at once: between steps others write. */
const timedTables = {
  /** About 20 ms of the database's time. */
  requests: { key: 'id', atOnce: 1_000 },
  /** They may be a hundred times as long. */
  captures: { key: 'request_id', atOnce: 50 },
  feedback: { key: 'request_id', atOnce: 1_000 },
  judgements: { key: 'id', atOnce: 1_000 },
  labels: { key: 'id', atOnce: 1_000 },
  signatures: { key: 'key', atOnce: 1_000 },
} as const;

type TimedTable = keyof typeof timedTables;

/** Oldest first, in steps; answers how many rows are gone. */
async function deleteOlder({ db }: Store, name: TimedTable, beforeMs: number, signal: AbortSignal): Promise<number> {
  const { atOnce } = timedTables[name];
  const [table, key] = [sql.table(name), sql.ref(timedTables[name].key)];
  const which = name === 'requests' ? sql`and turned_away = 0` : sql``;
  const step = sql`delete from ${table} where ${key} in
    (select ${key} from ${table} where time_ms < ${beforeMs} ${which} order by time_ms limit ${atOnce})`;
  let deleted = 0;
  while (!signal.aborted) {
    const { numAffectedRows = 0n } = await step.execute(db);
    deleted += Number(numAffectedRows);
    if (numAffectedRows < atOnce) break;
  }
  return deleted;
}

/** Begin of the oldest bucket whose requests still fit; counts buckets, since counting millions of rows takes seconds. */
async function oldestKeptMs({ db }: Store, maxRows: number): Promise<number | undefined> {
  const buckets = await db
    .selectFrom('usage_counts')
    .select(['bucket_ms', sql<number>`sum(requests - refused)`.as('requests')])
    .groupBy('bucket_ms')
    .orderBy('bucket_ms', 'desc')
    .execute();
  let rows = 0;
  for (const [index, { requests }] of buckets.entries()) {
    rows += requests;
    if (rows > maxRows) return buckets[Math.max(0, index - 1)]?.bucket_ms;
  }
  return undefined;
}

/** Time of the newest signature beyond those that a router reads at its start. */
async function signaturesBeforeMs({ db }: Store): Promise<number | undefined> {
  const newest = await db
    .selectFrom('signatures')
    .select('time_ms')
    .orderBy('time_ms', 'desc')
    .offset(keptSignatures)
    .limit(1)
    .executeTakeFirst();
  return newest === undefined ? undefined : newest.time_ms + 1;
}

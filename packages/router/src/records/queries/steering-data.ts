import { sql } from 'kysely';
import type { Store } from '../tables.ts';
import { readJudged, type JudgedAnswerRow } from './judged.ts';

/** What goals are steered by, out of the records. */
export interface RecordedUse {
  /** The newest judged answers of these weeks. */
  readonly judged: readonly JudgedAnswerRow[];
  /** US dollars since midnight (UTC). */
  readonly spentTodayUsd: number;
  /** Mean price of an answer of the cloud, over the latest; undefined while no price is known. */
  readonly cloudAnswerUsd: number | undefined;
  /** Mean time of such an answer, in milliseconds; undefined before the first. */
  readonly cloudAnswerMs: number | undefined;
  /** Requests of the last 24 hours, and how long ago the first of them came. */
  readonly requests: number;
  readonly observedMs: number;
}

const dayMs = 86_400_000;
const judgedDays = 30;
const mostJudged = 3_000;

/** Reads it; some tens of milliseconds of the database's time. */
export async function recordedUse(store: Store, nowMs: number, most: number = mostJudged): Promise<RecordedUse> {
  const midnight = nowMs - (nowMs % dayMs);
  const counts = await store.db
    .selectFrom('usage_counts')
    .select(({ fn }) => [fn.sum<number>('cost_usd').as('usd')])
    .where('bucket_ms', '>=', midnight)
    .executeTakeFirst();
  const day = await store.db
    .selectFrom('usage_counts')
    .select(({ fn }) => [fn.sum<number>('requests').as('requests'), fn.min('bucket_ms').as('first')])
    .where('bucket_ms', '>=', nowMs - dayMs)
    .executeTakeFirst();
  const latest = store.db
    .selectFrom('requests')
    .select(['cost_usd', 'cloud_ms'])
    .where('route', '=', 'cloud')
    .orderBy('id', 'desc')
    .limit(500);
  const price = await store.db
    .selectFrom(latest.as('latest'))
    .select([sql<number | null>`avg(cost_usd)`.as('usd'), sql<number | null>`avg(cloud_ms)`.as('ms')])
    .executeTakeFirst();
  return {
    judged: most === 0 ? [] : await readJudged(store, { sinceMs: nowMs - judgedDays * dayMs, limit: most }),
    spentTodayUsd: counts?.usd ?? 0,
    cloudAnswerUsd: price?.usd === null || price?.usd === undefined ? undefined : price.usd,
    cloudAnswerMs: price?.ms ?? undefined,
    requests: day?.requests ?? 0,
    observedMs: day?.first === null || day?.first === undefined ? 0 : nowMs - day.first,
  };
}

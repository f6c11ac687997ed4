import { sql } from 'kysely';
import type { ErrorGroup } from '../history.ts';
import type { Store } from '../tables.ts';
import { firstIdAt } from '../../core/id-time.ts';

/** Rows looked at, the newest first. */
const maxRows = 20_000;
const mostGroups = 200;

/** What did not get an answer, by its cause: code, who said so, and where; the most frequent first. */
export async function errorGroups(
  { db }: Store,
  { fromMs, untilMs }: { readonly fromMs: number; readonly untilMs: number },
): Promise<readonly ErrorGroup[]> {
  const failed = db
    .selectFrom('requests')
    .select(['id', 'error_code', 'error_source', 'status', 'attempts', 'client_key', 'turned_away', 'path'])
    .where('error_code', 'is not', null)
    .where('id', '>=', firstIdAt(fromMs))
    .where('id', '<', firstIdAt(untilMs))
    .orderBy('id', 'desc')
    .limit(maxRows);
  const rows = await db
    .selectFrom(failed.as('failed'))
    .select(({ fn }) => [
      'error_code as code',
      'error_source as source',
      'status',
      'turned_away as turnedAway',
      fn.countAll<number>().as('count'),
      fn.max<string>('id').as('latestId'),
      sql<number>`count(distinct client_key)`.as('keys'),
    ])
    .groupBy(['error_code', 'error_source', 'status', 'turned_away'])
    .orderBy('count', 'desc')
    .limit(mostGroups)
    .execute();
  return rows.map(({ code, source, status, turnedAway, count, latestId, keys }) => ({
    code: code ?? '',
    source: source === 'upstream' ? 'upstream' : 'lfo',
    status,
    isTurnedAway: turnedAway === 1,
    count,
    keys,
    latestId,
  }));
}

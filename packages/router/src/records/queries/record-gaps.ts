import type { RecordGap } from '../archive.ts';
import type { Store } from '../tables.ts';

/** Shown at most; a gap is written for each failure that outlasted the memory, so there are few. */
const mostGaps = 20;

/** The latest times in which rows were lost, the oldest of them first. */
export async function recordGaps({ db }: Store, sinceMs: number): Promise<readonly RecordGap[]> {
  const rows = await db
    .selectFrom('record_gaps')
    .select(['from_ms as fromMs', 'until_ms as untilMs', 'requests'])
    .where('until_ms', '>=', sinceMs)
    .orderBy('until_ms', 'desc')
    .limit(mostGaps)
    .execute();
  return rows.toReversed();
}

import type { RecordGap } from '../archive.ts';
import type { Store } from '../tables.ts';
import type { Span } from './usage.ts';

/** Shown at most; a gap is written for each failure that outlasted the memory, so there are few. */
const mostGaps = 20;

/** The latest times in a span in which rows were lost, the oldest of them first. */
export async function recordGaps({ db }: Store, { fromMs, untilMs }: Span): Promise<readonly RecordGap[]> {
  const rows = await db
    .selectFrom('record_gaps')
    .select(['from_ms as fromMs', 'until_ms as untilMs', 'requests'])
    .where('until_ms', '>=', fromMs)
    .where('from_ms', '<', untilMs ?? Number.MAX_SAFE_INTEGER)
    .orderBy('until_ms', 'desc')
    .limit(mostGaps)
    .execute();
  return rows.toReversed();
}

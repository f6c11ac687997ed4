import type { ArchiveFilter } from '../archive.ts';
import type { RequestRow, Store } from '../tables.ts';
import { firstIdAt, walkStep } from './walk.ts';

const rowsAtOnce = 500;

/** Rows as they are stored, the newest arrival first, a page at a time: memory stays small however many there are. */
export async function* walkRows(store: Store, filter: ArchiveFilter, limit: number): AsyncGenerator<RequestRow> {
  const { sinceMs, ...others } = filter;
  const asked = { ...others, ...(sinceMs === undefined ? {} : { from: firstIdAt(sinceMs) }) };
  let left = limit;
  let before: string | null | undefined;
  while (left > 0 && before !== null) {
    const place = before === undefined ? {} : { before };
    const { rows, next } = await walkStep(store, { ...asked, ...place }, Math.min(left, rowsAtOnce));
    yield* rows;
    left -= rows.length;
    before = next;
  }
}

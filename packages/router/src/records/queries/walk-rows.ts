import type { ArchiveFilter } from '../../core/archive.ts';
import type { RequestRow, Store } from '../../core/store.ts';

const rowsAtOnce = 500;

/** Rows as they are stored, the newest arrival first, a page at a time: memory stays small however many there are. */
export async function* walkRows({ db }: Store, filter: ArchiveFilter, limit: number): AsyncGenerator<RequestRow> {
  let left = limit;
  let before: string | undefined;
  while (left > 0) {
    let query = db.selectFrom('requests').selectAll().orderBy('id', 'desc').limit(Math.min(left, rowsAtOnce));
    if (before !== undefined) query = query.where('id', '<', before);
    if (filter.sinceMs !== undefined) query = query.where('id', '>=', firstIdAt(filter.sinceMs));
    if (filter.route !== undefined) query = query.where('route', '=', filter.route);
    if (filter.backend !== undefined) query = query.where('backend', '=', filter.backend);
    if (filter.reason !== undefined) query = query.where('reason', '=', filter.reason);
    if (filter.status !== undefined) query = query.where('status', '=', filter.status);
    const rows = await query.execute();
    yield* rows;
    before = rows.at(-1)?.id;
    left -= rows.length;
    if (before === undefined || rows.length < rowsAtOnce) return;
  }
}

/** Ids begin with their time (RFC 9562, UUIDv7). */
function firstIdAt(timeMs: number): string {
  const hex = Math.max(0, Math.floor(timeMs)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}

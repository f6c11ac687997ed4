import { sql } from 'kysely';
import type { ArchiveFilter } from '../archive.ts';
import type { RequestRow, Store } from '../tables.ts';

/** Rows that one step looks at where no index holds all filters together. */
const maxCandidates = 10_000;
/** Rows read at once where all of them are walked. */
const rowsAtOnce = 500;

/** Absent fields do not filter. */
export interface WalkFilter {
  readonly outcome?: 'ok' | 'failed' | 'degraded';
  readonly reason?: string;
  readonly backend?: string;
  readonly route?: string;
  readonly status?: number;
  /** Only ids below this one. */
  readonly before?: string;
  /** Only ids from this one on. */
  readonly from?: string;
}

/** Rows in the order of the walk, and `before` of the next step; `null` at the end. */
export interface WalkStep {
  readonly rows: readonly RequestRow[];
  readonly next: string | null;
}

/**
 * One step from the newest request to the oldest. Ids sort by time, so this follows the primary key, or the index of one
 * filter. Further filters are tried on a bounded number of rows, on the index's own columns where it has them; beyond
 * the bound a step ends early, and may have found nothing.
 */
export async function walkStep({ db }: Store, filter: WalkFilter, limit: number): Promise<WalkStep> {
  const [indexed, ...others] = conditionsOf(filter);
  let walk = db.selectFrom('requests').orderBy('id', 'desc');
  if (filter.before !== undefined) walk = walk.where('id', '<', filter.before);
  if (filter.from !== undefined) walk = walk.where('id', '>=', filter.from);
  if (indexed?.hasIndex === true) walk = walk.where(indexed.holds);
  const tried = indexed?.hasIndex === false ? [indexed, ...others] : others;
  if (tried.length === 0) {
    const rows = await walk
      .selectAll()
      .limit(limit + 1)
      .execute();
    return stepOf(rows, limit, null);
  }
  // Ids first and the rows, a kilobyte each, of those that are shown.
  const candidates = walk.select(['id', ...tried.map(({ column }) => column)]).limit(maxCandidates);
  const found = await db
    .selectFrom(candidates.as('candidates'))
    .select('id')
    .where((eb) => eb.and(tried.map(({ holds }) => holds)))
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute();
  const ids = found.map(({ id }) => id);
  const rows =
    ids.length === 0
      ? []
      : await db.selectFrom('requests').selectAll().where('id', 'in', ids).orderBy('id', 'desc').execute();
  if (ids.length > limit) return stepOf(rows, limit, null);
  const last = await walk
    .select('id')
    .offset(maxCandidates - 1)
    .limit(1)
    .executeTakeFirst();
  return stepOf(rows, limit, last?.id ?? null);
}

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

function stepOf(rows: readonly RequestRow[], limit: number, end: string | null): WalkStep {
  const shown = rows.slice(0, limit);
  return { rows: shown, next: rows.length > limit ? (shown.at(-1)?.id ?? null) : end };
}

interface Condition {
  readonly column: 'error_code' | 'degraded' | 'reason' | 'backend' | 'route' | 'status';
  readonly holds: ReturnType<typeof sql<boolean>>;
  readonly hasIndex: boolean;
}

/** The filter whose index finds the fewest rows comes first. */
function conditionsOf({ outcome, reason, backend, route, status }: WalkFilter): readonly Condition[] {
  const condition = (
    isAsked: boolean,
    column: Condition['column'],
    holds: Condition['holds'],
    hasIndex = true,
  ): readonly Condition[] => (isAsked ? [{ column, holds, hasIndex }] : []);
  return [
    ...condition(outcome === 'failed', 'error_code', sql<boolean>`error_code is not null`),
    ...condition(outcome === 'degraded', 'degraded', sql<boolean>`degraded = 1`),
    ...condition(reason !== undefined, 'reason', sql<boolean>`reason = ${reason}`),
    ...condition(backend !== undefined, 'backend', sql<boolean>`backend = ${backend}`),
    ...condition(route !== undefined, 'route', sql<boolean>`route = ${route}`),
    ...condition(outcome === 'ok', 'error_code', sql<boolean>`error_code is null`, false),
    ...condition(status !== undefined, 'status', sql<boolean>`status = ${status}`, false),
  ];
}

/** The smallest id of a moment: ids begin with their time (RFC 9562, UUIDv7). */
export function firstIdAt(timeMs: number): string {
  const hex = Math.max(0, Math.floor(timeMs)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}

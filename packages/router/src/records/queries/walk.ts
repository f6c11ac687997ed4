import { bareId, firstIdAt } from '../../core/id-time.ts';
import { sql } from 'kysely';
import type { ArchiveFilter } from '../archive.ts';
import type { RequestRow, Store } from '../tables.ts';

/** Rows that one step looks at where no index holds all filters together. */
const maxCandidates = 10_000;
/** Rows read at once where all of them are walked. */
const rowsAtOnce = 500;

/** What became of a request. */
export type WalkOutcome = 'ok' | 'failed' | 'refused' | 'left' | 'degraded' | 'escalated';

/** Absent fields do not filter. */
export interface WalkFilter {
  readonly outcome?: WalkOutcome;
  /** Id of a key. */
  readonly key?: string;
  readonly model?: string;
  readonly mode?: string;
  readonly dialect?: string;
  readonly device?: string;
  /** Whether it offered tools. */
  readonly tools?: boolean;
  readonly error?: string;
  /** US dollars, at least. */
  readonly minCostUsd?: number;
  /** Milliseconds from arrival to the end, at least. */
  readonly minMs?: number;
  readonly reason?: string;
  readonly backend?: string;
  readonly route?: string;
  readonly status?: number;
  /** Only ids below this one. */
  readonly before?: string;
  /** Only ids from this one on. */
  readonly from?: string;
  /** Only ids below this one, whatever the place of the walk. */
  readonly until?: string;
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
  if (filter.until !== undefined) walk = walk.where('id', '<', filter.until);
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
  const candidates = walk.select(['id', ...new Set(tried.flatMap(({ columns }) => columns))]).limit(maxCandidates);
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
export async function* walkRows(
  store: Store,
  filter: ArchiveFilter & WalkFilter,
  limit: number,
): AsyncGenerator<RequestRow> {
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

type WalkColumn =
  | 'error_code'
  | 'degraded'
  | 'reason'
  | 'backend'
  | 'route'
  | 'status'
  | 'turned_away'
  | 'client_key'
  | 'model'
  | 'mode'
  | 'dialect'
  | 'device'
  | 'tools'
  | 'local_ms'
  | 'total_ms'
  | 'cost_usd';

interface Condition {
  readonly columns: readonly WalkColumn[];
  readonly holds: ReturnType<typeof sql<boolean>>;
  readonly hasIndex: boolean;
}

/** The filter whose index finds the fewest rows comes first. */
function conditionsOf(filter: WalkFilter): readonly Condition[] {
  const { outcome, reason, backend, route, status, key, model, mode, dialect, device, tools, error } = filter;
  const { minCostUsd, minMs } = filter;
  const condition = (
    isAsked: boolean,
    columns: Condition['columns'],
    holds: Condition['holds'],
    hasIndex = false,
  ): readonly Condition[] => (isAsked ? [{ columns, holds, hasIndex }] : []);
  return [
    ...condition(outcome === 'refused', ['turned_away', 'status'], sql<boolean>`turned_away = 1`, true),
    ...condition(outcome === 'failed', ['error_code'], sql<boolean>`error_code is not null`, true),
    ...condition(outcome === 'degraded', ['degraded'], sql<boolean>`degraded = 1`, true),
    ...condition(reason !== undefined, ['reason'], sql<boolean>`reason = ${reason}`, true),
    ...condition(key !== undefined, ['client_key'], sql<boolean>`client_key = ${key}`, true),
    ...condition(backend !== undefined, ['backend'], sql<boolean>`backend = ${backend}`, true),
    ...condition(route !== undefined, ['route'], sql<boolean>`route = ${route}`, true),
    ...condition(
      outcome === 'escalated',
      ['route', 'local_ms'],
      sql<boolean>`route = 'cloud' and local_ms is not null`,
    ),
    ...condition(outcome === 'ok', ['error_code'], sql<boolean>`error_code is null`),
    // Whoever left did not fail, and whoever was refused has a filter of its own.
    ...condition(
      outcome === 'failed',
      ['status', 'turned_away'],
      sql<boolean>`status <> 499 and not (turned_away = 1 and status < 500)`,
    ),
    ...condition(outcome === 'refused', ['status'], sql<boolean>`status < 500`),
    ...condition(outcome === 'left', ['status'], sql<boolean>`status = 499`),
    ...condition(status !== undefined, ['status'], sql<boolean>`status = ${status}`),
    ...condition(error !== undefined, ['error_code'], sql<boolean>`error_code = ${error}`),
    ...condition(model !== undefined, ['model'], sql<boolean>`model = ${model}`),
    ...condition(mode !== undefined, ['mode'], sql<boolean>`mode = ${mode}`),
    ...condition(dialect !== undefined, ['dialect'], sql<boolean>`dialect = ${dialect}`),
    ...condition(device !== undefined, ['device'], sql<boolean>`device = ${device}`),
    ...condition(tools === true, ['tools'], sql<boolean>`tools > 0`),
    ...condition(tools === false, ['tools'], sql<boolean>`coalesce(tools, 0) = 0`),
    ...condition(minCostUsd !== undefined, ['cost_usd'], sql<boolean>`cost_usd >= ${minCostUsd}`),
    ...condition(minMs !== undefined, ['total_ms'], sql<boolean>`total_ms >= ${minMs}`),
  ];
}

/** An id of a request as people have it: whole, with the prefix of an answer's id, or its last eight characters or more. */
const shortId = /^[0-9a-f-]{8,36}$/;

/** The request of an id, or the latest whose id ends so. Walks the ids where it is no whole one. */
export async function findRow({ db }: Store, asked: string): Promise<RequestRow | undefined> {
  const id = bareId(asked);
  const found = await db.selectFrom('requests').selectAll().where('id', '=', id).executeTakeFirst();
  if (found !== undefined || !shortId.test(id)) return found;
  return db
    .selectFrom('requests')
    .selectAll()
    .where('id', 'like', `%${id}`)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
}

import { sql } from 'kysely';
import type { RequestFilter, RequestPage, StoredRequest } from '../../core/history.ts';
import { parseJson } from '../../core/json.ts';
import type { Store } from '../../core/store.ts';
import { viewCapture } from './capture-view.ts';
import { asTier, viewRow } from './row-view.ts';

/** Rows that a page looks at where no index holds all filters together: as many as are read in about 50 ms. */
const maxCandidates = 10_000;

/**
 * Newest first. Ids sort by time, so a page is a walk along the primary key, or along the index of its one filter.
 * Further filters are tried on a bounded number of rows, beyond which a page may end early and go on in the next.
 */
export async function requestPage({ db }: Store, filter: RequestFilter, limit: number): Promise<RequestPage> {
  const { indexed, others } = conditionsOf(filter);
  let walk = db.selectFrom('requests').orderBy('id', 'desc');
  if (filter.before !== undefined) walk = walk.where('id', '<', filter.before);
  if (indexed !== undefined) walk = walk.where(indexed);
  const isBounded = others.length > 0;
  const rows = isBounded
    ? await db
        .selectFrom(walk.selectAll().limit(maxCandidates).as('candidates'))
        .selectAll()
        .where((eb) => eb.and([...others]))
        .orderBy('id', 'desc')
        .limit(limit + 1)
        .execute()
    : await walk
        .selectAll()
        .limit(limit + 1)
        .execute();
  const shown = rows.slice(0, limit);
  const requests = shown.map(viewRow);
  if (rows.length > limit) return { requests, next: shown.at(-1)?.id ?? null };
  if (!isBounded) return { requests, next: null };
  const last = await walk
    .select('id')
    .offset(maxCandidates - 1)
    .limit(1)
    .executeTakeFirst();
  return { requests, next: last?.id ?? null };
}

/** The filter whose index finds the fewest rows, and those to be tried on what it finds. */
function conditionsOf({ outcome, reason, backend, route }: RequestFilter) {
  const withIndex = [
    ...(outcome === 'failed' ? [sql<boolean>`error_code is not null`] : []),
    ...(outcome === 'degraded' ? [sql<boolean>`degraded = 1`] : []),
    ...(reason === undefined ? [] : [sql<boolean>`reason = ${reason}`]),
    ...(backend === undefined ? [] : [sql<boolean>`backend = ${backend}`]),
    ...(route === undefined ? [] : [sql<boolean>`route = ${route}`]),
  ];
  const [indexed, ...others] = withIndex;
  return { indexed, others: outcome === 'ok' ? [...others, sql<boolean>`error_code is null`] : others };
}

/** One request with all that is known of it. */
export async function storedRequest({ db }: Store, id: string): Promise<StoredRequest | undefined> {
  const row = await db.selectFrom('requests').selectAll().where('id', '=', id).executeTakeFirst();
  if (row === undefined) return undefined;
  const said = await db.selectFrom('feedback').selectAll().where('request_id', '=', id).executeTakeFirst();
  const kept = await db.selectFrom('captures').select('words').where('request_id', '=', id).executeTakeFirst();
  return {
    view: viewRow(row),
    clientKey: row.client_key,
    feedback:
      said === undefined
        ? null
        : { timeMs: said.time_ms, verdict: said.verdict, expectedRoute: asTier(said.expected_route) },
    features: row.features === null ? null : parseJson(row.features),
    signals: row.signals === null ? null : parseJson(row.signals),
    capture: kept === undefined ? null : viewCapture(kept.words),
  };
}

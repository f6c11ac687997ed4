import type { RequestFilter, RequestPage, StoredRequest } from '../../core/history.ts';
import { parseJson } from '../../core/json.ts';
import type { Store } from '../../core/store.ts';
import { asTier, viewRow } from './row-view.ts';

/** Newest first. Ids sort by time, so a page is a walk along the primary key. */
export async function requestPage({ db }: Store, filter: RequestFilter, limit: number): Promise<RequestPage> {
  let query = db.selectFrom('requests').selectAll().orderBy('id', 'desc');
  if (filter.before !== undefined) query = query.where('id', '<', filter.before);
  if (filter.route !== undefined) query = query.where('route', '=', filter.route);
  if (filter.backend !== undefined) query = query.where('backend', '=', filter.backend);
  if (filter.reason !== undefined) query = query.where('reason', '=', filter.reason);
  if (filter.outcome === 'degraded') query = query.where('degraded', '=', 1);
  if (filter.outcome === 'ok') query = query.where('error_code', 'is', null);
  if (filter.outcome === 'failed') query = query.where('error_code', 'is not', null);
  const rows = await query.limit(limit + 1).execute();
  const shown = rows.slice(0, limit);
  return { requests: shown.map(viewRow), next: rows.length > limit ? (shown.at(-1)?.id ?? null) : null };
}

/** One request with all that is known of it. */
export async function storedRequest({ db }: Store, id: string): Promise<StoredRequest | undefined> {
  const row = await db.selectFrom('requests').selectAll().where('id', '=', id).executeTakeFirst();
  if (row === undefined) return undefined;
  const said = await db.selectFrom('feedback').selectAll().where('request_id', '=', id).executeTakeFirst();
  return {
    view: viewRow(row),
    clientKey: row.client_key,
    feedback:
      said === undefined
        ? null
        : { timeMs: said.time_ms, verdict: said.verdict, expectedRoute: asTier(said.expected_route) },
    features: row.features === null ? null : parseJson(row.features),
    signals: row.signals === null ? null : parseJson(row.signals),
  };
}

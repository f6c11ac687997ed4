import type { RequestFilter, RequestPage, StoredRequest } from '../history.ts';
import { parseJson } from '../../core/json.ts';
import type { Store } from '../tables.ts';
import { viewCapture } from './capture-view.ts';
import { asTier, viewRow } from './row-view.ts';
import { walkStep } from './walk.ts';

/** Newest first; a page that would look at too many rows ends early and goes on in the next. */
export async function requestPage(store: Store, filter: RequestFilter, limit: number): Promise<RequestPage> {
  const { rows, next } = await walkStep(store, filter, limit);
  return { requests: rows.map(viewRow), next };
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

import type { Clock } from '../../core/clock.ts';
import type {
  ConfidenceReport,
  Feedback,
  RequestFilter,
  RequestHistory,
  RequestPage,
  StoredRequest,
  TrendQuery,
  TrendRange,
  Trends,
} from '../history.ts';
import { parseJson } from '../../core/json.ts';
import { readCapture } from '../capture.ts';
import { asTier, viewRow } from '../request-record.ts';
import type { Store } from '../tables.ts';
import { confidenceReport } from './confidence-report.ts';
import { trends } from './trends.ts';
import { walkStep } from './walk.ts';

/** Answers people's questions out of the store. Rejects while the store cannot be reached. */
export class StoredHistory implements RequestHistory {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  page(filter: RequestFilter, limit: number): Promise<RequestPage> {
    return requestPage(this.#store, filter, limit);
  }

  find(id: string): Promise<StoredRequest | undefined> {
    return storedRequest(this.#store, id);
  }

  trends(query: TrendQuery): Promise<Trends> {
    return trends(this.#store, query, this.#clock.wallMs());
  }

  confidence(range: TrendRange): Promise<ConfidenceReport> {
    return confidenceReport(this.#store, range, this.#clock.wallMs());
  }

  addFeedback({ requestId, clientKey, verdict, expectedRoute }: Feedback): Promise<void> {
    const row = {
      request_id: requestId,
      time_ms: Math.round(this.#clock.wallMs()),
      client_key: clientKey,
      verdict,
      expected_route: expectedRoute ?? null,
    };
    return this.#store.append('feedback', [row], 'replace');
  }
}

/** Newest first; a page that would look at too many rows ends early and goes on in the next. */
async function requestPage(store: Store, filter: RequestFilter, limit: number): Promise<RequestPage> {
  const { rows, next } = await walkStep(store, filter, limit);
  return { requests: rows.map(viewRow), next };
}

/** One request with all that is known of it. */
async function storedRequest({ db }: Store, id: string): Promise<StoredRequest | undefined> {
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
    capture: kept === undefined ? null : readCapture(kept.words),
  };
}

import type { Clock } from '../../core/clock.ts';
import type {
  ConfidenceReport,
  Feedback,
  RequestFilter,
  RequestHistory,
  RequestPage,
  StoredRequest,
  TrendRange,
  Trends,
} from '../history.ts';
import type { Store } from '../tables.ts';
import { confidenceReport } from './confidence-report.ts';
import { requestPage, storedRequest } from './request-page.ts';
import { trends } from './trends.ts';

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

  trends(range: TrendRange): Promise<Trends> {
    return trends(this.#store, range, this.#clock.wallMs());
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

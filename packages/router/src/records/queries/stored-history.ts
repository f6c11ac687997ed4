import type { Clock } from '../../core/clock.ts';
import type {
  ConfidenceReport,
  Feedback,
  LearningReport,
  RequestFilter,
  RequestHistory,
  RequestPage,
  StoredRequest,
  TrendQuery,
  TrendRange,
  Trends,
} from '../history.ts';
import { isJsonObject, parseJson, type JsonObject } from '../../core/json.ts';
import { readCapture } from '../capture.ts';
import { asTier, viewRow } from '../request-record.ts';
import type { JudgementRow, Store } from '../tables.ts';
import { confidenceReport } from './confidence-report.ts';
import { learningReport } from './learning-report.ts';
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

  learning(range: TrendRange): Promise<LearningReport> {
    return learningReport(this.#store, range, this.#clock.wallMs());
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
  const judged = await db
    .selectFrom('judgements')
    .select(['features', 'heads', 'estimator', 'calibration', 'is_prior', 'features_version'])
    .where('request_id', '=', id)
    .orderBy('attempt', 'desc')
    .executeTakeFirst();
  const kept = await db.selectFrom('captures').select('words').where('request_id', '=', id).executeTakeFirst();
  return {
    view: viewRow(row),
    clientKey: row.client_key,
    feedback:
      said === undefined
        ? null
        : { timeMs: said.time_ms, verdict: said.verdict, expectedRoute: asTier(said.expected_route) },
    features: row.features === null ? null : parseJson(row.features),
    signals: judged === undefined ? (row.signals === null ? null : parseJson(row.signals)) : signalsOf(judged),
    capture: kept === undefined ? null : readCapture(kept.words),
  };
}

/** What the judge saw, as one list. */
function signalsOf(
  row: Pick<JudgementRow, 'features' | 'heads' | 'estimator' | 'calibration' | 'is_prior' | 'features_version'>,
): JsonObject {
  const [features, heads] = [parseJson(row.features), parseJson(row.heads)];
  return {
    judge: row.estimator,
    ...(row.features_version !== null && { features_version: row.features_version }),
    ...(row.calibration !== null && { calibration: row.calibration }),
    ...(row.is_prior === 1 && { prior: true }),
    ...(isJsonObject(heads) && heads),
    ...(isJsonObject(features) && features),
  };
}

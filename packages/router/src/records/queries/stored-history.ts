import type { Clock } from '../../core/clock.ts';
import { firstIdAt } from '../../core/id-time.ts';
import type { GroupedSummary } from '../archive.ts';
import type { RequestView } from '../request-view.ts';
import type {
  ConfidenceReport,
  ErrorGroup,
  Feedback,
  LearningReport,
  RequestFilter,
  RequestHistory,
  RequestPage,
  StoredRequest,
  TrendQuery,
  TrendRange,
  Trends,
  UsageSpan,
} from '../history.ts';
import { isJsonObject, parseJson, type JsonObject } from '../../core/json.ts';
import { judgementId } from '../../core/judgement.ts';
import { readCapture } from '../capture.ts';
import { asTier, viewRow } from '../request-record.ts';
import type { JudgementRow, Store } from '../tables.ts';
import { confidenceReport } from './confidence-report.ts';
import { learningReport } from './learning-report.ts';
import { trends } from './trends.ts';
import type { UsageDimension } from '../store/usage-roll-up.ts';
import { errorGroups } from './error-groups.ts';
import { summary } from './summary.ts';
import { findRow, type WalkFilter, walkRows, walkStep } from './walk.ts';

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

  usage(span: UsageSpan, by?: UsageDimension): Promise<GroupedSummary> {
    return summary(this.#store, span, by);
  }

  errors(span: UsageSpan): Promise<readonly ErrorGroup[]> {
    return errorGroups(this.#store, span);
  }

  async *rows(filter: RequestFilter, limit: number): AsyncGenerator<RequestView> {
    for await (const row of walkRows(this.#store, walkOf(filter), limit)) yield viewRow(row);
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

/** Ids begin with their time. */
function walkOf({ fromMs, untilMs, ...filter }: RequestFilter): WalkFilter {
  return {
    ...filter,
    ...(fromMs !== undefined && { from: firstIdAt(fromMs) }),
    ...(untilMs !== undefined && { until: firstIdAt(untilMs) }),
  };
}

/** Newest first; a page that would look at too many rows ends early and goes on in the next. */
async function requestPage(store: Store, filter: RequestFilter, limit: number): Promise<RequestPage> {
  const { rows, next } = await walkStep(store, walkOf(filter), limit);
  return { requests: rows.map(viewRow), next };
}

/** One request with all that is known of it. */
async function storedRequest(store: Store, asked: string): Promise<StoredRequest | undefined> {
  const { db } = store;
  const row = await findRow(store, asked);
  if (row === undefined) return undefined;
  const { id } = row;
  const said = await db.selectFrom('feedback').selectAll().where('request_id', '=', id).executeTakeFirst();
  const judged = await db
    .selectFrom('judgements')
    .select(['features', 'heads', 'estimator', 'calibration', 'is_prior', 'features_version'])
    .where('id', 'in', judgementIds(id))
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

/** More attempts than a request has. */
const mostAttempts = 32;

/** The keys that judgements of a request may have: there is no index of requests. */
function judgementIds(requestId: string): readonly string[] {
  return Array.from({ length: mostAttempts }, (_, attempt) => judgementId(requestId, attempt));
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

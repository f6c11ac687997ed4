import type { Clock } from '../core/clock.ts';
import { randomToken } from '../core/id.ts';
import { type AnswerLabel, judgementId, type LabelSink } from '../core/judgement.ts';
import type { JsonObject } from '../core/json.ts';
import type { RequestTrace } from '../core/trace.ts';
import type { JudgementRow, LabelRow, Store } from './tables.ts';
import { WriteBehind, type WriteStatus } from './write-behind.ts';

/** Keeps what the judge said of local answers and what was said of them since, off the requests' path. */
export class Judgements implements LabelSink {
  readonly #clock: Clock;
  readonly #rows: WriteBehind<JudgementRow>;
  readonly #labels: WriteBehind<LabelRow>;

  constructor(store: Pick<Store, 'append'>, clock: Clock) {
    this.#clock = clock;
    this.#rows = new WriteBehind({
      // They are there before the row of their request.
      batchMs: 0,
      write: (rows) => store.append('judgements', rows),
      clock,
    });
    this.#labels = new WriteBehind({ write: (rows) => store.append('labels', rows), clock });
  }

  /**
   * Call once a request has ended.
   * @param firstAttempt number of its first attempt, where others of the same request came before
   */
  record(trace: RequestTrace, clientKey: string | undefined, firstAttempt = 0): void {
    for (const row of judgementRows(trace, clientKey, firstAttempt)) this.#rows.add(row);
  }

  add({ requestId, attempt, source, label, weight, propensity, because }: AnswerLabel): void {
    this.#labels.add({
      id: `${judgementId(requestId, attempt)}.${source}.${randomToken(6)}`,
      request_id: requestId,
      attempt,
      time_ms: Math.round(this.#clock.wallMs()),
      source,
      label,
      weight,
      propensity,
      because: because ?? null,
    });
  }

  status(): WriteStatus {
    return this.#rows.status();
  }

  /** A last write. The store stays open. */
  async close(): Promise<void> {
    await Promise.all([this.#rows.close(), this.#labels.close()]);
  }
}

/** One row for each answer that was judged. */
export function judgementRows(
  trace: RequestTrace,
  clientKey: string | undefined,
  firstAttempt = 0,
): readonly JudgementRow[] {
  return trace.attempts.flatMap((attempt, place) => {
    const index = firstAttempt + place;
    const { judgement, backend, model, outcome, leasedMs, endMs } = attempt;
    if (judgement === undefined) return [];
    const { policy, model: identity, evidence, score, threshold, verdict, reason } = judgement;
    const { judge, calibration, prior, features_version: version, ...seen } = evidence;
    const heads = pick(seen, (name) => headNames.has(name));
    return [
      {
        id: judgementId(trace.id, index),
        request_id: trace.id,
        attempt: index,
        time_ms: Math.round(trace.startedAtMs),
        client_key: clientKey ?? null,
        policy,
        backend: backend ?? null,
        model: model ?? identity.model,
        identity: JSON.stringify(identity),
        estimator: typeof judge === 'string' ? judge : '',
        calibration: typeof calibration === 'string' ? calibration : null,
        is_prior: prior === true ? 1 : 0,
        features_version: typeof version === 'number' ? version : null,
        features: JSON.stringify(pick(seen, (name) => !headNames.has(name))),
        heads: JSON.stringify(heads),
        score: score ?? null,
        threshold,
        verdict,
        reason,
        outcome: outcome ?? null,
        local_ms: leasedMs === undefined || endMs === undefined ? null : Math.round((endMs - leasedMs) * 1_000) / 1_000,
      },
    ];
  });
}

/** What heads say, in the evidence; the rest is what they went by. */
export const headNames: ReadonlySet<string> = new Set([
  'values',
  'no_tool_fits',
  'more_calls',
  'text_score',
  'raw_score',
]);

function pick(values: JsonObject, has: (name: string) => boolean): JsonObject {
  return Object.fromEntries(Object.entries(values).filter(([name]) => has(name)));
}

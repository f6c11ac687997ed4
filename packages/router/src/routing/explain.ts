import type { Attempt, BackendView, FleetView } from '../core/backend.ts';
import { reasons, type Reason } from '../core/reason.ts';
import type { Mode, Tier } from '../core/request.ts';
import type { Decision, RequestFeatures } from '../core/routing.ts';
import { fits, incapable, isReady, ofTier, predictedFirstTokenMs } from './suitability.ts';

/** What would happen to a request, for `POST /v1/route`; nothing has been run. */
export interface RouteExplanation {
  /** Tier of the first attempt. */
  readonly route: Tier;
  readonly mode: Mode;
  /** Decisive one first. */
  readonly reasons: readonly ExplainedReason[];
  readonly attempts: readonly ExplainedAttempt[];
  readonly promptTokens: number;
  readonly promptTokensFrom: RequestFeatures['promptTokensFrom'];
  readonly warmTokens: number;
  readonly limits: RequestFeatures['limits'];
  readonly votes: Decision['votes'];
}

export interface ExplainedReason {
  readonly code: Reason;
  readonly sentence: string;
}

export interface ExplainedAttempt extends Attempt {
  /** Backends of the attempt, those that could be asked now first. */
  readonly candidates: readonly ExplainedCandidate[];
}

export interface ExplainedCandidate {
  readonly backend: string;
  /** Model it would be asked for; absent while it has reported none. */
  readonly model?: string;
  readonly state: BackendView['status']['state'];
  readonly breaker: BackendView['breaker'];
  /** Why it would not be asked; absent when it would. */
  readonly skipped?: Reason | 'breaker_open' | 'draining' | 'not_ready';
  /** Absent until its prefill rate has been measured. */
  readonly predictedFirstTokenMs?: number;
}

/** Says a decision in words and names the backends behind each attempt. */
export function explainRoute(features: RequestFeatures, fleet: FleetView, decision: Decision): RouteExplanation {
  const { mode, promptTokens, promptTokensFrom, warmTokens, limits } = features;
  return {
    route: decision.attempts[0]?.tier ?? 'local',
    mode,
    reasons: decision.reasons.map((code) => ({ code, sentence: reasons[code] })),
    attempts: decision.attempts.map((attempt) => ({ ...attempt, candidates: candidates(attempt, features, fleet) })),
    promptTokens,
    promptTokensFrom,
    warmTokens,
    limits,
    votes: decision.votes,
  };
}

function candidates(attempt: Attempt, features: RequestFeatures, fleet: FleetView): readonly ExplainedCandidate[] {
  return ofTier(fleet, attempt.tier)
    .filter(({ id, models }) => {
      if (attempt.backend !== undefined) return id === attempt.backend;
      return attempt.model === undefined || models.includes(attempt.model);
    })
    .map((backend) => candidate(backend, attempt.model, features))
    .toSorted((one, other) => Number(one.skipped !== undefined) - Number(other.skipped !== undefined));
}

function candidate(backend: BackendView, pinned: string | undefined, features: RequestFeatures): ExplainedCandidate {
  const model = pinned ?? backend.models[0];
  const skipped = whySkipped(backend, features);
  const waitMs = predictedFirstTokenMs(backend, features);
  return {
    backend: backend.id,
    ...(model !== undefined && { model }),
    state: backend.status.state,
    breaker: backend.breaker,
    ...(skipped !== undefined && { skipped }),
    ...(waitMs !== undefined && { predictedFirstTokenMs: Math.round(waitMs) }),
  };
}

function whySkipped(backend: BackendView, features: RequestFeatures): ExplainedCandidate['skipped'] {
  const lack = incapable(backend, features.request);
  if (lack !== undefined) return lack;
  if (!fits(backend, features)) return backend.tier === 'local' ? 'context_too_small' : 'cloud_unsuitable';
  if (isReady(backend)) return undefined;
  if (backend.isDraining === true) return 'draining';
  return backend.breaker === 'open' ? 'breaker_open' : 'not_ready';
}

import type { Attempt, FleetView } from '../core/backend.ts';
import { lackOf, type Lack } from '../core/can-serve.ts';
import type { RouteCandidate, RouteExplanation } from '../core/exchange.ts';
import type { Decision, RequestFeatures } from '../core/routing.ts';
import { estimatePromptTokens } from './prompt-size.ts';
import { candidatesOf, isFull, isReady, predictedWait, type Candidate } from './suitability.ts';

/** Says a decision in words and names the backends behind each attempt; nothing has been run. */
export function explainRoute(
  features: RequestFeatures,
  fleet: FleetView,
  decision: Decision,
  predicted: ReadonlyMap<string, number> = new Map(),
): RouteExplanation {
  const { promptTokens, promptTokensFrom, warmTokens, limits } = features;
  const [first] = decision.attempts;
  const explained = decision.attempts.map((attempt) => ({
    attempt,
    found: candidates(attempt, features, fleet, predicted),
  }));
  const all = explained.flatMap(({ found }) => found);
  return {
    mode: decision.mode ?? features.mode,
    rules: decision.rules ?? [],
    ...(first !== undefined && { route: first.tier }),
    reasons: decision.reasons,
    attempts: explained.map(({ attempt, found: [likeliest] }) => ({
      ...attempt,
      ...(likeliest !== undefined && { backend: likeliest.backend }),
      ...(likeliest?.model !== undefined && { model: likeliest.model }),
    })),
    threshold: limits.confidenceThreshold,
    promptTokens,
    promptTokensFrom,
    ...(promptTokensFrom === 'bound' && { expectedTokens: estimatePromptTokens(features.request) }),
    warmTokens,
    limits,
    ...(features.expected !== undefined && { expected: features.expected }),
    candidates: all,
    skipped: all.flatMap(({ backend, skipped }) => (skipped === undefined ? [] : [{ backend, why: skipped }])),
  };
}

function candidates(
  attempt: Attempt,
  features: RequestFeatures,
  fleet: FleetView,
  predicted: ReadonlyMap<string, number>,
): readonly RouteCandidate[] {
  const { backend: only, model, tier, isStandIn } = attempt;
  return candidatesOf(fleet, tier, features.request)
    .filter(({ backend: { id, models } }) => {
      if (only !== undefined) return id === only;
      return model === undefined || models.includes(model);
    })
    .map(({ backend, offer }) => ({
      backend,
      offer: isStandIn === true && model !== undefined ? { ...offer, model } : offer,
    }))
    .map((found) => candidate(found, features, predicted.get(found.backend.id)))
    .toSorted((one, other) => Number(one.skipped !== undefined) - Number(other.skipped !== undefined));
}

function candidate(found: Candidate, features: RequestFeatures, predictedMs: number | undefined): RouteCandidate {
  const { backend, offer } = found;
  const { status, breaker, inFlight, maxInFlight } = backend;
  const skipped = whySkipped(found, features);
  const wait = predictedWait(found, features);
  return {
    tier: backend.tier,
    backend: backend.id,
    ...(offer.model !== '' && { model: offer.model }),
    state: status.state,
    breaker,
    inFlight,
    ...(maxInFlight !== undefined && { maxInFlight }),
    ...(status.detail !== undefined && { detail: status.detail }),
    ...(skipped !== undefined && { skipped }),
    isFull: isFull(backend),
    ...(offer.pausedMs !== undefined && { pausedMs: offer.pausedMs }),
    ...(wait !== undefined && { wait }),
    ...(predictedMs !== undefined && { predictedMs }),
  };
}

function whySkipped(
  found: Candidate,
  features: RequestFeatures,
): Lack | 'breaker_open' | 'draining' | 'paused' | 'not_ready' | undefined {
  const { backend, offer } = found;
  const lack = lackOf(features, offer, backend.tier);
  if (lack !== undefined) return lack;
  if (isReady(found)) return undefined;
  if (backend.isDraining === true) return 'draining';
  if (backend.breaker === 'open') return 'breaker_open';
  return (offer.pausedMs ?? 0) > 0 ? 'paused' : 'not_ready';
}

import type { BackendView, FleetView, ModelOffer } from '../core/backend.ts';
import { canServe, offerFor } from '../core/can-serve.ts';
import { resolveModel } from '../core/model-directory.ts';
import { predictWait, type PredictedWait } from '../core/predicted-wait.ts';
import type { ChatRequest, Tier } from '../core/request.ts';
import type { RequestFeatures } from '../core/routing.ts';

/** A backend and the model it would answer by. */
export interface Candidate {
  readonly backend: BackendView;
  readonly offer: ModelOffer;
}

/** Backends of one tier, whatever their state. */
export function ofTier(fleet: FleetView, tier: Tier): readonly BackendView[] {
  return fleet.backends.filter((backend) => backend.tier === tier);
}

/** Backends of one tier with the model each would answer by, able or not. */
export function candidatesOf(fleet: FleetView, tier: Tier, request: ChatRequest): readonly Candidate[] {
  const model = resolveModel(request.model, fleet.backends)?.model;
  return ofTier(fleet, tier).map((backend) => ({ backend, offer: offerFor(backend, model, request) }));
}

/** Candidates that can serve the request, whatever their state. */
export function suitable(fleet: FleetView, tier: Tier, features: RequestFeatures): readonly Candidate[] {
  return candidatesOf(fleet, tier, features.request).filter(({ offer }) => canServe(features, offer, tier));
}

/**
 * Could be asked now: up, not running out, not held back by its breaker and not asked to be left alone. A half-open
 * breaker lets a probe through.
 */
export function isReady({ backend, offer }: Candidate): boolean {
  const { status, breaker, isDraining } = backend;
  return status.state === 'ready' && breaker !== 'open' && isDraining !== true && (offer.pausedMs ?? 0) <= 0;
}

/** Every place is taken: a further request would wait. */
export function isFull({ inFlight, maxInFlight = Infinity, status }: BackendView): boolean {
  const { active = 0, queued = 0, slots = Infinity } = status;
  return Math.max(inFlight, active + queued) >= Math.min(maxInFlight, slots);
}

/** Predicted wait for the first token of this request. Undefined until a rate has been measured. */
export function predictedWait(
  { backend, offer }: Candidate,
  features: Pick<RequestFeatures, 'promptTokens' | 'expectedTokens' | 'warmTokens' | 'warmBackend'>,
): PredictedWait | undefined {
  const { promptTokens, expectedTokens = promptTokens, warmTokens, warmBackend = backend.id } = features;
  return predictWait(offer.rates ?? backend.status, backend.queueMs ?? 0, {
    tokens: expectedTokens,
    warmTokens: warmBackend === backend.id ? warmTokens : 0,
  });
}

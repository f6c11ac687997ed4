import type { BackendView } from '../core/backend.ts';
import type { MeanRequest } from '../core/predicted-work.ts';
import { type Member, offersOf, pausedMs, ratesOf } from './eligibility.ts';
import { queueMsOf } from './placement.ts';

/** A member as routing, the dashboard and `/v1/route` see it. @param waiting requests that wait for a place */
export function viewOf(member: Member, waiting: number, means: MeanRequest, nowMs: number): BackendView {
  const { backend, breaker, running, maxInFlight, isDraining, slowStart } = member;
  const rates = ratesOf(member, backend.models[0] ?? '');
  const status = { ...backend.status(), ...rates };
  const device = backend.label?.();
  const queueMs = queueMsOf(member, waiting, means, nowMs);
  const { handicapMs } = breaker;
  const isOut = breaker.state === 'open';
  return {
    id: backend.id,
    tier: backend.tier,
    models: backend.models,
    capabilities: backend.capabilities,
    offers: offersOf(backend).map((offer) => {
      // While a model that may stand in is free, the backend can be asked.
      const asked = [offer.model, ...(backend.standIns ?? [])];
      const leftMs = Math.min(...asked.map((model) => pausedMs(member, model, nowMs)));
      const rated = { ...offer, rates: ratesOf(member, offer.model) };
      return leftMs > 0 ? { ...rated, pausedMs: leftMs } : rated;
    }),
    ...(backend.standIns === undefined ? {} : { standIns: backend.standIns }),
    ...(device === undefined ? {} : { device }),
    status,
    breaker: breaker.state,
    inFlight: running.size,
    maxInFlight,
    ...(queueMs === undefined ? {} : { queueMs }),
    ...(isOut ? { ejectedMs: breaker.waitMs } : {}),
    ...(handicapMs > 0 ? { handicapMs } : {}),
    ...(slowStart.left > 0 ? { isSlowStart: true } : {}),
    isDraining,
  };
}

/** A number that changes with whatever of a member forbids or favours it. One that is full has no lasting mark. */
export function markOf(
  { backend, breaker, running, maxInFlight, isDraining, notBeforeMs }: Member,
  nowMs: number,
): number {
  const { state, active = 0, queued = 0, slots = Infinity } = backend.status();
  if (Math.max(running.size, active + queued) >= Math.min(maxInFlight, slots)) return Number.NaN;
  let paused = 0;
  for (const untilMs of notBeforeMs.values()) if (untilMs > nowMs) paused++;
  const open = breaker.state === 'closed' ? 0 : breaker.state === 'open' ? 1 : 2;
  return (state === 'ready' ? 0 : state === 'loading' ? 1 : 2) + open * 3 + (isDraining ? 9 : 0) + paused * 18;
}

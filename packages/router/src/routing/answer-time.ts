import type { BackendView, FleetView } from '../core/backend.ts';
import { predictWait } from '../core/predicted-wait.ts';
import type { ChatRequest, Tier } from '../core/request.ts';
import { type AttemptTrace, newAttempt } from '../core/trace.ts';
import type { RequestFeatures } from '../core/routing.ts';

/** Of a cloud that has not been measured: answers in one piece teach no rates. */
export const assumedCloudMs = 2_000;

/** Of an answer without a limit of its own. */
const usualTokens = 128;

/** Tokens that an answer is expected to have. */
export function expectedTokens({ sampling }: ChatRequest): number {
  return Math.min(usualTokens, sampling.maxTokens ?? Infinity);
}

/**
 * Milliseconds until the first token of the tier's quickest ready backend, or until its answer is whole; undefined while
 * nothing has been measured there.
 */
export function predictedAnswerMs(
  fleet: FleetView,
  tier: Tier,
  request: ChatRequest,
  { promptTokens, warmTokens }: Pick<RequestFeatures, 'promptTokens' | 'warmTokens'>,
  until: 'first token' | 'end',
): number | undefined {
  const outTokens = until === 'end' ? expectedTokens(request) : 0;
  const size = { tokens: promptTokens, warmTokens: tier === 'local' ? warmTokens : 0 };
  const times = fleet.backends.flatMap((backend) => {
    if (backend.tier !== tier || !isFit(backend)) return [];
    const wait = predictWait(backend.status, backend.queueMs ?? 0, size);
    const { decodeRate } = backend.status;
    if (wait === undefined || (outTokens > 0 && decodeRate === undefined)) return [];
    return wait.totalMs + (decodeRate === undefined ? 0 : (outTokens / decodeRate) * 1000);
  });
  return times.length === 0 ? undefined : Math.min(...times);
}

function isFit({ status, breaker, isDraining }: BackendView): boolean {
  return status.state === 'ready' && breaker === 'closed' && isDraining !== true;
}

/** What the cloud's answer would be charged as. */
export function expectedAttempt(
  request: ChatRequest,
  { promptTokens }: Pick<RequestFeatures, 'promptTokens'>,
  { backends }: FleetView,
): AttemptTrace {
  const cloud = backends.find(({ tier }) => tier === 'cloud');
  const usage = { promptTokens, completionTokens: expectedTokens(request) };
  return { ...newAttempt('cloud', 0), backend: cloud?.id, model: cloud?.models[0], usage };
}

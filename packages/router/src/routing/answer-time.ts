import type { FleetView } from '../core/backend.ts';
import type { ChatRequest, Tier } from '../core/request.ts';
import type { ExpectedWorth, RequestFeatures } from '../core/routing.ts';
import { type AttemptTrace, newAttempt } from '../core/trace.ts';
import { candidatesOf, isReady, predictedWait } from './suitability.ts';

/** Of a cloud that has not been measured: answers in one piece teach no rates. */
const assumedCloudMs = 2_000;

/** Of an answer without a limit of its own. */
const usualTokens = 128;

type Size = Pick<RequestFeatures, 'promptTokens' | 'expectedTokens' | 'warmTokens' | 'warmBackend'>;

/**
 * What an answer in either tier is expected to take and cost: the local one until it can be judged, the cloud's until its
 * first token or, not streamed, its end. Undefined while no local time is known.
 * @param costOf US dollars of attempts; an unknown price counts as none
 */
export function expectedCosts(
  request: ChatRequest,
  size: Size,
  fleet: FleetView,
  costOf: (attempts: readonly AttemptTrace[]) => number | undefined,
): Pick<ExpectedWorth, 'localMs' | 'cloudMs' | 'cloudUsd'> | undefined {
  const localMs = predictedAnswerMs(fleet, 'local', request, size, 'end');
  if (localMs === undefined) return undefined;
  const cloudMs = expectedCloudMs(fleet, request, size, request.stream ? 'first token' : 'end');
  return { localMs, cloudMs, cloudUsd: costOf([expectedAttempt(request, size, fleet)]) ?? 0 };
}

/** Milliseconds that the cloud would take, or is taken to. */
export function expectedCloudMs(
  fleet: FleetView,
  request: ChatRequest,
  size: Size,
  until: 'first token' | 'end',
): number {
  return predictedAnswerMs(fleet, 'cloud', request, size, until) ?? assumedCloudMs;
}

/** Of the quickest backend that could be asked now; undefined while nothing has been measured there. */
function predictedAnswerMs(
  fleet: FleetView,
  tier: Tier,
  request: ChatRequest,
  size: Size,
  until: 'first token' | 'end',
): number | undefined {
  const outTokens = until === 'end' ? answerTokens(request) : 0;
  const times = candidatesOf(fleet, tier, request)
    .filter(isReady)
    .flatMap((candidate) => {
      const wait = predictedWait(candidate, size);
      const { decodeRate } = candidate.offer.rates ?? candidate.backend.status;
      if (wait === undefined || (outTokens > 0 && decodeRate === undefined)) return [];
      return wait.totalMs + (decodeRate === undefined ? 0 : (outTokens / decodeRate) * 1000);
    });
  return times.length === 0 ? undefined : Math.min(...times);
}

/** What the cloud's answer would be charged as. */
function expectedAttempt(request: ChatRequest, { promptTokens }: Size, { backends }: FleetView): AttemptTrace {
  const cloud = backends.find(({ tier }) => tier === 'cloud');
  const usage = { promptTokens, completionTokens: answerTokens(request) };
  return { ...newAttempt('cloud', 0), backend: cloud?.id, model: cloud?.models[0], usage };
}

function answerTokens({ sampling }: ChatRequest): number {
  return Math.min(usualTokens, sampling.maxTokens ?? Infinity);
}

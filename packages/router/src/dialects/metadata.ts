import type { FinishEvent } from '../core/events.ts';
import { fourDigits } from '../core/four-digits.ts';
import type { AttemptTrace, RequestTrace } from '../core/trace.ts';
import { isEstimated } from './usage.ts';

/** What an answer says of itself beyond its trace. */
export interface AnswerFacts {
  readonly finish?: FinishEvent | undefined;
  /** Calls that were repaired before they were released. */
  readonly repairedCalls?: readonly number[] | undefined;
}

/** `lfo_metadata`: how the answer came about. Holds no prompt and no answer. */
export function answerMetadata(trace: RequestTrace, nowMs: number, { finish, repairedCalls }: AnswerFacts) {
  const latencyMs = (trace.endMs ?? nowMs) - trace.startMs;
  return {
    request_id: trace.id,
    ...(trace.router !== undefined && { router: trace.router }),
    route: trace.route ?? null,
    backend: trace.backend ?? null,
    model: trace.model ?? null,
    ...(trace.device !== undefined && {
      device: {
        id: trace.backend ?? null,
        name: trace.device,
        model: trace.model ?? null,
        resumed: trace.resumed ?? 0,
      },
    }),
    ...(trace.via !== undefined && { via: trace.via }),
    mode: trace.mode,
    confidence: score(trace.confidence),
    threshold: trace.threshold,
    routing_reason: trace.reason ?? null,
    reasons: trace.reasons,
    ...(trace.rules !== undefined && { rules: trace.rules }),
    degraded: trace.degraded,
    egress: egressOf(trace),
    attempts: trace.attempts.map((attempt) => attemptBody(attempt, nowMs)),
    latency_ms: milliseconds(latencyMs),
    overhead_ms: optionalMilliseconds(trace.overheadMs),
    prompt_tokens: trace.promptTokens ?? null,
    prompt_tokens_from: trace.promptTokensFrom ?? null,
    ...(trace.prefixReuse !== undefined && { prefix_reuse: score(trace.prefixReuse) }),
    ...(finish?.nativeReason !== undefined && { native_finish_reason: finish.nativeReason }),
    ...(finish !== undefined && { usage_estimated: isEstimated(finish.usage) }),
    ...(trace.costUsd !== undefined && { cost_usd: trace.costUsd }),
    ...(repairedCalls !== undefined && repairedCalls.length > 0 && { repaired_tool_calls: repairedCalls }),
    ...(trace.warnings.size > 0 && { warnings: Object.fromEntries(trace.warnings) }),
  };
}

export type AnswerMetadata = ReturnType<typeof answerMetadata>;

/**
 * The cloud backends that were given the prompt so far, joined by commas in the order of their use; `none` where nothing
 * left the own network, `undecided` where a cloud may yet be asked to learn from a local answer. A backend counts from its
 * choice on, since nobody can say what of a failed call had arrived; one of the local tier that has sent the prompt on is
 * named with where it went.
 */
export function egressOf({ attempts, mayBeShadowed }: Pick<RequestTrace, 'attempts' | 'mayBeShadowed'>): string {
  const names = attempts.flatMap(({ tier, backend, leasedMs, leaked }) => {
    if (backend === undefined || leasedMs === undefined) return [];
    if (leaked !== undefined) return [`${backend}/${leaked}`];
    return tier === 'cloud' ? [backend] : [];
  });
  if (names.length === 0) return mayBeShadowed === true ? 'undecided' : 'none';
  return [...new Set(names)].join(',');
}

function attemptBody(attempt: AttemptTrace, nowMs: number) {
  return {
    tier: attempt.tier,
    backend: attempt.backend ?? null,
    model: attempt.model ?? null,
    ...(attempt.device !== undefined && { device: attempt.device }),
    ...(attempt.resumed !== undefined && { resumed: attempt.resumed }),
    ...(attempt.isHedge && { hedge: true }),
    outcome: attempt.outcome ?? null,
    reason: attempt.reason ?? null,
    score: score(attempt.score),
    // The score of a model nobody fitted the heads on tells better from worse, but is no probability.
    ...(attempt.judgement?.evidence['prior'] === true && { calibration: 'prior' }),
    ...(attempt.judgement?.evidence['second_opinion'] !== undefined && {
      second_opinion: attempt.judgement.evidence['second_opinion'],
    }),
    latency_ms: milliseconds((attempt.endMs ?? nowMs) - attempt.startMs),
    first_token_ms: optionalMilliseconds(attempt.firstEventMs && attempt.firstEventMs - attempt.startMs),
    ...(attempt.heldMs !== undefined && { held_ms: milliseconds(attempt.heldMs) }),
    ...(attempt.heldTokens !== undefined && { held_tokens: attempt.heldTokens }),
    ...(attempt.isCallForced === true && { call_forced: true }),
    ...(attempt.error !== undefined && { error: attempt.error }),
  };
}

function optionalMilliseconds(value: number | undefined): number | null {
  return value === undefined ? null : milliseconds(value);
}

function score(value: number | undefined): number | null {
  return value === undefined ? null : fourDigits(value);
}

/** Never negative, to the hundredth. */
export function milliseconds(value: number): number {
  return Math.max(0, Math.round(value * 100) / 100);
}

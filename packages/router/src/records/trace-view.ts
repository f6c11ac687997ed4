import type { AttemptView, RequestView } from './request-view.ts';
import type { AttemptTrace, RequestTrace } from '../core/trace.ts';

/** How a request ended towards its client; absent while it runs. */
export interface TraceOutcome {
  readonly status: number;
  readonly error?: { readonly code: string };
}

/** What the dashboard shows of a trace; a copy, so that the trace can be freed. */
export function viewTrace(trace: RequestTrace, outcome: TraceOutcome | undefined): RequestView {
  const since = (time: number | undefined): number | null =>
    time === undefined ? null : roundMs(time - trace.startMs);
  const { usage } = trace;
  return {
    id: trace.id,
    timeMs: Math.round(trace.startedAtMs),
    state: outcome !== undefined ? 'done' : trace.committedMs === undefined ? 'running' : 'answering',
    mode: trace.mode,
    stream: trace.stream,
    status: outcome?.status ?? null,
    errorCode: outcome?.error?.code ?? null,
    route: trace.route ?? null,
    backend: trace.backend ?? null,
    model: trace.model ?? null,
    reason: trace.reason ?? null,
    reasons: trace.reasons,
    degraded: trace.degraded,
    confidence: trace.confidence ?? null,
    threshold: trace.threshold,
    routedTokens: trace.promptTokens ?? null,
    promptTokens: usage?.promptTokens ?? null,
    completionTokens: usage?.completionTokens ?? null,
    reasoningTokens: usage?.reasoningTokens ?? null,
    cachedTokens: usage?.cachedTokens ?? null,
    costUsd: trace.costUsd ?? null,
    costAvoidedUsd: null,
    finishReason: trace.finishReason ?? null,
    totalMs: since(trace.endMs),
    firstTokenMs: since(trace.firstTokenMs),
    committedMs: since(trace.committedMs),
    overheadMs: trace.overheadMs === undefined ? null : roundMs(trace.overheadMs),
    warnings: [...trace.warnings.keys()],
    attempts: trace.attempts.map((attempt) => viewAttempt(attempt, since)),
  };
}

function viewAttempt(attempt: AttemptTrace, since: (time: number | undefined) => number | null): AttemptView {
  return {
    tier: attempt.tier,
    backend: attempt.backend ?? null,
    model: attempt.model ?? null,
    startMs: since(attempt.startMs) ?? 0,
    leasedMs: since(attempt.leasedMs),
    firstEventMs: since(attempt.firstEventMs),
    endMs: since(attempt.endMs),
    outcome: attempt.outcome ?? null,
    reason: attempt.reason ?? null,
    score: attempt.score ?? null,
    errorCode: attempt.error?.code ?? null,
    errorStatus: attempt.error?.status ?? null,
    heldMs: attempt.heldMs === undefined ? null : roundMs(attempt.heldMs),
    heldTokens: attempt.heldTokens ?? null,
  };
}

function roundMs(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

import type { ErrorSource } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { Tier } from '../core/request.ts';
import type { RequestRow } from './tables.ts';
import type { AttemptTrace, RequestTrace } from '../core/trace.ts';

/** What the trace does not say of a finished request. */
export interface RequestOutcome {
  /** As the client saw it; 499 when it had left. */
  readonly status: number;
  readonly error?: { readonly code: string; readonly source: ErrorSource };
  /** Id of the client's key, never the key. */
  readonly clientKey?: string;
  /** Money the cloud would have cost. */
  readonly costAvoidedUsd?: number;
}

/** The row of a finished request; copies, so that the trace can be freed. */
export function requestRow(trace: RequestTrace, outcome: RequestOutcome): RequestRow {
  const since = (time: number | undefined): number | null => (time === undefined ? null : round(time - trace.startMs));
  const { usage } = trace;
  return {
    id: trace.id,
    time_ms: Math.round(trace.startedAtMs),
    client_key: outcome.clientKey ?? null,
    mode: trace.mode,
    stream: trace.stream ? 1 : 0,
    status: outcome.status,
    error_code: outcome.error?.code ?? null,
    error_source: outcome.error?.source ?? null,
    route: trace.route ?? null,
    backend: trace.backend ?? null,
    model: trace.model ?? null,
    reason: trace.reason ?? null,
    reasons: JSON.stringify(trace.reasons),
    attempts: JSON.stringify(trace.attempts.map((attempt) => attemptJson(attempt, since))),
    degraded: trace.degraded ? 1 : 0,
    confidence: trace.confidence ?? null,
    threshold: trace.threshold,
    features: jsonOrNull(trace.features),
    signals: jsonOrNull(trace.attempts.findLast(({ signals }) => signals !== undefined)?.signals),
    routed_tokens: trace.promptTokens ?? null,
    routed_tokens_from: trace.promptTokensFrom ?? null,
    prompt_tokens: usage?.promptTokens ?? null,
    completion_tokens: usage?.completionTokens ?? null,
    reasoning_tokens: usage?.reasoningTokens ?? null,
    cached_tokens: usage?.cachedTokens ?? null,
    tokens_estimated: usage?.estimated === true ? 1 : 0,
    cost_usd: trace.costUsd ?? null,
    cost_avoided_usd: outcome.costAvoidedUsd ?? null,
    finish_reason: trace.finishReason ?? null,
    native_finish_reason: trace.nativeFinishReason ?? null,
    total_ms: since(trace.endMs),
    first_token_ms: since(trace.firstTokenMs),
    committed_ms: since(trace.committedMs),
    queue_ms: sum(trace.attempts.map(({ startMs, leasedMs }) => span(startMs, leasedMs))),
    local_ms: tierMs(trace.attempts, 'local'),
    cloud_ms: tierMs(trace.attempts, 'cloud'),
    held_ms: sum(trace.attempts.map(({ heldMs }) => heldMs)),
    overhead_ms: trace.overheadMs === undefined ? null : round(trace.overheadMs),
    warnings: JSON.stringify([...trace.warnings.keys()]),
    predicted_wait_ms: null,
    wait_ms: null,
  };
}

function attemptJson(attempt: AttemptTrace, since: (time: number | undefined) => number | null): JsonObject {
  const { tier, backend, model, outcome, reason, score, error, heldMs, heldTokens, usage } = attempt;
  return {
    tier,
    backend: backend ?? null,
    model: model ?? null,
    start_ms: since(attempt.startMs),
    leased_ms: since(attempt.leasedMs),
    first_event_ms: since(attempt.firstEventMs),
    end_ms: since(attempt.endMs),
    outcome: outcome ?? null,
    reason: reason ?? null,
    score: score ?? null,
    error_code: error?.code ?? null,
    error_status: error?.status ?? null,
    error_source: error?.source ?? null,
    held_ms: heldMs === undefined ? null : round(heldMs),
    held_tokens: heldTokens ?? null,
    prompt_tokens: usage?.promptTokens ?? null,
    completion_tokens: usage?.completionTokens ?? null,
  };
}

function jsonOrNull(value: JsonObject | undefined): string | null {
  return value === undefined ? null : JSON.stringify(value);
}

function tierMs(attempts: readonly AttemptTrace[], tier: Tier): number | null {
  return sum(attempts.filter((attempt) => attempt.tier === tier).map(({ leasedMs, endMs }) => span(leasedMs, endMs)));
}

function span(from: number | undefined, to: number | undefined): number | undefined {
  return from === undefined || to === undefined ? undefined : to - from;
}

/** `null` when nothing is known. */
function sum(values: readonly (number | undefined)[]): number | null {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? null : round(known.reduce((total, value) => total + value, 0));
}

/** Microseconds are as fine as our clocks mean it. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

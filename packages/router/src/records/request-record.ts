import { z } from 'zod';
import type { ErrorSource } from '../core/errors.ts';
import { boundedTokens } from '../core/events.ts';
import { type JsonObject, parseJson } from '../core/json.ts';
import { isReason, type Reason } from '../core/reason.ts';
import type { Mode, Tier } from '../core/request.ts';
import type { AttemptTrace, RequestTrace } from '../core/trace.ts';
import type { AttemptView, RequestView } from './request-view.ts';
import type { RequestRow } from './tables.ts';

/** What the trace does not say of a finished request. */
export interface RequestOutcome {
  /** As the client saw it; 499 when it had left. */
  readonly status: number;
  readonly error?: { readonly code: string; readonly source: ErrorSource };
  /** Id of the client's key, never the key. */
  readonly clientKey?: string;
  /** Money the cloud would have cost. */
  readonly costAvoidedUsd?: number;
  /** Name of the router. */
  readonly router?: string;
}

/** The row of a finished request; a copy, so that the trace can be freed. */
export function requestRow(trace: RequestTrace, outcome: RequestOutcome): RequestRow {
  const fields = fieldsOf(trace, outcome);
  return {
    ...fields,
    status: outcome.status,
    reasons: JSON.stringify(fields.reasons),
    attempts: JSON.stringify(fields.attempts),
    features: jsonOrNull(fields.features),
    signals: jsonOrNull(fields.signals),
    warnings: JSON.stringify(fields.warnings),
  };
}

/** What the dashboard shows of a request, without an outcome while it runs; a copy, so that the trace can be freed. */
export function viewTrace(
  trace: RequestTrace,
  outcome: RequestOutcome | undefined,
  clientKey: string | undefined,
): RequestView {
  const running = trace.committedMs === undefined ? 'running' : 'answering';
  const view = viewOf(fieldsOf(trace, outcome), outcome === undefined ? running : 'done');
  return clientKey === undefined ? view : { ...view, clientKey };
}

/** A request that the server itself refused, before it became one. */
export interface Refusal {
  /** As in `x-request-id`. */
  readonly id: string;
  /** Unix milliseconds. */
  readonly timeMs: number;
  readonly status: number;
  readonly code: string;
  readonly source: ErrorSource;
  /** Pattern of the route; absent where there is none. */
  readonly path?: string;
  /** Id of the key; never of a wrong one. */
  readonly clientKey?: string;
}

/** The row of a refusal: when, why and whose, and nothing of what was sent. */
export function refusalRow(refusal: Refusal, router: string | undefined): RequestRow {
  const { id, timeMs, status, code, source, path, clientKey } = refusal;
  return {
    id,
    time_ms: Math.round(timeMs),
    client_key: clientKey ?? null,
    mode: '',
    stream: 0,
    status,
    error_code: code,
    error_source: source,
    route: null,
    backend: null,
    model: null,
    reason: code,
    reasons: '[]',
    attempts: '[]',
    degraded: 0,
    confidence: null,
    threshold: 0,
    features: null,
    signals: null,
    routed_tokens: null,
    routed_tokens_from: null,
    prompt_tokens: null,
    completion_tokens: null,
    reasoning_tokens: null,
    cached_tokens: null,
    tokens_estimated: 0,
    cost_usd: null,
    cost_avoided_usd: null,
    finish_reason: null,
    native_finish_reason: null,
    total_ms: null,
    first_token_ms: null,
    committed_ms: null,
    queue_ms: null,
    local_ms: null,
    cloud_ms: null,
    held_ms: null,
    overhead_ms: null,
    warnings: '[]',
    predicted_wait_ms: null,
    wait_ms: null,
    device: null,
    router: router ?? null,
    dialect: null,
    path: path ?? null,
    tools: null,
    turned_away: 1,
    trace_id: null,
  };
}

/** A stored row as the dashboard shows it. A column that cannot be read is empty rather than an error. */
export function viewRow(row: RequestRow): RequestView {
  return viewOf(
    {
      ...row,
      reasons: namesOf(row.reasons),
      attempts: storedAttemptsOf(row.attempts),
      features: null,
      signals: null,
      warnings: namesOf(row.warnings),
    },
    'done',
  );
}

/** The attempts column, oldest attempt first. */
export function attemptsOf(column: string): readonly AttemptView[] {
  return storedAttemptsOf(column).map(viewAttempt);
}

/** A tier column; what is none of ours is unknown. */
export function asTier(value: string | null): Tier | null {
  return value === 'local' || value === 'cloud' ? value : null;
}

/** A row before its JSON columns are written, or after they are read. A running request has no status yet. */
interface RequestFields extends Omit<
  RequestRow,
  'status' | 'reasons' | 'attempts' | 'features' | 'signals' | 'warnings'
> {
  readonly status: number | null;
  readonly reasons: readonly string[];
  readonly attempts: readonly StoredAttempt[];
  readonly features: JsonObject | null;
  readonly signals: JsonObject | null;
  readonly warnings: readonly string[];
}

const number = z.number().nullish();
const text = z.string().nullish();

/** The attempts column; older rows may lack fields, later ones may have more. */
const storedAttempts = z.array(
  z.object({
    tier: z.enum(['local', 'cloud']),
    backend: text,
    model: text,
    start_ms: number,
    leased_ms: number,
    first_event_ms: number,
    end_ms: number,
    outcome: z.enum(['answered', 'escalated', 'failed', 'cancelled']).nullish().catch(null),
    reason: text,
    score: number,
    error_code: text,
    error_status: number,
    error_source: text,
    held_ms: number,
    held_tokens: number,
    prompt_tokens: number,
    completion_tokens: number,
  }),
);
type StoredAttempt = z.infer<typeof storedAttempts>[number];

const names = z.array(z.string());

/** The one projection of a trace: what is stored of it, and shown. */
function fieldsOf(trace: RequestTrace, outcome: RequestOutcome | undefined): RequestFields {
  const since = (time: number | undefined): number | null => (time === undefined ? null : round(time - trace.startMs));
  const { usage } = trace;
  return {
    id: trace.id,
    time_ms: Math.round(trace.startedAtMs),
    client_key: outcome?.clientKey ?? null,
    mode: trace.mode,
    stream: trace.stream ? 1 : 0,
    status: outcome?.status ?? null,
    error_code: outcome?.error?.code ?? null,
    error_source: outcome?.error?.source ?? null,
    route: trace.route ?? null,
    backend: trace.backend ?? null,
    model: trace.model ?? null,
    reason: (isTurnedAway(trace, outcome) ? outcome?.error?.code : trace.reason) ?? null,
    reasons: trace.reasons,
    attempts: trace.attempts.map((attempt) => attemptFields(attempt, since)),
    degraded: trace.degraded ? 1 : 0,
    confidence: finite(trace.confidence),
    threshold: trace.threshold,
    features: trace.features ?? null,
    signals: null,
    routed_tokens: tokens(trace.promptTokens),
    routed_tokens_from: trace.promptTokensFrom ?? null,
    prompt_tokens: tokens(usage?.promptTokens),
    completion_tokens: tokens(usage?.completionTokens),
    reasoning_tokens: tokens(usage?.reasoningTokens),
    cached_tokens: tokens(usage?.cachedTokens),
    tokens_estimated: usage?.estimated === true ? 1 : 0,
    cost_usd: finite(trace.costUsd),
    cost_avoided_usd: finite(outcome?.costAvoidedUsd),
    finish_reason: trace.finishReason ?? null,
    native_finish_reason: trace.nativeFinishReason ?? null,
    total_ms: since(trace.endMs),
    first_token_ms: since(trace.firstTokenMs),
    committed_ms: since(trace.committedMs),
    queue_ms: sumOf(trace.attempts, ({ startMs, leasedMs }) => span(startMs, leasedMs)),
    local_ms: tierMs(trace.attempts, 'local'),
    cloud_ms: tierMs(trace.attempts, 'cloud'),
    held_ms: sumOf(trace.attempts, ({ heldMs }) => heldMs),
    overhead_ms: trace.overheadMs === undefined ? null : round(trace.overheadMs),
    warnings: [...trace.warnings.keys()],
    ...waitsOf(trace),
    device: trace.device ?? null,
    router: outcome?.router ?? null,
    dialect: trace.dialect ?? null,
    path: null,
    tools: trace.tools ?? null,
    turned_away: isTurnedAway(trace, outcome) ? 1 : 0,
    trace_id: trace.caller?.trace?.traceId ?? null,
  };
}

/** Nothing was tried for it, and it was not its client who gave up. */
function isTurnedAway({ attempts, finishReason }: RequestTrace, outcome: RequestOutcome | undefined): boolean {
  return outcome !== undefined && attempts.length === 0 && finishReason === undefined && outcome.status !== 499;
}

function attemptFields(attempt: AttemptTrace, since: (time: number | undefined) => number | null): StoredAttempt {
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

function jsonOrNull(value: JsonObject | null): string | null {
  return value === null ? null : JSON.stringify(value);
}

function tierMs(attempts: readonly AttemptTrace[], tier: Tier): number | null {
  return sumOf(attempts, (attempt) => (attempt.tier === tier ? span(attempt.leasedMs, attempt.endMs) : undefined));
}

function span(from: number | undefined, to: number | undefined): number | undefined {
  return from === undefined || to === undefined ? undefined : to - from;
}

/** `null` when nothing is known. */
function sumOf(attempts: readonly AttemptTrace[], ms: (attempt: AttemptTrace) => number | undefined): number | null {
  let total: number | null = null;
  for (const attempt of attempts) {
    const value = ms(attempt);
    if (value !== undefined) total = (total ?? 0) + value;
  }
  return total === null ? null : round(total);
}

/** What a column of integers holds; what is beyond stopped every later write or read. */
function tokens(count: number | undefined): number | null {
  return count === undefined ? null : boundedTokens(count);
}

function finite(value: number | undefined): number | null {
  return value === undefined || !Number.isFinite(value) ? null : value;
}

/** Microseconds are as fine as our clocks mean it. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

function viewOf(row: RequestFields, state: RequestView['state']): RequestView {
  return {
    id: row.id,
    timeMs: row.time_ms,
    state,
    clientKey: row.client_key,
    device: row.device,
    router: row.router,
    dialect: row.dialect,
    path: row.path,
    tools: row.tools,
    isTurnedAway: row.turned_away === 1,
    traceId: row.trace_id ?? null,
    mode: row.mode === '' ? null : asMode(row.mode),
    stream: row.stream === 1,
    status: row.status,
    errorCode: row.error_code,
    errorSource: row.error_source === 'upstream' ? 'upstream' : row.error_source === null ? null : 'lfo',
    route: asTier(row.route),
    backend: row.backend,
    model: row.model,
    reason: asReason(row.reason),
    reasons: row.reasons.filter(isReason),
    degraded: row.degraded === 1,
    confidence: row.confidence,
    threshold: row.threshold,
    routedTokens: row.routed_tokens,
    promptTokens: row.prompt_tokens,
    completionTokens: row.completion_tokens,
    reasoningTokens: row.reasoning_tokens,
    cachedTokens: row.cached_tokens,
    costUsd: row.cost_usd,
    costAvoidedUsd: row.cost_avoided_usd,
    finishReason: row.finish_reason,
    totalMs: row.total_ms,
    firstTokenMs: row.first_token_ms,
    committedMs: row.committed_ms,
    overheadMs: row.overhead_ms,
    predictedWaitMs: row.predicted_wait_ms,
    waitMs: row.wait_ms,
    warnings: row.warnings,
    attempts: row.attempts.map(viewAttempt),
  };
}

function viewAttempt(attempt: StoredAttempt): AttemptView {
  return {
    tier: attempt.tier,
    backend: attempt.backend ?? null,
    model: attempt.model ?? null,
    startMs: attempt.start_ms ?? 0,
    leasedMs: attempt.leased_ms ?? null,
    firstEventMs: attempt.first_event_ms ?? null,
    endMs: attempt.end_ms ?? null,
    outcome: attempt.outcome ?? null,
    reason: asReason(attempt.reason),
    score: attempt.score ?? null,
    errorCode: attempt.error_code ?? null,
    errorStatus: attempt.error_status ?? null,
    heldMs: attempt.held_ms ?? null,
    heldTokens: attempt.held_tokens ?? null,
  };
}

function storedAttemptsOf(column: string): readonly StoredAttempt[] {
  return storedAttempts.safeParse(parseJson(column)).data ?? [];
}

/** What routing took the wait for the first local token for, and what it was at the first local backend that was tried. */
function waitsOf({ features, attempts }: RequestTrace): Pick<RequestRow, 'predicted_wait_ms' | 'wait_ms'> {
  const predicted = features?.['predicted_first_token_ms'];
  const backend = features?.['predicted_backend'];
  const first = attempts.find(({ tier }) => tier === 'local');
  // Of another backend than the one that answered nothing was predicted.
  const isComparable = typeof backend !== 'string' || first?.backend === backend;
  const waited = span(first?.startMs, first?.firstEventMs);
  return {
    predicted_wait_ms: typeof predicted === 'number' ? predicted : null,
    wait_ms: waited === undefined || !isComparable ? null : round(waited),
  };
}

function asMode(value: string): Mode {
  return value === 'local' || value === 'cloud' ? value : 'auto';
}

function asReason(value: string | null | undefined): Reason | null {
  return value !== null && value !== undefined && isReason(value) ? value : null;
}

function namesOf(column: string): readonly string[] {
  return names.safeParse(parseJson(column)).data ?? [];
}

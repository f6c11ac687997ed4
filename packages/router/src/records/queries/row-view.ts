import { z } from 'zod';
import { isReason, type Reason } from '../../core/reason.ts';
import type { AttemptView, RequestView } from '../request-view.ts';
import type { Mode, Tier } from '../../core/request.ts';
import { parseJson } from '../../core/json.ts';
import type { RequestRow } from '../tables.ts';

const number = z.number().nullish();
const text = z.string().nullish();

/** As the recorder writes it; older rows may lack fields, later ones may have more. */
const attempts = z.array(
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
    held_ms: number,
    held_tokens: number,
  }),
);
const names = z.array(z.string());

/** A stored row as the dashboard shows it. A column that cannot be read is empty rather than an error. */
export function viewRow(row: RequestRow): RequestView {
  return {
    id: row.id,
    timeMs: row.time_ms,
    state: 'done',
    mode: asMode(row.mode),
    stream: row.stream === 1,
    status: row.status,
    errorCode: row.error_code,
    route: asTier(row.route),
    backend: row.backend,
    model: row.model,
    reason: asReason(row.reason),
    reasons: namesOf(row.reasons).filter(isReason),
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
    warnings: namesOf(row.warnings),
    attempts: attemptsOf(row.attempts),
  };
}

/** The attempts column, oldest attempt first. */
export function attemptsOf(column: string): readonly AttemptView[] {
  const { data = [] } = attempts.safeParse(parseJson(column));
  return data.map((attempt) => ({
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
  }));
}

/** A tier column; what is none of ours is unknown. */
export function asTier(value: string | null): Tier | null {
  return value === 'local' || value === 'cloud' ? value : null;
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

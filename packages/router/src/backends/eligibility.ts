import type { Attempt, Backend, BackendStatus, PoolChoice } from '../core/backend.ts';
import type { ChatRequest } from '../core/request.ts';
import type { CircuitBreaker } from './breaker.ts';

/** One backend of the pool and what the pool knows of it. */
export interface Member {
  readonly backend: Backend;
  readonly breaker: CircuitBreaker;
  /** Requests it may be given at once. */
  readonly maxInFlight: number;
  inFlight: number;
  /** Monotonic; the backend asked for a pause until then, for one model or, under `undefined`, for all. */
  readonly notBeforeMs: Map<string | undefined, number>;
  /** Rises with each pick; 0 for never. */
  lastPick: number;
  /** Runs out: what it has goes on, nothing new comes. */
  isDraining: boolean;
}

/** Why a backend cannot take a request: the request will never do, or not now, or only after a wait. */
export type SkipKind =
  | 'context'
  | 'images'
  | 'tools'
  | 'json_schema'
  | 'model'
  | 'excluded'
  | 'draining'
  | 'down'
  | 'open'
  | 'rate_limited'
  | 'loading'
  | 'full';

export interface Skip {
  readonly backend: string;
  readonly kind: SkipKind;
  readonly why: string;
  /** When asking again makes sense. */
  readonly waitMs?: number;
}

/** What of a choice decides on eligibility. */
export type Asked = Pick<PoolChoice, 'request' | 'exclude' | 'promptTokens'>;

/** Why the member cannot take the attempt now; `undefined` when it can. */
export function skipOf(member: Member, attempt: Attempt, asked: Asked, nowMs: number): Skip | undefined {
  const { backend, breaker } = member;
  const skip = (kind: SkipKind, why: string, waitMs?: number): Skip => ({
    backend: backend.id,
    kind,
    why,
    ...(waitMs === undefined ? {} : { waitMs }),
  });
  if (attempt.model !== undefined && backend.models.length > 0 && !backend.models.includes(attempt.model)) {
    return skip('model', 'does not serve the model');
  }
  const unfit = unfitFor(backend, asked);
  if (unfit !== undefined) return skip(...unfit);
  if (asked.exclude.has(backend.id)) return skip('excluded', 'has failed this request already');
  if (member.isDraining) return skip('draining', 'is given nothing new until it is resumed in the dashboard');
  const pauseMs = pauseOf(member, attempt) - nowMs;
  if (pauseMs > 0) return skip('rate_limited', 'asked for a pause', pauseMs);
  const { state, detail } = backend.status();
  if (state === 'down') return skip('down', detail ?? 'is not reachable');
  if (state === 'loading') return skip('loading', detail ?? 'is still loading');
  if (breaker.state === 'open')
    return skip('open', 'has failed repeatedly and is left alone for a while', breaker.waitMs);
  if (breaker.state === 'half-open' && breaker.waitMs > 0)
    return skip('open', 'is being probed by another request', 1000);
  if (member.inFlight >= member.maxInFlight) return skip('full', 'has as many requests as it may have');
  return undefined;
}

/** The model a member would be asked for. */
export function modelAt({ backend }: Member, { model }: Attempt): string {
  return model ?? backend.models[0] ?? '';
}

function pauseOf(member: Member, attempt: Attempt): number {
  const { notBeforeMs } = member;
  return Math.max(notBeforeMs.get(undefined) ?? 0, notBeforeMs.get(modelAt(member, attempt)) ?? 0);
}

function unfitFor({ capabilities }: Backend, { request, promptTokens }: Asked): [SkipKind, string] | undefined {
  const { contextTokens } = capabilities;
  if (contextTokens !== undefined && promptTokens > contextTokens)
    return ['context', 'its context is too small for the prompt'];
  if (!capabilities.tools && request.tools.length > 0) return ['tools', 'takes no tools'];
  if (!capabilities.jsonSchema && request.responseFormat?.type === 'json_schema')
    return ['json_schema', 'enforces no JSON schema'];
  if (!capabilities.images && hasPart(request, 'image')) return ['images', 'takes no images'];
  if (!capabilities.audio && hasPart(request, 'audio')) return ['images', 'takes no audio'];
  return undefined;
}

function hasPart(request: ChatRequest, type: 'image' | 'audio'): boolean {
  return request.messages.some(({ role, content }) => role === 'user' && content.some((part) => part.type === type));
}

/** Work waiting at a member, ours and what it reports of others. */
export function loadOf(member: Member, status: BackendStatus): number {
  return Math.max(member.inFlight, status.active ?? 0) + (status.queued ?? 0);
}

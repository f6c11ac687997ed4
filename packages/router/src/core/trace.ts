import type { ErrorSource } from './errors.ts';
import type { FinishReason, Usage } from './events.ts';
import type { Judgement } from './judgement.ts';
import type { JsonObject } from './json.ts';
import type { Reason } from './reason.ts';
import type { CallingRouter, Mode, RuledOut, Tier } from './request.ts';

/**
 * What happened to one request: written by the pipeline alone, read by the dialects (headers, `lfo_metadata`), records and
 * logs. Holds no prompt and no answer.
 */
export interface RequestTrace {
  readonly id: string;
  /** Unix milliseconds. */
  readonly startedAtMs: number;
  /** Monotonic. */
  readonly startMs: number;
  /** Monotonic time at which the body had arrived: until then the client was at work, not the router. */
  readonly bodyMs: number;
  /** Name of the router that has it. */
  router: string | undefined;
  /** The LFO that asked for it; undefined: the client itself. */
  readonly caller: CallingRouter | undefined;
  mode: Mode;
  /** As asked; logged only when it resolved to a known model. */
  requestedModel: string;
  stream: boolean;
  /** Vectors are asked for, not an answer. */
  isEmbedding?: true;
  /** Wire by which it came, and the tools it offers; undefined until the way back is open. */
  dialect: string | undefined;
  tools: number | undefined;
  promptTokens: number | undefined;
  promptTokensFrom: 'count' | 'bound' | 'estimate' | undefined;
  threshold: number;
  /** Share of the prompt, 0..1, that the session's turns before it began with too; absent: its first, or no session. */
  prefixReuse?: number;
  /** What else the policies knew, for replays; no text. */
  features: JsonObject | undefined;
  /** Decisive reason of the route so far. */
  reason: Reason | undefined;
  reasons: readonly Reason[];
  /** Names of the operator's rules that voted; absent: none. */
  rules?: readonly string[];
  /** What those rules keep it from; absent: nothing. */
  ruledOut?: RuledOut;
  route: Tier | undefined;
  backend: string | undefined;
  model: string | undefined;
  /** Name of the device that answers; undefined where none does. */
  device: string | undefined;
  /** How often that device was lost and came back while it answered. */
  resumed: number | undefined;
  /** The LFOs behind this one through which the answer came, the nearest first; absent: none. */
  via: readonly ViaHop[] | undefined;
  /** Score of the answer that was given. */
  confidence: number | undefined;
  /** The best local answer was given though it did not pass. */
  degraded: boolean;
  readonly attempts: AttemptTrace[];
  /** The cloud may be asked too once a local answer was given, to learn from it (`gate.shadow_rate`). */
  mayBeShadowed?: true;
  readonly warnings: Map<string, string>;
  usage: Usage | undefined;
  finishReason: FinishReason | undefined;
  nativeFinishReason: string | undefined;
  /** Monotonic times; undefined until reached. */
  committedMs: number | undefined;
  firstTokenMs: number | undefined;
  endMs: number | undefined;
  /** Milliseconds from the whole body to the first attempt: the router's own work, queues and upstreams excluded. */
  overheadMs: number | undefined;
  costUsd: number | undefined;
}

/** An LFO behind this one, and what answered there; `null` where it does not say. */
export interface ViaHop {
  readonly router: string | null;
  readonly backend: string | null;
  readonly model: string | null;
  /** Name of the device. */
  readonly device: string | null;
}

/** One try at one backend. Times are monotonic milliseconds. */
export interface AttemptTrace {
  readonly tier: Tier;
  backend: string | undefined;
  model: string | undefined;
  /** Name of the device. */
  device: string | undefined;
  /** How often it was lost and came back meanwhile. */
  resumed: number | undefined;
  readonly startMs: number;
  leasedMs: number | undefined;
  firstEventMs: number | undefined;
  endMs: number | undefined;
  outcome: 'answered' | 'escalated' | 'failed' | 'cancelled' | undefined;
  reason: Reason | undefined;
  score: number | undefined;
  /** As in the request's trace. */
  via?: readonly ViaHop[];
  /** Where the backend says that it sent the prompt, though it is of the local tier; absent: nowhere. */
  leaked?: string;
  /** Stable code of the error that ended it. */
  error: { readonly code: string; readonly status: number; readonly source: ErrorSource } | undefined;
  /** Time its text was held back before the commit point. */
  heldMs: number | undefined;
  heldTokens: number | undefined;
  /** What the judge said and saw, for replays; no text. */
  judgement: Judgement | undefined;
  usage: Usage | undefined;
  /** It began while a local attempt was still being judged. */
  isHedge: boolean;
  /** The model was held to a call, since the one it had made before could not be used. */
  isCallForced?: true;
}

/** A fresh trace of a request that has just arrived; `startMs` may lie before now (receipt of the first byte). */
export function beginTrace(
  request: {
    readonly id: string;
    readonly model: string;
    readonly stream: boolean;
    readonly hints: { readonly mode: Mode; readonly caller?: CallingRouter };
  },
  times: { readonly startMs: number; readonly startedAtMs: number; readonly bodyMs?: number },
  threshold: number,
): RequestTrace {
  return {
    id: request.id,
    startedAtMs: times.startedAtMs,
    startMs: times.startMs,
    bodyMs: times.bodyMs ?? times.startMs,
    router: undefined,
    caller: request.hints.caller,
    mode: request.hints.mode,
    requestedModel: request.model,
    stream: request.stream,
    dialect: undefined,
    tools: undefined,
    promptTokens: undefined,
    promptTokensFrom: undefined,
    threshold,
    features: undefined,
    reason: undefined,
    reasons: [],
    route: undefined,
    backend: undefined,
    model: undefined,
    device: undefined,
    resumed: undefined,
    via: undefined,
    confidence: undefined,
    degraded: false,
    attempts: [],
    warnings: new Map(),
    usage: undefined,
    finishReason: undefined,
    nativeFinishReason: undefined,
    committedMs: undefined,
    firstTokenMs: undefined,
    endMs: undefined,
    overheadMs: undefined,
    costUsd: undefined,
  };
}

/** Adds an attempt that starts now. */
export function beginAttempt(trace: RequestTrace, tier: Tier, startMs: number): AttemptTrace {
  const attempt = newAttempt(tier, startMs);
  trace.attempts.push(attempt);
  return attempt;
}

/** An attempt of which nothing is known yet. */
export function newAttempt(tier: Tier, startMs: number): AttemptTrace {
  return {
    tier,
    backend: undefined,
    model: undefined,
    device: undefined,
    resumed: undefined,
    startMs,
    leasedMs: undefined,
    firstEventMs: undefined,
    endMs: undefined,
    outcome: undefined,
    reason: undefined,
    score: undefined,
    error: undefined,
    heldMs: undefined,
    heldTokens: undefined,
    judgement: undefined,
    usage: undefined,
    isHedge: false,
  };
}

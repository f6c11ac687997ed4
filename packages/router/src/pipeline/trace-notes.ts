import type { Attempt, FleetView, Lease } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { HeldAnswer } from '../confidence/gate.ts';
import type { FinalVerdict } from '../core/confidence.ts';
import { LfoError } from '../core/errors.ts';
import type { InferenceEvent, Usage } from '../core/events.ts';
import type { JsonObject } from '../core/json.ts';
import type { Reason } from '../core/reason.ts';
import type { Decision, RequestFeatures } from '../core/routing.ts';
import { type AttemptTrace, beginAttempt, type RequestTrace } from '../core/trace.ts';
import { recordedFeatures } from '../routing/recorded-features.ts';

/** US dollars that attempts cost together; `undefined` where a price is not known. */
export type CostOf = (attempts: readonly AttemptTrace[]) => number | undefined;

/** What the notes read off a gate. */
export interface Judged {
  readonly committed: boolean;
  readonly verdict: FinalVerdict | undefined;
  readonly firstEventMs: number | undefined;
  readonly heldMs: number;
  readonly heldTokens: number;
  readonly evidence: JsonObject | undefined;
}

/** Writes down what was measured and decided. */
export function noteDecision(
  trace: RequestTrace,
  features: RequestFeatures,
  fleet: FleetView,
  decision: Decision,
): void {
  trace.mode = features.mode;
  trace.promptTokens = features.promptTokens;
  trace.promptTokensFrom = features.promptTokensFrom;
  trace.features = recordedFeatures(features, fleet);
  trace.threshold = features.limits.confidenceThreshold;
  trace.reason = decision.reasons[0];
  trace.reasons = decision.reasons;
}

/** Keeps the trace of one attempt, and with it what the response's head will say should this attempt answer. */
export class AttemptNotes {
  readonly #trace: RequestTrace;
  readonly #attempt: AttemptTrace;
  readonly #clock: Clock;
  readonly #costOf: CostOf;
  readonly #isGated: boolean;

  constructor(trace: RequestTrace, attempt: Attempt, clock: Clock, costOf: CostOf) {
    this.#isGated = attempt.gated;
    this.#trace = trace;
    this.#clock = clock;
    this.#costOf = costOf;
    this.#attempt = beginAttempt(trace, attempt.tier, clock.nowMs());
    trace.overheadMs ??= this.#attempt.startMs - trace.startMs;
  }

  leased(lease: Lease): void {
    const { backend } = lease;
    this.#attempt.backend = backend.id;
    this.#attempt.model = lease.model;
    this.#attempt.leasedMs = this.#clock.nowMs();
    noteRoute(this.#trace, this.#attempt);
  }

  /** For each event that is let out, before it goes. */
  released(event: InferenceEvent, judged: Judged): void {
    const trace = this.#trace;
    if (event.type === 'start') this.#attempt.model = trace.model = event.model;
    else if (event.type === 'finish') this.#attempt.usage = event.usage;
    if (trace.committedMs === undefined && isContent(event)) {
      trace.committedMs = this.#clock.nowMs();
      trace.firstTokenMs = judged.firstEventMs ?? trace.committedMs;
      noteVerdict(trace, judged);
      if (this.#isGated && judged.verdict !== undefined) leadWith(trace, judged.verdict.reason);
    }
    noteAnswer(trace, event, this.#costOf);
  }

  /** What an answer cost that never came to its end; an estimate. */
  unfinished(usage: Usage): void {
    this.#attempt.usage ??= usage;
  }

  /** The attempt is over and its answer is, or is not, the one the client gets. */
  judged(judged: Judged, outcome: 'answered' | 'escalated'): void {
    this.#judged(judged);
    this.#attempt.reason = judged.verdict?.reason;
    this.#end(outcome);
    if (outcome === 'answered') noteVerdict(this.#trace, judged);
    else if (judged.verdict !== undefined) leadWith(this.#trace, judged.verdict.reason);
  }

  failed(error: unknown, judged: Judged | undefined, isCancelled: boolean): void {
    const attempt = this.#attempt;
    if (judged !== undefined) this.#judged(judged);
    // Nothing follows: what was spent here is what the request has cost.
    if (isCancelled || judged?.committed === true) this.#trace.usage ??= attempt.usage;
    this.#end(isCancelled ? 'cancelled' : 'failed');
    attempt.error =
      error instanceof LfoError
        ? { code: error.code, status: error.status, source: error.source }
        : { code: 'internal_error', status: 500, source: 'lfo' };
    if (isCancelled) return;
    attempt.reason = attempt.tier === 'local' ? 'local_failed' : 'cloud_failed';
    leadWith(this.#trace, attempt.reason);
  }

  #judged(judged: Judged): void {
    const attempt = this.#attempt;
    attempt.score = judged.verdict?.score;
    attempt.firstEventMs = judged.firstEventMs;
    attempt.heldMs = judged.heldMs;
    attempt.heldTokens = judged.heldTokens;
    attempt.signals = judged.evidence;
  }

  #end(outcome: NonNullable<AttemptTrace['outcome']>): void {
    this.#attempt.outcome = outcome;
    this.#attempt.endMs = this.#clock.nowMs();
  }
}

/** The held answer of an earlier attempt is given after all. */
export function noteHeldAnswer(
  trace: RequestTrace,
  held: Judged & { readonly held: HeldAnswer },
  costOf: CostOf,
): void {
  const attempt = trace.attempts.findLast((earlier) => earlier.outcome === 'escalated');
  if (attempt !== undefined) noteRoute(trace, attempt);
  noteVerdict(trace, held);
  for (const event of held.held.events) noteAnswer(trace, event, costOf);
  noteDegraded(trace, held.verdict);
}

/** In `auto` a local answer that did not pass, or stands in for the cloud's, is marked as such. */
export function noteDegraded(trace: RequestTrace, verdict: FinalVerdict | undefined): void {
  trace.degraded = true;
  if (verdict?.type === 'escalate') leadWith(trace, verdict.reason);
  leadWith(trace, 'degraded');
}

/** Puts the latest decisive reason in front of the others. */
function leadWith(trace: RequestTrace, reason: Reason): void {
  trace.reason = reason;
  trace.reasons = [reason, ...trace.reasons.filter((other) => other !== reason)];
}

function noteRoute(trace: RequestTrace, attempt: AttemptTrace): void {
  trace.route = attempt.tier;
  trace.backend = attempt.backend;
  trace.model = attempt.model;
}

function noteVerdict(trace: RequestTrace, judged: Judged): void {
  if (trace.route === 'local') trace.confidence = judged.verdict?.score;
}

function noteAnswer(trace: RequestTrace, event: InferenceEvent, costOf: CostOf): void {
  if (event.type !== 'finish') return;
  trace.usage = event.usage;
  trace.costUsd = costOf(trace.attempts);
  trace.finishReason = event.reason;
  trace.nativeFinishReason = event.nativeReason;
}

function isContent(event: InferenceEvent): boolean {
  return (
    event.type === 'text-delta' ||
    event.type === 'tool-call-start' ||
    event.type === 'refusal-delta' ||
    event.type === 'reasoning-delta'
  );
}

import type { Gate } from '../confidence/gate.ts';
import type { Attempt as PlannedAttempt, Lease } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { FinalVerdict, ModelIdentity } from '../core/confidence.ts';
import { BackendError, LfoError } from '../core/errors.ts';
import { type InferenceEvent, repetition, type Usage } from '../core/events.ts';
import { fourDigits } from '../core/four-digits.ts';
import type { Judgement } from '../core/judgement.ts';
import type { Reason } from '../core/reason.ts';
import { type AttemptTrace, beginAttempt, type RequestTrace, type ViaHop } from '../core/trace.ts';
import type { Routed } from '../routing/route.ts';
import { ruledOut } from '../routing/rules.ts';

/** US dollars that attempts cost together; `undefined` where a price is not known. */
export type CostOf = (attempts: readonly AttemptTrace[]) => number | undefined;

/** A local answer that was held back and may be given after all. */
export interface SparedAnswer {
  readonly events: readonly InferenceEvent[];
  /** Its backend had finished; otherwise it was cut at its total time and ends with `length`. */
  readonly isWhole: boolean;
  readonly attempt: AttemptTrace;
  /** Why it did not pass; undefined where nobody judged it. */
  readonly verdict: FinalVerdict | undefined;
}

/** Writes down what was measured and decided. */
export function noteDecision(trace: RequestTrace, { features, decision, recorded }: Routed): void {
  trace.mode = decision.mode ?? features.mode;
  if (decision.rules !== undefined && decision.rules.length > 0) {
    trace.rules = [...new Set(decision.rules.map(({ rule }) => rule))];
    trace.ruledOut = ruledOut(decision.rules);
  }
  trace.promptTokens = features.promptTokens;
  trace.promptTokensFrom = features.promptTokensFrom;
  const { rules, prefixReuse } = trace;
  trace.features =
    rules === undefined && prefixReuse === undefined
      ? recorded
      : {
          ...recorded,
          ...(rules !== undefined && { rules }),
          ...(prefixReuse !== undefined && { prefix_reuse: fourDigits(prefixReuse) }),
        };
  trace.threshold = features.limits.confidenceThreshold;
  trace.reason = decision.reasons[0];
  trace.reasons = decision.reasons;
}

/** Keeps the trace of one attempt, and with it what the response's head will say should this attempt answer. */
export class AttemptNotes {
  readonly attempt: AttemptTrace;
  readonly #trace: RequestTrace;
  readonly #clock: Clock;
  readonly #costOf: CostOf;
  readonly #policy: Judgement['policy'];
  /** The operator wants local answers to pass whatever is thought of them. */
  readonly #isObserved: boolean;
  #judged: ModelIdentity | undefined;
  #reported: number | undefined;

  constructor(trace: RequestTrace, planned: PlannedAttempt, clock: Clock, costOf: CostOf) {
    this.#policy = planned.gated ? 'judge' : (planned.policy ?? 'observe');
    this.#isObserved = planned.policy !== undefined;
    this.#trace = trace;
    this.#clock = clock;
    this.#costOf = costOf;
    this.attempt = beginAttempt(trace, planned.tier, clock.nowMs());
    trace.overheadMs ??= this.attempt.startMs - trace.bodyMs;
  }

  leased({ backend, model }: Lease): void {
    this.attempt.backend = backend.id;
    this.attempt.model = model;
    this.attempt.device = backend.label?.()?.name;
    this.attempt.leasedMs = this.#clock.nowMs();
    noteRoute(this.#trace, this.attempt);
  }

  /** A judge looks at the answer of this model. */
  judging(model: ModelIdentity): void {
    this.#judged = model;
  }

  /** The device went on with it after it had been away. */
  resumed(): void {
    this.attempt.resumed = (this.attempt.resumed ?? 0) + 1;
    this.#trace.resumed = this.attempt.resumed;
  }

  /** The answer came through other LFOs. */
  cameVia(hops: readonly ViaHop[]): void {
    this.attempt.via = hops;
    this.#trace.via = hops;
  }

  /** Events that are about to go to the client. */
  released(events: readonly InferenceEvent[], gate: Gate): void {
    const trace = this.#trace;
    for (const event of events) {
      if (event.type === 'start') this.attempt.model = trace.model = event.model;
      else if (event.type === 'finish') this.attempt.usage = event.usage;
      else if (event.type === 'self-report') this.#noteReported(event.confidence);
      else if (trace.committedMs === undefined && isAnswer(event)) {
        trace.committedMs = this.#clock.nowMs();
        trace.firstTokenMs = gate.firstEventMs ?? trace.committedMs;
        noteConfidence(trace, gate.verdict);
        if (this.#policy === 'judge' && gate.verdict !== undefined) leadWith(trace, gate.verdict.reason);
      }
      noteAnswer(trace, event, this.#costOf);
    }
  }

  /** The attempt is over and its answer is the one the client gets. */
  answered(gate: Gate): void {
    const { verdict } = gate;
    this.#noteVerdict(gate);
    this.attempt.reason = verdict?.reason;
    this.#end('answered');
    noteConfidence(this.#trace, verdict);
    this.#trace.confidence ??= this.#reported;
    if (!this.#isObserved && isDegraded(this.#trace, verdict)) noteDegraded(this.#trace, verdict);
  }

  /** Its answer is withheld; another attempt may follow. */
  escalated(gate: Gate, reason: Reason | undefined, usage: Usage | undefined): void {
    this.#noteVerdict(gate);
    this.attempt.usage ??= usage;
    this.attempt.reason = reason;
    this.#end('escalated');
    if (reason !== undefined) leadWith(this.#trace, reason);
  }

  /** It never ran: its place was taken before it had begun. */
  withdrawn(): void {
    const { attempts } = this.#trace;
    const at = attempts.indexOf(this.attempt);
    if (at !== -1) attempts.splice(at, 1);
  }

  /** @param isFinal nothing follows: what was spent here is what the request has cost */
  failed(
    error: unknown,
    gate: Gate | undefined,
    usage: Usage | undefined,
    isFinal: boolean,
    isCancelled: boolean,
  ): void {
    const { attempt } = this;
    if (gate !== undefined) this.#noteVerdict(gate);
    attempt.usage ??= usage;
    if (isFinal) this.#trace.usage ??= attempt.usage;
    this.#end(isCancelled ? 'cancelled' : 'failed');
    if (error instanceof BackendError && error.egress !== undefined) attempt.leaked = error.egress;
    attempt.error =
      error instanceof LfoError
        ? { code: error.code, status: error.status, source: error.source }
        : { code: 'internal_error', status: 500, source: 'lfo' };
    if (isCancelled) return;
    const isRefusal = gate?.isEscalated === true && gate.verdict !== undefined;
    attempt.reason = isRefusal ? gate.verdict.reason : attempt.tier === 'local' ? 'local_failed' : 'cloud_failed';
    leadWith(this.#trace, attempt.reason);
  }

  /** Another LFO has judged its answer: that counts where nobody here does. */
  #noteReported(confidence: number | undefined): void {
    if (this.attempt.via !== undefined) this.#reported = confidence;
  }

  #noteVerdict(gate: Gate): void {
    const { attempt } = this;
    attempt.score = gate.verdict?.score;
    attempt.firstEventMs = gate.firstEventMs;
    attempt.heldMs = gate.heldMs;
    attempt.heldTokens = gate.heldTokens;
    attempt.judgement = this.#judgementOf(gate);
  }

  #judgementOf({ verdict, evidence }: Gate): Judgement | undefined {
    const model = this.#judged;
    if (model === undefined || verdict === undefined || evidence === undefined) return undefined;
    const { type, score, reason } = verdict;
    const threshold = this.#trace.threshold;
    return { policy: this.#policy, model, evidence, score, threshold, verdict: type, reason };
  }

  #end(outcome: NonNullable<AttemptTrace['outcome']>): void {
    this.attempt.outcome = outcome;
    this.attempt.endMs = this.#clock.nowMs();
  }
}

/** The held answer of an earlier attempt is given after all. */
export function noteSparedAnswer(trace: RequestTrace, spared: SparedAnswer, nowMs: number, costOf: CostOf): void {
  noteHeldAnswer(trace, spared, nowMs, costOf);
  if (!spared.isWhole) spared.attempt.outcome = 'answered';
  if (spared.verdict !== undefined || trace.attempts.some(({ tier }) => tier === 'cloud')) {
    noteDegraded(trace, spared.verdict);
  }
}

/** Another local model gave the same answer as the one held back, which is therefore given. */
export function noteUpheldAnswer(
  trace: RequestTrace,
  held: SparedAnswer,
  score: number,
  nowMs: number,
  costOf: CostOf,
): void {
  noteHeldAnswer(trace, held, nowMs, costOf);
  held.attempt.outcome = 'answered';
  held.attempt.reason = 'second_opinion';
  held.attempt.score = score;
  trace.confidence = score;
  leadWith(trace, 'second_opinion');
}

/** An answer that was held back is the one the client gets. */
function noteHeldAnswer(
  trace: RequestTrace,
  { attempt, events, verdict }: SparedAnswer,
  nowMs: number,
  costOf: CostOf,
): void {
  noteRoute(trace, attempt);
  noteConfidence(trace, verdict);
  trace.committedMs ??= nowMs;
  trace.firstTokenMs ??= attempt.firstEventMs ?? nowMs;
  for (const event of events) noteAnswer(trace, event, costOf);
}

/** Whether a local answer in `auto` stands in for one that the cloud should have given. */
function isDegraded(trace: RequestTrace, verdict: FinalVerdict | undefined): boolean {
  if (trace.mode !== 'auto' || trace.route !== 'local') return false;
  return verdict?.type === 'escalate' || trace.attempts.some(({ tier, isHedge }) => tier === 'cloud' && !isHedge);
}

function noteDegraded(trace: RequestTrace, verdict: FinalVerdict | undefined): void {
  trace.degraded = true;
  if (verdict?.type === 'escalate') leadWith(trace, verdict.reason);
  leadWith(trace, 'degraded');
}

/** Puts the latest decisive reason in front of the others. */
export function leadWith(trace: RequestTrace, reason: Reason): void {
  trace.reason = reason;
  trace.reasons = [reason, ...trace.reasons.filter((other) => other !== reason)];
}

function noteRoute(trace: RequestTrace, attempt: AttemptTrace): void {
  trace.route = attempt.tier;
  trace.backend = attempt.backend;
  trace.model = attempt.model;
  trace.device = attempt.device;
  trace.resumed = attempt.resumed;
  trace.via = attempt.via;
}

function noteConfidence(trace: RequestTrace, verdict: FinalVerdict | undefined): void {
  if (trace.route === 'local') trace.confidence = verdict?.score;
}

const repeated = 'the model repeated itself and was stopped; ask again in other words or with a higher temperature';

function noteAnswer(trace: RequestTrace, event: InferenceEvent, costOf: CostOf): void {
  if (event.type !== 'finish') return;
  trace.usage = event.usage;
  trace.costUsd = costOf(trace.attempts);
  trace.finishReason = event.reason;
  trace.nativeFinishReason = event.nativeReason;
  if (trace.route === 'local' && event.nativeReason === repetition) trace.warnings.set('finish_reason', repeated);
}

/** Part of an answer that a client sees. */
export function isAnswer({ type }: InferenceEvent): boolean {
  return type === 'text-delta' || type === 'tool-call-start' || type === 'refusal-delta' || type === 'reasoning-delta';
}

import { deadlineExceeded, watch } from './watch.ts';
import { type Gate, openGate } from '../confidence/gate.ts';
import { type ChildAbort, childOf } from '../core/abort.ts';
import { type BackendPool, type FleetView, type Lease, outcomeOf } from '../core/backend.ts';
import { type Clock, sleep } from '../core/clock.ts';
import type { ConfidenceEstimator } from '../core/confidence.ts';
import type { GateConfig, LimitsConfig, TierBudgets } from '../config/config.ts';
import { BackendError, LfoError } from '../core/errors.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { ChatRequest, Tier } from '../core/request.ts';
import type { Decision, RequestFeatures } from '../core/routing.ts';
import type { RequestTrace } from '../core/trace.ts';
import { Plan, type Retries, type Step } from './plan.ts';
import { AttemptNotes, type CostOf, noteDecision, noteDegraded, noteHeldAnswer } from './trace-notes.ts';

/** What the main path needs. The set that serves `local` requests is built without anything that reaches the cloud. */
export interface Stages {
  readonly clock: Clock;
  readonly pool: BackendPool;
  readonly measure: (request: ChatRequest, fleet: FleetView, signal: AbortSignal) => Promise<RequestFeatures>;
  readonly decide: (features: RequestFeatures, fleet: FleetView) => Decision;
  readonly judge: ConfidenceEstimator;
  readonly gate: GateConfig;
  readonly budgets: Readonly<Record<Tier, TierBudgets>>;
  readonly limits: LimitsConfig;
  readonly retries: Retries;
}

/** One request on its way; the signal ends it: the client left, or its deadline is over. */
export interface Call {
  readonly signal: AbortSignal;
  /** Monotonic time of the deadline, where there is one. */
  readonly deadlineMs: number | undefined;
  readonly trace: RequestTrace;
  /** US dollars that attempts cost; `undefined` where a price is not known. */
  readonly costOf: CostOf;
}

/**
 * Answers one request: measure, decide, then make the planned tries until one answers and passes the gate. Before the
 * commit point everything may be retried, failed over or escalated; after it nothing. Each step is noted in the trace.
 * @throws LfoError when nothing answered; after the commit point, what cut the answer short
 */
export async function* answer(request: ChatRequest, call: Call, stages: Stages): AsyncGenerator<InferenceEvent, void> {
  const { pool, clock } = stages;
  const { trace } = call;
  const fleet = pool.view();
  const features = await stages.measure(request, fleet, call.signal);
  const decision = stages.decide(features, fleet);
  noteDecision(trace, features, fleet, decision);

  const { promptTokens } = features;
  const plan = new Plan(decision.attempts, stages.retries, (attempt, exclude) =>
    pool.hasCandidate(attempt, { request, exclude, promptTokens }),
  );
  let held: Gate | undefined; // the best complete local answer that did not pass
  for (let step = plan.take(); step !== undefined && hasRoom(step, call, clock); step = plan.take()) {
    const notes = new AttemptNotes(trace, step.attempt, clock, call.costOf);
    const abort = childOf(call.signal); // each try can be ended alone
    let lease: Lease | undefined;
    let gate: Gate | undefined;
    let failure: unknown;
    try {
      if (step.delayMs > 0) await sleep(clock, step.delayMs, abort.signal);
      lease = await pool.acquire(step.attempt, { request, promptTokens, signal: abort.signal, exclude: step.exclude });
      notes.leased(lease);
      gate = openTry(request, { step, lease, abort, notes, promptTokens }, call, stages);
      for await (const event of gate) {
        notes.released(event, gate);
        yield event;
      }
      if (!gate.escalated) {
        notes.judged(gate, 'answered');
        if (isDegraded(trace, gate)) noteDegraded(trace, gate.verdict);
        return;
      }
      notes.judged(gate, 'escalated');
      if (gate.held.isComplete && gate.verdict?.reason !== 'empty_answer') held = gate;
      else plan.addLastResort({ ...step.attempt, gated: false });
      plan.escalated();
    } catch (error) {
      failure = error;
      notes.failed(error, gate, call.signal.aborted);
      if (call.signal.aborted || gate?.committed === true) throw error; // nobody waits any more, or bytes have left
      if (!plan.failed(step, error, lease?.backend.id) && held === undefined) throw plan.error ?? error;
    } finally {
      abort.abort(attemptOver);
      abort.release();
      lease?.done(failure === undefined ? 'success' : outcomeOf(failure, isBackendError), failure);
    }
  }
  if (held === undefined) throw plan.error ?? deadlineExceeded();
  noteHeldAnswer(trace, held, call.costOf); // nothing better was to be had
  yield* held.held.events;
}

/** Whether the client still waits when this try begins. */
function hasRoom({ delayMs }: Step, { deadlineMs }: Call, clock: Clock): boolean {
  return deadlineMs === undefined || clock.nowMs() + delayMs < deadlineMs;
}

interface Try {
  readonly step: Step;
  readonly lease: Lease;
  readonly abort: ChildAbort;
  readonly notes: AttemptNotes;
  readonly promptTokens: number;
}

/** Runs one try under its budgets and behind its gate; nothing runs before the gate is read. */
function openTry(request: ChatRequest, current: Try, call: Call, stages: Stages): Gate {
  const { clock, limits } = stages;
  const { step, lease, abort, notes, promptTokens } = current;
  const { backend, model } = lease;
  const { trace, deadlineMs } = call;
  const isJudged = backend.tier === 'local';
  const { scoredTokens } = stages.judge;
  const deadline = deadlineMs === undefined ? {} : { deadlineMs };
  const events = watch(
    (watched) =>
      backend.infer(request, {
        ...watched,
        ...deadline,
        model,
        wantScores: isJudged,
        ...(scoredTokens === undefined ? {} : { scoredTokens }),
        warn: (param, why) => trace.warnings.set(param, why),
      }),
    {
      backend: backend.id,
      budgets: budgetsFor(request, backend.tier, stages),
      limits,
      clock,
      abort,
      promptTokens,
      // The judge has a word for it; and a stop sequence may well end an answer before it begins.
      refusesEmpty: !step.attempt.gated && request.sampling.stop.length === 0,
      onUnfinished: (usage) => notes.unfinished(usage),
    },
  );
  return openGate(events, isJudged ? stages.judge.begin(request, trace.threshold) : undefined, {
    mode: step.attempt.gated ? 'judge' : 'observe',
    limits: stages.gate,
    clock,
    signal: abort.signal,
  });
}

/** Some clouds send a tool call whole once it is written, which may be a file: until then they are silent. */
function budgetsFor({ tools }: ChatRequest, tier: Tier, { budgets }: Stages): TierBudgets {
  const { idleMs, firstTokenMs } = budgets[tier];
  if (tier === 'local' || tools.length === 0) return budgets[tier];
  return { ...budgets[tier], idleMs: Math.max(idleMs, firstTokenMs) };
}

/** Whether a local answer in `auto` stands in for one that the cloud should have given. */
function isDegraded(trace: RequestTrace, gate: Gate): boolean {
  if (trace.mode !== 'auto' || trace.route !== 'local') return false;
  return gate.verdict?.type === 'escalate' || trace.attempts.some((attempt) => attempt.tier === 'cloud');
}

function isBackendError(error: unknown): error is BackendError {
  return error instanceof BackendError;
}

const attemptOver = new LfoError('The attempt is over.', { code: 'attempt_over', status: 499 });

import { Gate } from '../confidence/gate.ts';
import { leastScoreToAsk } from '../confidence/opinion.ts';
import { type Cancellation, type ChildAbort, childOf } from '../core/abort.ts';
import {
  type AnswerTiming,
  type Backend,
  type BackendPool,
  type CallContext,
  type FleetView,
  type Lease,
  type Outcome,
  outcomeOf,
} from '../core/backend.ts';
import { type Clock, sleep } from '../core/clock.ts';
import type { ConfidenceEstimator, ConfidenceSession } from '../core/confidence.ts';
import type { GateConfig, LimitsConfig, TierBudgets } from '../config/config.ts';
import { BackendError, LfoError, preemptedCode } from '../core/errors.ts';
import type { InferenceEvent, Usage } from '../core/events.ts';
import { type Flow, type Sink, type Source, sourceOf } from '../core/flow.ts';
import type { Reason } from '../core/reason.ts';
import type { ChatRequest, Tier } from '../core/request.ts';
import type { RequestFeatures } from '../core/routing.ts';
import type { AnswerWriter, RequestFollower } from '../core/sink.ts';
import { warnOfUnused } from '../core/unused-fields.ts';
import type { AttemptTrace, RequestTrace } from '../core/trace.ts';
import type { Route } from '../routing/route.ts';
import { AttemptNotes, type CostOf, type SparedAnswer } from './attempt-notes.ts';
import type { Retries, Step } from './plan.ts';
import { type Batch, UpstreamAnswer } from './upstream-answer.ts';
import { type WrittenCalls, writtenCalls } from './written-calls.ts';

/** What the main path needs. The set that serves `local` requests is built without anything that reaches the cloud. */
export interface Stages {
  readonly clock: Clock;
  readonly pool: BackendPool;
  readonly route: Route;
  readonly judge: ConfidenceEstimator;
  readonly gate: GateConfig;
  readonly budgets: Readonly<Record<Tier, TierBudgets>>;
  readonly limits: LimitsConfig;
  readonly retries: Retries;
  /** 0..1, uniform. */
  readonly random: () => number;
  /** When the cloud may begin before a local answer is judged; absent where there is no cloud. */
  readonly hedging?: HedgePolicy;
  /** Told of a local answer that was held back beside the one that the cloud gave instead; must not take long. */
  readonly compared?: (answers: ComparedAnswers) => void;
}

/** Decides when the cloud is begun beside a local attempt, and learns from how such attempts end. */
export interface HedgePolicy {
  /** Milliseconds after the local attempt; undefined: not before the verdict. */
  delayMs(request: ChatRequest, size: PromptSize, fleet: () => FleetView, costOf: CostOf): number | undefined;
  judged(request: ChatRequest, wasHeldBack: boolean): void;
}

/** Two answers to one request. */
export interface ComparedAnswers {
  readonly request: ChatRequest;
  /** Place of the local attempt in the trace. */
  readonly attempt: number;
  readonly local: readonly InferenceEvent[];
  readonly cloud: readonly InferenceEvent[];
  /** Chance with which this answer was to be compared. */
  readonly propensity: number;
}

/** One request on its way; the signal ends it: the client left, or its deadline is over. */
export interface Call {
  readonly signal: Cancellation;
  /** Monotonic time of the deadline, where there is one. */
  readonly deadlineMs: number | undefined;
  /** Monotonic time by which the client wants the head of its response, where it said so. */
  readonly headDueMs: number | undefined;
  hasHead(): boolean;
  readonly trace: RequestTrace;
  /** US dollars that attempts cost; `undefined` where a price is not known. */
  readonly costOf: CostOf;
  /** Told of what is held back, where anybody follows that. */
  readonly held?: RequestFollower['held'];
}

/** How an attempt ended; only `answered` has given the client its answer. */
export type AttemptEnd =
  | { readonly type: 'answered' }
  /** Withheld by the gate; without `spared` there is nothing of it worth keeping. */
  | {
      readonly type: 'escalated';
      readonly reason: Reason | undefined;
      readonly spared: SparedAnswer | undefined;
      readonly held: HeldBack;
    }
  /** `spared`: what there was of the answer when its total time was over. */
  | { readonly type: 'failed'; readonly error: unknown; readonly spared?: SparedAnswer };

/** Where an attempt's answer goes. */
export type AttemptWriter = Pick<AnswerWriter, 'committed' | 'write'>;

/** A local answer that was held back, whole or up to where it was condemned. */
export interface HeldBack {
  readonly events: readonly InferenceEvent[];
  readonly attempt: AttemptTrace;
}

/** How long the prompt is, and how that is known. */
export type PromptSize = Pick<RequestFeatures, 'promptTokens' | 'promptTokensFrom' | 'warmTokens' | 'warmBackend'>;

/** Without the rest of what was measured. */
export function promptSizeOf({ promptTokens, promptTokensFrom, warmTokens, warmBackend }: RequestFeatures): PromptSize {
  return { promptTokens, promptTokensFrom, warmTokens, ...(warmBackend === undefined ? {} : { warmBackend }) };
}

/** What one try is made of beside its step. */
export interface AttemptOptions {
  readonly request: ChatRequest;
  readonly call: Call;
  readonly stages: Stages;
  readonly size: PromptSize;
  /** Another answer is ready. */
  readonly hasSpare: boolean;
  /** Whether another backend could answer if this one failed now. */
  readonly hasOther: (backend: string) => boolean;
}

/** One try at one backend: owns its lease, abort, budgets, gate, notes and outcome. Run once. */
export class Attempt {
  readonly #step: Step;
  readonly #options: AttemptOptions;
  readonly #abort: ChildAbort;
  readonly #notes: AttemptNotes;
  #cancelGiveUp: () => void = nothing;
  #lease: Lease | undefined;
  #upstream: UpstreamAnswer | undefined;
  #gate: Gate | undefined;
  /** Monotonic times of the model's first word and of its last. */
  #firstMs: number | undefined;
  #lastMs = 0;
  #hasWaitedForClient = false;
  #isGivenBack = false;
  /** One batch, whose time tells neither reading from writing. */
  #isWhole = false;
  #isSampled: boolean | undefined;
  #isVerdictTold = false;

  constructor(step: Step, options: AttemptOptions) {
    const { call, stages, hasSpare } = options;
    this.#step = step;
    this.#options = options;
    this.#abort = childOf(call.signal);
    this.#notes = new AttemptNotes(call.trace, step.attempt, stages.clock, call.costOf);
    if (step.isCallForced === true) this.#notes.attempt.isCallForced = true;
    if (hasSpare) this.giveUpInTime();
  }

  /** Id of the backend that was leased, if one was. */
  get backend(): string | undefined {
    return this.#lease?.backend.id;
  }

  /** What it was asked for. */
  get model(): string | undefined {
    return this.#lease?.model;
  }

  /** Runs it and writes what may leave. Never throws. */
  async run(writer: AttemptWriter): Promise<AttemptEnd> {
    try {
      const end = await this.#run(writer);
      this.#finish(end, 'success');
      return end;
    } catch (error) {
      const isCancelled = this.#options.call.signal.aborted;
      const isFinal = isCancelled || writer.committed;
      if (!isFinal && isBackendError(error) && error.code === preemptedCode) this.#notes.withdrawn();
      else this.#notes.failed(error, this.#gate, this.#usage, isFinal, isCancelled);
      const end: AttemptEnd = { type: 'failed', error };
      this.#finish(end, outcomeOf(error, isBackendError), error);
      return end;
    }
  }

  async #run(writer: AttemptWriter): Promise<AttemptEnd> {
    const { attempt, delayMs, exclude } = this.#step;
    const { request, stages, size } = this.#options;
    const { signal } = this.#abort;
    if (delayMs > 0) await sleep(stages.clock, delayMs, signal);
    const lease = await stages.pool.acquire(attempt, { request, ...size, signal, exclude });
    this.#lease = lease;
    this.#notes.leased(lease);
    const upstream = (this.#upstream = this.#openUpstream(lease, writer));
    const gate = (this.#gate = this.#openGate(lease));
    const written: WrittenCalls | undefined = writtenCalls(request, lease.backend.tier);
    let unfinished: Batch | undefined;
    await upstream.read({
      dueMs: () => gate.dueMs,
      take: (read) => {
        const events = written === undefined ? read : written.read(read);
        this.#noteTime(events);
        // What is cut while nothing has left is another attempt's to answer whole.
        if (upstream.endedBy !== 'time' || writer.committed) {
          return this.#release(events, gate.take(events), gate, writer);
        }
        unfinished = events;
        return undefined;
      },
      due: () => this.#release('due', gate.expire(), gate, writer),
    });
    if (unfinished !== undefined) return this.#cutShort([...gate.held.events, ...unfinished], gate);
    if (gate.isEscalated) return this.#escalated(gate, writer);
    this.#notes.answered(gate);
    return { type: 'answered' };
  }

  /** Writes what may leave; a promise asks to wait for the client. */
  #release(read: Batch | 'due', released: Batch, gate: Gate, writer: AttemptWriter): Promise<void> | undefined {
    this.#tellHeld(read, released, gate);
    if (gate.isEscalated) this.#upstream?.stop();
    if (released.length === 0) return undefined;
    this.#notes.released(released, gate);
    const taken = writer.write(released);
    if (writer.committed) this.#cancelGiveUp();
    if (taken !== undefined) this.#hasWaitedForClient = true;
    return taken;
  }

  /** A judged answer until its verdict, and with it. */
  #tellHeld(events: readonly InferenceEvent[] | 'due', released: readonly InferenceEvent[], gate: Gate): void {
    const { held } = this.#options.call;
    if (held === undefined || !this.#step.attempt.gated || this.#isVerdictTold) return;
    if (events !== 'due') held(events, this.#notes.attempt, undefined);
    const isOver = released.length > 0 || gate.isEscalated;
    if (!isOver) return;
    this.#isVerdictTold = true;
    held([], this.#notes.attempt, gate.verdict);
  }

  /** Another answer is ready: ends in time for that to arrive before the client's deadline, unless bytes have left. */
  giveUpInTime(): void {
    if (this.#isGivenBack) return;
    const { call, stages } = this.#options;
    const { clock } = stages;
    const at = (dueMs: number | undefined, isMet: () => boolean): (() => void) => {
      if (dueMs === undefined) return nothing;
      const delayMs = Math.max(0, handOverMs(dueMs, call.trace.startMs) - clock.nowMs());
      return clock.schedule(delayMs, () => isMet() || this.#abort.abort(givenUp));
    };
    const cancels = [at(call.deadlineMs, () => false), at(call.headDueMs, () => call.hasHead())];
    this.#cancelGiveUp = () => cancels.forEach((cancel) => cancel());
  }

  /** @throws BackendError where text has left: the call that was withheld cannot be answered by anybody else */
  #escalated(gate: Gate, writer: AttemptWriter): AttemptEnd {
    if (writer.committed) throw callRefused(this.#lease?.backend.id ?? '');
    const { verdict, held } = gate;
    const last = held.events.at(-1);
    this.#notes.escalated(gate, verdict?.reason, last?.type === 'finish' ? last.usage : this.#usage);
    const isWorthKeeping = held.isComplete && verdict?.reason !== 'empty_answer';
    const { attempt } = this.#notes;
    const { events } = held;
    const spared = isWorthKeeping ? { events, isWhole: true, attempt, verdict } : undefined;
    return { type: 'escalated', reason: verdict?.reason, spared, held: { events, attempt } };
  }

  /** The total time is over with the answer unfinished. */
  #cutShort(events: SparedAnswer['events'], gate: Gate): AttemptEnd {
    const { attempt } = this.#step;
    this.#notes.escalated(gate, attempt.gated ? 'hold_limit' : undefined, this.#usage);
    const spared = { events, isWhole: false, attempt: this.#notes.attempt, verdict: gate.verdict };
    const error = new BackendError('The backend did not finish its answer within its total time.', {
      fault: 'timeout',
      backend: this.#lease?.backend.id ?? '',
    });
    return { type: 'failed', error, spared };
  }

  /** What was spent on an answer that has no count of its backend's. */
  get #usage() {
    return this.#upstream?.endedBy === 'backend' ? undefined : this.#upstream?.usageSoFar;
  }

  #finish(end: AttemptEnd, outcome: Outcome, error?: unknown): void {
    this.#cancelGiveUp();
    // An answer that was given is not aborted: its connection is still needed for its last bytes.
    if (end.type !== 'answered') this.#abort.abort(attemptOver);
    this.#upstream?.close();
    this.#abort.release();
    this.#giveBack(outcome, error);
  }

  /** Frees the backend's place, once: it may have finished long before the client has taken its answer. */
  #giveBack(outcome: Outcome, error?: unknown, usage: Usage | undefined = this.#notes.attempt.usage): void {
    if (this.#isGivenBack) return;
    this.#isGivenBack = true;
    this.#lease?.done(outcome, error, this.#timing(usage));
  }

  #noteTime(events: readonly InferenceEvent[]): void {
    if (!events.some(isOfTheModel)) return;
    this.#lastMs = this.#options.stages.clock.nowMs();
    if (this.#firstMs === undefined) this.#lease?.begun();
    this.#firstMs ??= this.#lastMs;
  }

  /** What the attempt tells of the backend's speed; nothing without its own count of the prompt. */
  #timing(usage: Usage | undefined): AnswerTiming | undefined {
    const { leasedMs } = this.#notes.attempt;
    const firstMs = this.#firstMs;
    if (
      this.#isWhole ||
      firstMs === undefined ||
      leasedMs === undefined ||
      usage === undefined ||
      usage.estimated === true
    )
      return undefined;
    // What came in one piece was written since the lease at the latest.
    const answer = { tokens: usage.completionTokens, ms: this.#lastMs - (this.#lastMs > firstMs ? firstMs : leasedMs) };
    return {
      firstTokenMs: firstMs - leasedMs,
      promptTokens: usage.promptTokens,
      cachedTokens: usage.cachedTokens ?? 0,
      ...(this.#hasWaitedForClient ? {} : { answer }),
    };
  }

  /** Asked in one piece where nothing of the answer is needed before its end, and it is known how long that may take. */
  #openUpstream(lease: Lease, writer: AttemptWriter): UpstreamAnswer {
    const { backend, model } = lease;
    const { request, call, stages, size, hasOther } = this.#options;
    const { clock, limits, judge } = stages;
    const { scoredTokens } = judge;
    const { deadlineMs, trace } = call;
    const { avoid, gated } = this.#step.attempt;
    const wholeMs = request.stream || gated ? undefined : wholeMsOf(lease, request, size);
    this.#isWhole = wholeMs !== undefined;
    return new UpstreamAnswer(
      (context) => {
        const asked: CallContext = {
          ...context,
          ...(deadlineMs === undefined ? {} : { deadlineMs }),
          ...(avoid === undefined ? {} : { avoid }),
          model,
          wantScores: this.#isJudged(backend),
          ...(scoredTokens === undefined ? {} : { scoredTokens }),
          warn: (param, why) => trace.warnings.set(param, why),
          mayFailOver: () => !writer.committed && hasOther(backend.id),
          resumed: () => this.#notes.resumed(),
          cameVia: (hops) => this.#notes.cameVia(hops),
        };
        warnOfUnused(request, backend, (param, why) => asked.warn(param, why));
        return wholeMs === undefined ? backend.infer(request, asked) : inOnePiece(backend, request, asked);
      },
      {
        backend: backend.id,
        budgets: budgetsFor(request, backend.tier, stages),
        limits,
        clock,
        abort: this.#abort,
        promptTokens: size.promptTokens,
        // The judge has a word for it.
        refusesEmpty: !gated && !mayEndAtOnce(request),
        finished: (usage) => {
          this.#hasWaitedForClient = true;
          this.#giveBack('success', undefined, usage);
        },
        ...(wholeMs !== undefined && { wholeMs }),
        // Never of a cloud, where nothing is sent but requests.
        ...(wholeMs !== undefined && backend.tier === 'local' && { isDown: () => isDown(backend, this.#abort.signal) }),
      },
    );
  }

  /** Answers of the cloud never are; those of a server that nothing depends on only as often as the operator wants. */
  #isJudged({ tier, scoresOnDemand }: Backend): boolean {
    if (tier === 'cloud') return false;
    const { call, stages } = this.#options;
    if (scoresOnDemand !== true || this.#step.attempt.gated || call.trace.mode !== 'local') return true;
    return (this.#isSampled ??= stages.gate.sampleLocal > 0 && stages.random() < stages.gate.sampleLocal);
  }

  #openGate(lease: Lease): Gate {
    const { request, stages } = this.#options;
    return new Gate(this.#beginJudging(lease), {
      request,
      delivery: request.stream ? 'stream' : 'unary',
      mode: this.#step.attempt.gated ? 'judge' : 'observe',
      limits: stages.gate,
      clock: stages.clock,
    });
  }

  #beginJudging({ backend, model }: Lease): ConfidenceSession | undefined {
    if (!this.#isJudged(backend)) return undefined;
    const { request, call, stages } = this.#options;
    const identity = backend.identify?.(model) ?? { model };
    this.#notes.judging(identity);
    return stages.judge.begin({
      request,
      model: identity,
      threshold: call.trace.threshold,
      // Whoever is to be asked for a second opinion needs the first one whole.
      ...(stages.gate.secondOpinion && { exitBelow: leastScoreToAsk(call.trace.threshold) }),
      delivery: request.stream ? 'stream' : 'unary',
    });
  }
}

/**
 * How much longer than a first token an answer in one piece may take; `undefined`: ask for a stream. A local server that
 * has not been measured is asked for one, which teaches its rate: nothing else tells a slow answer from none.
 */
function wholeMsOf(
  { backend, rates }: Lease,
  { sampling }: ChatRequest,
  { promptTokens }: PromptSize,
): number | undefined {
  if (!('complete' in backend)) return undefined;
  if (backend.tier === 'cloud') return 0;
  const { fixedMs = 0, prefillRate, decodeRate } = rates();
  if (decodeRate === undefined) return undefined;
  const prefillMs = prefillRate === undefined ? 0 : (promptTokens / prefillRate) * 1000;
  return fixedMs + prefillMs + slack * ((sampling.maxTokens ?? expectedTokens) / decodeRate) * 1000;
}

/** It may be busier than when it was measured. */
const slack = 2;

/** Of an answer without a limit of its own; what goes on for longer lives on the budget of the first token. */
const expectedTokens = 4096;

/** One batch, then the end. */
function inOnePiece(backend: Backend, request: ChatRequest, call: CallContext): Source<Batch> {
  return sourceOf((to) => {
    void tellWhole(backend, request, call, to);
    return inOneTurn;
  });
}

async function tellWhole(backend: Backend, request: ChatRequest, call: CallContext, to: Sink<Batch>): Promise<void> {
  try {
    to.put((await backend.complete?.(request, call)) ?? []);
    to.end();
  } catch (error) {
    to.end(error);
  }
}

/** What comes at once is neither held up nor ended. */
const inOneTurn: Flow = { pause() {}, resume() {}, stop() {} };

async function isDown(backend: Backend, signal: Cancellation): Promise<boolean> {
  try {
    return (await backend.probe(signal)).state === 'down';
  } catch {
    return false;
  }
}

/** When a held answer must be handed over to arrive before the client's deadline. */
export function handOverMs(deadlineMs: number, startMs: number): number {
  return deadlineMs - Math.min(handOverLeadMs, (deadlineMs - startMs) / 10);
}

const handOverLeadMs = 100;

/** Some clouds send a tool call whole once it is written, which may be a file: until then they are silent. */
function budgetsFor({ tools }: ChatRequest, tier: Tier, { budgets }: Stages): TierBudgets {
  const { idleMs, firstTokenMs } = budgets[tier];
  if (tier === 'local' || tools.length === 0) return budgets[tier];
  return { ...budgets[tier], idleMs: Math.max(idleMs, firstTokenMs) };
}

/** A stop sequence may well end an answer before it begins, and a text may need nothing more. */
function mayEndAtOnce({ sampling, continuation }: ChatRequest): boolean {
  return sampling.stop.length > 0 || continuation !== undefined;
}

function isBackendError(error: unknown): error is BackendError {
  return error instanceof BackendError;
}

function callRefused(backend: string): BackendError {
  return new BackendError(
    'The local model began a tool call that is not good enough to pass on; the text before it stands. Send the request again, or use mode cloud.',
    { fault: 'unusable', backend, code: 'tool_call_refused' },
  );
}

/** A word of the model itself, scores included: they come before a call is known for one. */
function isOfTheModel({ type }: InferenceEvent): boolean {
  return type !== 'start' && type !== 'finish' && type !== 'self-report';
}

const attemptOver = new LfoError('The attempt is over.', { code: 'attempt_over', status: 499 });
const givenUp = new LfoError('The deadline is near and another answer is ready.', {
  code: 'deadline_exceeded',
  status: 504,
});

function nothing(): void {}

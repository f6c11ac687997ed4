import type { ChildAbort } from '../core/abort.ts';
import type { CallContext } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { TierBudgets } from '../config/config.ts';
import { BackendError, LfoError } from '../core/errors.ts';
import { boundedUsage, type FinishEvent, type InferenceEvent, type Usage } from '../core/events.ts';
import { AnswerMeter, type AnswerLimits } from '../backends/answer-meter.ts';
import { DueTimer } from '../core/due-timer.ts';
import { type Flow, pipe, type Sink, type Source } from '../core/flow.ts';

export interface UpstreamOptions {
  /** Id of the backend, for errors. */
  readonly backend: string;
  readonly budgets: TierBudgets;
  readonly limits: AnswerLimits;
  readonly clock: Clock;
  /** Ended when a budget or a limit is over; whoever made it still ends it when the attempt has failed. */
  readonly abort: ChildAbort;
  /** Prompt size to report when an answer is cut at a limit, before the backend gave its usage. */
  readonly promptTokens: number;
  /** An answer without text, refusal or call is an error rather than an answer. */
  readonly refusesEmpty?: boolean;
  /** The answer comes in one piece, for which it has so much longer than for a first token; Infinity: as long as in all. */
  readonly wholeMs?: number;
  /** Told that the backend has finished while what it said before is still being taken. */
  readonly finished?: (usage: Usage) => void;
  /** Asked now and then while an answer in one piece is waited for, which gives no sign of life itself. */
  readonly isDown?: () => Promise<boolean>;
}

/** The part of a call's context that the reader owns. */
export type UpstreamContext = Pick<CallContext, 'signal' | 'clock' | 'keepAlive' | 'finished'>;

export type Batch = readonly InferenceEvent[];
/** Whoever an answer is read for. */
export interface AnswerTaker {
  /** Monotonic time at which it wants to be told that nothing has come. */
  dueMs(): number;
  /** The next events. A promise asks to wait until they have been taken. */
  take(events: Batch): Promise<void> | undefined;
  /** `dueMs` has come first. */
  due(): Promise<void> | undefined;
}

/**
 * Reads one inference while holding it to its budgets: first token (neither a `start` nor a role ends it, each
 * keep-alive and each thought begins it anew), gap between events, and total time. Time during which nothing is asked
 * for counts towards the last alone. Each batch reaches the taker in the turn in which it came; nothing that the backend
 * says is lost, however long the taker takes.
 */
export class UpstreamAnswer implements Sink<Batch> {
  readonly #options: UpstreamOptions;
  readonly #run: (context: UpstreamContext) => Source<Batch>;
  readonly #meter = new AnswerMeter();
  readonly #budget: Budget;
  readonly #timer: DueTimer;
  readonly #onAbort = (): void => this.#fail(this.#options.abort.signal.reason);
  readonly #ended = Promise.withResolvers<void>();
  #taker: AnswerTaker | undefined;
  #flow: Flow | undefined;
  #isTaking = false;
  /** What came while the taker was busy. */
  #kept: Batch[] = [];
  #keptEnd: { readonly error: unknown } | undefined;
  #lookMs = Infinity;
  #isStopped = false;
  #isOver = false;
  #isOutOfTime = false;
  #endedBy: 'backend' | 'size' | 'time' | undefined;

  /** Nothing runs before `read`. */
  constructor(run: (context: UpstreamContext) => Source<Batch>, options: UpstreamOptions) {
    const { clock } = options;
    this.#run = run;
    this.#options = options;
    this.#budget = new Budget(options);
    this.#timer = new DueTimer(clock, () => this.#due());
    if (options.isDown !== undefined) this.#lookMs = clock.nowMs() + lookEachMs;
  }

  /** What ended the answer, once its `finish` has been read: its backend, its size, or its total time. */
  get endedBy(): 'backend' | 'size' | 'time' | undefined {
    return this.#endedBy;
  }

  /** What the answer has cost so far; an estimate. */
  get usageSoFar(): Usage {
    return this.#meter.estimate(this.#options.promptTokens);
  }

  /**
   * Reads it for the taker; resolves once its `finish` was taken or the taker has had enough. Beyond the total time or
   * the answer limits the last event is a `finish` with `length`.
   * @throws BackendError `timeout`, `cut` for a stream that ends without `finish`, `unusable` for an empty answer; the
   * signal's reason as soon as it aborts, whatever the backend does; what the taker throws
   */
  read(taker: AnswerTaker): Promise<void> {
    const { clock, abort } = this.#options;
    const { signal } = abort;
    if (signal.aborted) return Promise.reject(signal.reason);
    this.#taker = taker;
    signal.addEventListener('abort', this.#onAbort);
    const context = {
      signal,
      clock,
      keepAlive: () => this.#keptAlive(),
      finished: (usage: Usage) => this.#finishedAhead(usage),
    };
    this.#flow = pipe(this.#run(context), this);
    this.#arm();
    return this.#ended.promise;
  }

  put(events: Batch): void {
    if (this.#isOver) return;
    if (this.#isTaking) {
      this.#kept.push(events);
      const last = events.find(({ type }) => type === 'finish');
      if (last?.type === 'finish') this.#finishedAhead(last.usage);
      return;
    }
    try {
      this.#hand(this.#accept(events));
    } catch (error) {
      this.#fail(error);
    }
  }

  end(error?: unknown): void {
    if (this.#isOver) return;
    if (this.#isTaking) this.#keptEnd = { error };
    else this.#fail(error ?? withoutFinish(this.#options.backend));
  }

  /** The taker has had enough: what it is still at is waited for. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Call once the reader is done. What has not finished is left to the signal. */
  close(): void {
    this.#isOver = true;
    this.#timer.clear();
    this.#options.abort.signal.removeEventListener('abort', this.#onAbort);
    this.#flow?.stop();
  }

  #hand(events: Batch | 'due'): void {
    const taken = events === 'due' ? this.#taker?.due() : this.#taker?.take(events);
    if (taken === undefined) return this.#goOn();
    this.#isTaking = true;
    this.#flow?.pause();
    const last = events === 'due' ? undefined : events.at(-1);
    if (last?.type === 'finish') this.#finishedAhead(last.usage);
    this.#timer.set(this.#budget.totalDueMs);
    taken.then(
      () => this.#taken(),
      (error: unknown) => this.#fail(error),
    );
  }

  /** Where nothing is being taken the end is told in the same turn; an empty answer is an error, told once it is taken. */
  #finishedAhead(usage: Usage): void {
    if (this.#isOver || !this.#isTaking || !this.#meter.hasAnswer) return;
    this.#options.finished?.(boundedUsage(usage));
  }

  #taken(): void {
    this.#isTaking = false;
    this.#goOn();
    if (this.#isOver) return;
    if (this.#isOutOfTime) return this.#due();
    for (let next = this.#kept.shift(); next !== undefined; next = this.#kept.shift()) {
      this.put(next);
      if (this.#isTaking || this.#isOver) return;
    }
    if (this.#keptEnd !== undefined) this.end(this.#keptEnd.error);
    else this.#flow?.resume();
  }

  /** On to the next events, unless these were the last. */
  #goOn(): void {
    if (this.#isOver) return;
    if (this.#endedBy === undefined && !this.#isStopped) {
      this.#budget.waitForEvent();
      return this.#arm();
    }
    this.#isOver = true;
    if (this.#endedBy === undefined) this.#flow?.pause();
    else this.#flow?.stop();
    this.#ended.resolve();
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ended.reject(error);
  }

  #runOut(): void {
    this.#endedBy = 'time';
    try {
      this.#hand([this.#cutShort()]);
    } catch (error) {
      this.#fail(error);
    }
  }

  #arm(): void {
    this.#timer.set(Math.min(this.#budget.dueMs, this.#taker?.dueMs() ?? Infinity, this.#lookMs));
  }

  #keptAlive(): void {
    if (this.#isOver) return;
    this.#budget.keptAlive();
    if (!this.#isTaking) this.#arm();
  }

  #due(): void {
    if (this.#isOver) return;
    const { clock, abort } = this.#options;
    const nowMs = clock.nowMs();
    if (this.#isTaking) {
      this.#isOutOfTime = true;
    } else if (nowMs >= this.#budget.dueMs) {
      if (this.#budget.isFull) this.#runOut();
      else abort.abort(this.#budget.reason());
    } else if (nowMs >= (this.#taker?.dueMs() ?? Infinity)) {
      try {
        this.#hand('due');
      } catch (error) {
        this.#fail(error);
      }
    } else {
      this.#lookMs = nowMs + lookEachMs;
      void this.#look();
      this.#arm();
    }
  }

  /** Ends the wait where the backend turns out to be down. */
  async #look(): Promise<void> {
    const { isDown, backend, abort } = this.#options;
    if ((await isDown?.()) === true && !this.#isOver) abort.abort(wentDown(backend));
  }

  /** The batch up to where the answer ends. */
  #accept(batch: Batch): Batch {
    const { limits } = this.#options;
    let index = 0;
    for (const event of batch) {
      this.#budget.received(event);
      this.#meter.add(event);
      if (event.type === 'finish') return [...batch.slice(0, index), this.#finished(event)];
      if (this.#meter.exceeds(limits)) {
        this.#endedBy = 'size';
        return [...batch.slice(0, index), this.#cutShort()];
      }
      index++;
    }
    return batch;
  }

  #finished(event: FinishEvent): FinishEvent {
    const { backend, refusesEmpty } = this.#options;
    if (refusesEmpty === true && isEmptyEnd(event, this.#meter)) throw emptyAnswer(backend);
    this.#endedBy = 'backend';
    return { ...event, usage: boundedUsage(event.usage) };
  }

  /** Ends the backend's work: what it says from now on is beyond what an answer may cost. */
  #cutShort(): InferenceEvent {
    const { signal } = this.#options.abort;
    signal.removeEventListener('abort', this.#onAbort);
    this.#options.abort.abort(answerFull);
    return { type: 'finish', reason: 'length', nativeReason: 'answer_limit', usage: this.usageSoFar };
  }
}

const answerFull = new LfoError('The answer has reached its limits.', { code: 'answer_limit', status: 502 });
/** How often a server that answers in one piece is looked at. */
const lookEachMs = 5000;

/** Knows by when something must happen. */
class Budget {
  readonly #options: UpstreamOptions;
  readonly totalDueMs: number;
  #eventDueMs: number;
  #hasContent = false;
  /** Past its thoughts, which may pause for longer than an answer does. */
  #isAnswering = false;
  #isWaiting = false;

  constructor(options: UpstreamOptions) {
    const nowMs = options.clock.nowMs();
    this.#options = options;
    this.totalDueMs = nowMs + options.budgets.totalMs;
    this.#eventDueMs = nowMs + options.budgets.firstTokenMs + (options.wholeMs ?? 0);
  }

  /** While an event is waited for. */
  get dueMs(): number {
    return Math.min(this.#eventDueMs, this.totalDueMs);
  }

  /** The total time is over, and there is an answer to cut. */
  get isFull(): boolean {
    return this.#hasContent && this.#options.clock.nowMs() >= this.totalDueMs;
  }

  /** The gap begins where something has come since the last time. */
  waitForEvent(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    if (this.#isAnswering) this.#eventDueMs = this.#options.clock.nowMs() + this.#options.budgets.idleMs;
  }

  received(event: InferenceEvent): void {
    this.#isWaiting = false;
    this.#hasContent ||= isContent(event);
    this.#isAnswering ||= isContent(event) && event.type !== 'reasoning-delta';
    if (event.type === 'reasoning-delta') this.#allowFirstToken();
  }

  keptAlive(): void {
    if (!this.#isAnswering) this.#allowFirstToken();
  }

  reason(): Error {
    const { backend, clock } = this.#options;
    if (clock.nowMs() >= this.totalDueMs) return timedOut('The backend did not answer within its total time.', backend);
    if (this.#isAnswering) return timedOut('The backend fell silent in the middle of its answer.', backend);
    return timedOut('The backend did not begin its answer in time; it may be overloaded.', backend);
  }

  #allowFirstToken(): void {
    this.#eventDueMs = this.#options.clock.nowMs() + this.#options.budgets.firstTokenMs;
  }
}

function isContent(event: InferenceEvent): boolean {
  if (event.type === 'text-delta') return event.text !== '';
  return event.type !== 'start' && event.type !== 'self-report';
}

function isEmptyEnd(event: FinishEvent, meter: AnswerMeter): boolean {
  return (event.reason === 'stop' || event.reason === 'tool_calls') && !meter.hasAnswer;
}

function emptyAnswer(backend: string): BackendError {
  return new BackendError('The model gave an empty answer; try again.', { fault: 'unusable', backend });
}

function timedOut(message: string, backend: string): BackendError {
  return new BackendError(message, { fault: 'timeout', backend });
}

function wentDown(backend: string): BackendError {
  return new BackendError('The backend went down while it answered; try again.', { fault: 'cut', backend });
}

function withoutFinish(backend: string): BackendError {
  return new BackendError('The backend ended its answer without saying that it was complete.', {
    fault: 'cut',
    backend,
  });
}

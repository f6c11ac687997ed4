import type { ChildAbort } from '../core/abort.ts';
import type { CallContext } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { TierBudgets } from '../config/config.ts';
import { BackendError, LfoError } from '../core/errors.ts';
import { boundedUsage, type FinishEvent, type InferenceEvent, type Usage } from '../core/events.ts';
import { AnswerMeter, type AnswerLimits } from '../backends/answer-meter.ts';
import { DueTimer } from '../core/due-timer.ts';

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
  /** Asked now and then while an answer in one piece is waited for, which gives no sign of life itself. */
  readonly isDown?: () => Promise<boolean>;
}

/** The part of a call's context that the reader owns. */
export type UpstreamContext = Pick<CallContext, 'signal' | 'clock' | 'keepAlive'>;

type Batch = readonly InferenceEvent[];
type Read = { readonly value: IteratorResult<Batch, unknown> } | { readonly error: unknown };

/**
 * Reads one inference while holding it to its budgets: first token (neither a `start` nor a role ends it, each
 * keep-alive and each thought begins it anew), gap between events, and total time. Time during which nothing is asked
 * for counts towards the last alone. Nothing that the backend says is lost, however long a read is waited for.
 */
export class UpstreamAnswer {
  readonly #options: UpstreamOptions;
  readonly #batches: AsyncIterator<Batch, unknown>;
  readonly #meter = new AnswerMeter();
  readonly #budget: Budget;
  readonly #timer: DueTimer;
  readonly #onAbort = (): void => this.#wake();
  #isReading = false;
  #read: Read | undefined;
  /** When the one who waits wants to be told that nothing came. */
  #askedDueMs = Infinity;
  #isDue = false;
  #lookMs = Infinity;
  #endedBy: 'backend' | 'size' | 'time' | undefined;
  #wake: () => void = () => undefined;

  /** Nothing runs before the first `next`. */
  constructor(run: (context: UpstreamContext) => AsyncIterable<Batch>, options: UpstreamOptions) {
    const { clock, abort } = options;
    this.#options = options;
    this.#budget = new Budget(options);
    this.#timer = new DueTimer(clock, () => this.#due());
    if (options.isDown !== undefined) this.#lookMs = clock.nowMs() + lookEachMs;
    abort.signal.addEventListener('abort', this.#onAbort);
    this.#batches = run({ signal: abort.signal, clock, keepAlive: () => this.#keptAlive() })[Symbol.asyncIterator]();
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
   * The next events, or `due` where `dueMs` came first; what the backend says then is kept for the next call. Beyond the
   * total time or the answer limits the last event is a `finish` with `length`.
   * @throws BackendError `timeout`, `cut` for a stream that ends without `finish`, `unusable` for an empty answer; the
   * signal's reason as soon as it aborts, whatever the backend does
   */
  async next(dueMs: number): Promise<Batch | 'due'> {
    const { signal } = this.#options.abort;
    if (this.#isOverTime()) return [this.#cutShort()];
    signal.throwIfAborted();
    this.#askedDueMs = dueMs;
    this.#isDue = false;
    if (!this.#isReading && this.#read === undefined) this.#startReading();
    while (this.#read === undefined) {
      this.#arm();
      // A promise a wait, not a race with a lasting one, which would gather a reaction for every event.
      await new Promise<void>((resolve) => (this.#wake = resolve));
      if (this.#isOverTime()) return [this.#cutShort()];
      signal.throwIfAborted();
      if (this.#isDue) return 'due';
    }
    const read = this.#read;
    this.#read = undefined;
    this.#timer.set(this.#budget.totalDueMs);
    if ('error' in read) throw read.error;
    if (read.value.done === true) throw withoutFinish(this.#options.backend);
    return this.#accept(read.value.value);
  }

  /** Call once the reader is done. What has not finished is left to the signal. */
  close(): void {
    this.#timer.clear();
    this.#options.abort.signal.removeEventListener('abort', this.#onAbort);
    // Not awaited: after an abort the backend may still be busy with the step that was left.
    this.#batches.return?.()?.then(undefined, () => undefined);
  }

  #isOverTime(): boolean {
    return this.#endedBy === 'time';
  }

  #startReading(): void {
    this.#isReading = true;
    this.#budget.waitForEvent();
    this.#batches.next().then(
      (value) => this.#arrived({ value }),
      (error: unknown) => this.#arrived({ error }),
    );
  }

  #arrived(read: Read): void {
    this.#isReading = false;
    this.#read = read;
    this.#wake();
  }

  #arm(): void {
    this.#timer.set(Math.min(this.#budget.dueMs, this.#askedDueMs, this.#lookMs));
  }

  #keptAlive(): void {
    this.#budget.keptAlive();
    if (this.#isReading) this.#arm();
  }

  #due(): void {
    const { clock, abort } = this.#options;
    const nowMs = clock.nowMs();
    if (nowMs >= this.#budget.dueMs) {
      if (this.#budget.isFull) this.#endedBy = 'time';
      else abort.abort(this.#budget.reason());
    } else if (nowMs >= this.#askedDueMs) {
      this.#isDue = true;
    } else {
      this.#lookMs = nowMs + lookEachMs;
      void this.#look();
    }
    this.#wake();
  }

  /** Ends the wait where the backend turns out to be down. */
  async #look(): Promise<void> {
    const { isDown, backend, abort } = this.#options;
    if ((await isDown?.()) === true && this.#isReading) abort.abort(wentDown(backend));
  }

  /** The batch up to where the answer ends. */
  #accept(batch: Batch): Batch {
    const { limits } = this.#options;
    for (const [index, event] of batch.entries()) {
      this.#budget.received(event);
      this.#meter.add(event);
      if (event.type === 'finish') return [...batch.slice(0, index), this.#finished(event)];
      if (this.#meter.exceeds(limits)) {
        this.#endedBy = 'size';
        return [...batch.slice(0, index), this.#cutShort()];
      }
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

  waitForEvent(): void {
    if (this.#isAnswering) this.#eventDueMs = this.#options.clock.nowMs() + this.#options.budgets.idleMs;
  }

  received(event: InferenceEvent): void {
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

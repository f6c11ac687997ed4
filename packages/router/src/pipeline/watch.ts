import type { ChildAbort } from '../core/abort.ts';
import type { CallContext } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { TierBudgets } from '../config/config.ts';
import { BackendError, LfoError } from '../core/errors.ts';
import { boundedUsage, type InferenceEvent, type Usage } from '../core/events.ts';
import { AnswerMeter, type AnswerLimits } from '../backends/answer-meter.ts';
import { DueTimer } from '../core/due-timer.ts';

export interface WatchOptions {
  /** Id of the backend, for errors. */
  readonly backend: string;
  readonly budgets: TierBudgets;
  readonly limits: AnswerLimits;
  readonly clock: Clock;
  /** Ended when a budget is over; whoever made it still ends it when the attempt is done. */
  readonly abort: ChildAbort;
  /** Monotonic time by which the client wants the whole answer. */
  readonly deadlineMs?: number;
  /** Prompt size to report when an answer is cut at a limit, before the backend gave its usage. */
  readonly promptTokens: number;
  /** An answer without text, refusal or call is an error rather than an answer. */
  readonly refusesEmpty?: boolean;
  /** Told what an answer had cost that did not come to its end. */
  readonly onUnfinished?: (usage: Usage) => void;
}

/** The part of a call's context that the watch owns. */
export type WatchedContext = Pick<CallContext, 'signal' | 'clock' | 'keepAlive'>;

/**
 * Passes one inference on while holding it to its budgets: first token (neither a `start` nor a role ends it, each
 * keep-alive and each thought begins it anew), gap between events, total time and the client's deadline. Time during which the caller
 * holds an event counts towards the last two alone. An answer beyond the total time or the answer limits ends with
 * `length`. When the signal aborts it throws the reason at once, whatever the backend does.
 * @throws BackendError `timeout`, `cut` for a stream that ends without `finish`, `unusable` for an empty answer; LfoError
 * `deadline_exceeded`
 */
export async function* watch(
  run: (context: WatchedContext) => AsyncIterable<InferenceEvent>,
  options: WatchOptions,
): AsyncGenerator<InferenceEvent, void> {
  const { signal } = options.abort;
  const meter = new AnswerMeter();
  const budget = new Budget(options);
  let isFinished = false;
  let rejectPending: (reason: unknown) => void = () => undefined;
  const onAbort = (): void => rejectPending(signal.reason);
  signal.addEventListener('abort', onAbort);
  const events = run({ signal, clock: options.clock, keepAlive: () => budget.keptAlive() })[Symbol.asyncIterator]();
  try {
    while (true) {
      signal.throwIfAborted();
      budget.waitForEvent();
      // One promise a step, not a race with a lasting one, which would gather a reaction for every event.
      const { done, value } = await new Promise<IteratorResult<InferenceEvent, unknown>>((resolve, reject) => {
        rejectPending = reject;
        events.next().then(resolve, reject);
      });
      if (done === true) throw withoutFinish(options.backend);
      const event = value.type === 'finish' ? { ...value, usage: boundedUsage(value.usage) } : value;
      budget.received(event);
      meter.add(event);
      if (options.refusesEmpty === true && isEmptyEnd(event, meter)) throw emptyAnswer(options.backend);
      if (event.type !== 'finish' && meter.exceeds(options.limits)) throw new AnswerFull();
      isFinished = event.type === 'finish';
      yield event;
      if (isFinished) return;
    }
  } catch (error) {
    if (!(error instanceof AnswerFull)) throw error;
    options.abort.abort(error);
    isFinished = true;
    yield {
      type: 'finish',
      reason: 'length',
      nativeReason: 'answer_limit',
      usage: meter.estimate(options.promptTokens),
    };
  } finally {
    budget.end();
    if (!isFinished) options.onUnfinished?.(meter.estimate(options.promptTokens));
    signal.removeEventListener('abort', onAbort);
    // Not awaited: after an abort the backend may still be busy with the step that was left.
    events.return?.()?.then(undefined, () => undefined);
  }
}

/** Reason of an abort that ends an answer at a limit; never leaves this file but as that. */
class AnswerFull extends Error {
  override readonly name = 'AnswerFull';
}

/** Knows by when something must happen, and ends the attempt when it did not. */
class Budget {
  readonly #options: WatchOptions;
  readonly #timer: DueTimer;
  readonly #totalDueMs: number;
  readonly #deadlineMs: number;
  #eventDueMs: number;
  #hasContent = false;
  /** Past its thoughts, which may pause for longer than an answer does. */
  #isAnswering = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    const nowMs = options.clock.nowMs();
    this.#totalDueMs = nowMs + options.budgets.totalMs;
    this.#deadlineMs = options.deadlineMs ?? Infinity;
    this.#eventDueMs = nowMs + options.budgets.firstTokenMs;
    this.#timer = new DueTimer(options.clock, () => options.abort.abort(this.#reason()));
  }

  waitForEvent(): void {
    if (this.#isAnswering) this.#eventDueMs = this.#options.clock.nowMs() + this.#options.budgets.idleMs;
    this.#timer.set(Math.min(this.#eventDueMs, this.#totalDueMs, this.#deadlineMs));
  }

  received(event: InferenceEvent): void {
    this.#hasContent ||= isContent(event);
    this.#isAnswering ||= isContent(event) && event.type !== 'reasoning-delta';
    if (event.type === 'reasoning-delta') this.#allowFirstToken();
    this.#timer.set(Math.min(this.#totalDueMs, this.#deadlineMs));
  }

  keptAlive(): void {
    if (this.#isAnswering) return;
    this.#allowFirstToken();
    this.#timer.set(Math.min(this.#eventDueMs, this.#totalDueMs, this.#deadlineMs));
  }

  #allowFirstToken(): void {
    this.#eventDueMs = this.#options.clock.nowMs() + this.#options.budgets.firstTokenMs;
  }

  end(): void {
    this.#timer.clear();
  }

  #reason(): Error {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs >= this.#deadlineMs) return deadlineExceeded();
    if (nowMs >= this.#totalDueMs && this.#hasContent) return new AnswerFull();
    const { backend } = this.#options;
    if (nowMs >= this.#totalDueMs) return timedOut('The backend did not answer within its total time.', backend);
    if (this.#isAnswering) return timedOut('The backend fell silent in the middle of its answer.', backend);
    return timedOut('The backend did not begin its answer in time; it may be overloaded.', backend);
  }
}

function isContent(event: InferenceEvent): boolean {
  if (event.type === 'text-delta') return event.text !== '';
  return event.type !== 'start' && event.type !== 'self-report';
}

function isEmptyEnd(event: InferenceEvent, meter: AnswerMeter): boolean {
  return event.type === 'finish' && (event.reason === 'stop' || event.reason === 'tool_calls') && !meter.hasAnswer;
}

function emptyAnswer(backend: string): BackendError {
  return new BackendError('The model gave an empty answer; try again.', { fault: 'unusable', backend });
}

function timedOut(message: string, backend: string): BackendError {
  return new BackendError(message, { fault: 'timeout', backend });
}

function withoutFinish(backend: string): BackendError {
  return new BackendError('The backend ended its answer without saying that it was complete.', {
    fault: 'cut',
    backend,
  });
}

/** Neither a backend's fault nor worth a retry: the client's own time is over. */
export function deadlineExceeded(): LfoError {
  return new LfoError('The deadline of the request is over; allow more time or ask for a shorter answer.', {
    code: 'deadline_exceeded',
    status: 504,
  });
}

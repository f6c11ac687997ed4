import type { Clock } from '../core/clock.ts';
import type { ConfidenceSession, FinalVerdict, Verdict } from '../core/confidence.ts';
import type { GateConfig } from '../config/config.ts';
import { DueTimer } from '../core/due-timer.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { JsonObject } from '../core/json.ts';

/** What was withheld; empty once released. */
export interface HeldAnswer {
  /** In the order they came, from `start` on. */
  readonly events: readonly InferenceEvent[];
  /** The backend had finished: an answer stopped by an early escalation is only a part. */
  readonly isComplete: boolean;
}

/** One answer on its way out. Iterate once; ends without events when it escalates, and the caller ends the upstream. */
export interface Gate extends AsyncIterable<InferenceEvent> {
  /**
   * A text, refusal, reasoning, tool-call or finish event has been released. Reasoning counts: its bytes leave too, and
   * no other answer may follow them.
   */
  readonly committed: boolean;
  /** In `judge` mode once decided, in `observe` mode after the last event. */
  readonly verdict: FinalVerdict | undefined;
  /** The answer was withheld for good. Never in `observe` mode. */
  readonly escalated: boolean;
  readonly held: HeldAnswer;
  /** From the first held content to the verdict, on the gate's clock. */
  readonly heldMs: number;
  readonly heldTokens: number;
  /** Monotonic time of the first event that carries an answer. */
  readonly firstEventMs: number | undefined;
  /** What the judge has seen; undefined where nobody judges. */
  readonly evidence: JsonObject | undefined;
}

export interface GateOptions {
  /** `observe` lets everything pass at once and only reports what it would have said. */
  readonly mode: 'judge' | 'observe';
  readonly limits: GateConfig;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Puts an answer under judgement. In `judge` mode every event is held until the session commits or escalates, the text
 * reaches `maxHoldTokens`, or `maxHoldMs` have passed since the first content; at a limit the evidence so far decides.
 * Tool calls are held whole: tokens do not end the hold while a call is open. Errors of the upstream propagate. Without
 * a session nothing is judged and everything passes.
 */
export function openGate(
  events: AsyncIterable<InferenceEvent>,
  session: ConfidenceSession | undefined,
  options: GateOptions,
): Gate {
  return new EventGate(events, session, options);
}

class EventGate implements Gate {
  committed = false;
  verdict: FinalVerdict | undefined;
  firstEventMs: number | undefined;
  heldMs = 0;
  heldTokens = 0;
  readonly #upstream: AsyncIterator<InferenceEvent>;
  readonly #session: ConfidenceSession | undefined;
  readonly #options: GateOptions;
  #held: InferenceEvent[] = [];
  #openCalls = 0;
  #scoredTokens = 0;
  #deltas = 0;

  constructor(events: AsyncIterable<InferenceEvent>, session: ConfidenceSession | undefined, options: GateOptions) {
    this.#upstream = events[Symbol.asyncIterator]();
    this.#session = session;
    this.#options = options;
  }

  get escalated(): boolean {
    return this.#options.mode === 'judge' && this.verdict?.type === 'escalate';
  }

  get evidence(): JsonObject | undefined {
    return this.#session?.evidence();
  }

  get held(): HeldAnswer {
    return { events: this.#held, isComplete: this.#held.at(-1)?.type === 'finish' };
  }

  /** One generator for each way: delegating from one to another would cost every event three more turns. */
  [Symbol.asyncIterator](): AsyncGenerator<InferenceEvent, void> {
    const session = this.#session;
    return this.#options.mode === 'observe' || session === undefined ? this.#observe() : this.#decide(session);
  }

  async *#decide(session: ConfidenceSession): AsyncGenerator<InferenceEvent, void> {
    try {
      await this.#hold(session);
      if (this.escalated) return;
      const released = this.#held;
      this.#held = [];
      for (const event of released) yield this.#release(event);
      if (released.at(-1)?.type === 'finish') return;
      for (;;) {
        const next = await this.#upstream.next();
        if (next.done === true) return;
        yield this.#release(next.value);
      }
    } finally {
      this.#leave();
    }
  }

  async *#observe(): AsyncGenerator<InferenceEvent, void> {
    try {
      for (;;) {
        const next = await this.#upstream.next();
        if (next.done === true) break;
        this.#note(next.value);
        this.#session?.observe(next.value);
        if (next.value.type === 'finish') this.verdict = this.#session?.end();
        yield this.#release(next.value);
      }
      this.verdict ??= this.#session?.end();
    } finally {
      this.#leave();
    }
  }

  /** Not awaited: return() queues behind a pending next(), which the caller's abort ends. */
  #leave(): void {
    this.#upstream.return?.().catch(() => undefined);
  }

  /** Pulls until there is a verdict. */
  async #hold(session: ConfidenceSession): Promise<void> {
    const { clock, limits } = this.#options;
    const limit = new HoldLimit(clock, limits.maxHoldMs, this.#options.signal);
    try {
      while (this.verdict === undefined) {
        const next = await limit.race(this.#upstream.next());
        if (next === 'over') {
          this.verdict = atLimit(session);
        } else if (next.done === true) {
          this.verdict = session.end();
        } else {
          this.#held.push(next.value);
          if (this.#note(next.value)) limit.start();
          this.verdict = this.#judge(session, next.value);
        }
      }
    } finally {
      limit.stop();
      if (this.firstEventMs !== undefined) this.heldMs = clock.nowMs() - this.firstEventMs;
      this.heldTokens = Math.max(this.#scoredTokens, this.#deltas);
    }
  }

  #judge(session: ConfidenceSession, event: InferenceEvent): FinalVerdict | undefined {
    const verdict: Verdict = session.observe(event);
    if (verdict.type !== 'hold') return verdict;
    if (event.type === 'finish') return session.end();
    const tokens = Math.max(this.#scoredTokens, this.#deltas);
    return this.#openCalls === 0 && tokens >= this.#options.limits.maxHoldTokens ? atLimit(session) : undefined;
  }

  /** Counts what came; true for content. */
  #note(event: InferenceEvent): boolean {
    if (event.type === 'token-scores') this.#scoredTokens += event.scores.length;
    if (event.type === 'tool-call-start') this.#openCalls++;
    if (event.type === 'tool-call-end') this.#openCalls--;
    if (!isContent(event)) return false;
    if (event.type.endsWith('-delta')) this.#deltas++;
    this.firstEventMs ??= this.#options.clock.nowMs();
    return true;
  }

  #release(event: InferenceEvent): InferenceEvent {
    this.committed ||= isContent(event) || event.type === 'finish';
    return event;
  }
}

function atLimit(session: ConfidenceSession): FinalVerdict {
  const verdict = session.end();
  return verdict.type === 'commit' ? verdict : { ...verdict, reason: 'hold_limit' };
}

function isContent({ type }: InferenceEvent): boolean {
  return type !== 'start' && type !== 'token-scores' && type !== 'self-report' && type !== 'finish';
}

/** Ends a wait when the time to hold is over or the signal aborts, even though the upstream stays silent. */
class HoldLimit {
  readonly #clock: Clock;
  readonly #maxHoldMs: number;
  readonly #signal: AbortSignal;
  readonly #over = Promise.withResolvers<'over'>();
  readonly #onAbort = (): void => this.#over.reject(this.#signal.reason);
  readonly #timer: DueTimer;
  #hasStarted = false;

  constructor(clock: Clock, maxHoldMs: number, signal: AbortSignal) {
    this.#clock = clock;
    this.#maxHoldMs = maxHoldMs;
    this.#signal = signal;
    this.#timer = new DueTimer(clock, () => this.#over.resolve('over'));
    this.#over.promise.catch(() => undefined);
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** The first content has come; later calls do nothing. */
  start(): void {
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    this.#timer.set(this.#clock.nowMs() + this.#maxHoldMs);
  }

  /** A `next` that loses may still reject when the caller aborts the upstream: nobody waits for it any more. */
  race<T>(next: Promise<T>): Promise<T | 'over'> {
    next.catch(() => undefined);
    return Promise.race([next, this.#over.promise]);
  }

  stop(): void {
    this.#timer.clear();
    this.#signal.removeEventListener('abort', this.#onAbort);
  }
}

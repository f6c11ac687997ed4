import type { Clock } from './clock.ts';

/** A timer this late means that the event loop stood still, not that the upstream did. */
const stalledAfterMs = 100;
/** Time for what arrived during a stall to be read before anything is given up. */
const graceMs = 50;

/**
 * One timer for a due time that moves often. Moving it later is an assignment: the armed timer finds the new time when
 * it fires and re-arms itself. After an event-loop stall it waits once more before it calls, so that data which
 * arrived meanwhile counts as progress.
 */
export class DueTimer {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  #dueMs = Infinity;
  #armedMs = Infinity;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Monotonic time at which to call; `Infinity` pauses. */
  set(dueMs: number): void {
    this.#dueMs = dueMs;
    if (dueMs >= this.#armedMs) return;
    this.#cancel?.();
    this.#arm(dueMs);
  }

  /** Releases the timer; `set` may be called again. */
  clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#dueMs = this.#armedMs = Infinity;
  }

  #arm(atMs: number): void {
    this.#armedMs = atMs;
    this.#cancel = this.#clock.schedule(Math.max(0, atMs - this.#clock.nowMs()), () => this.#fired());
  }

  #fired(): void {
    const nowMs = this.#clock.nowMs();
    const lateMs = nowMs - this.#armedMs;
    this.#cancel = undefined;
    this.#armedMs = Infinity;
    if (this.#dueMs === Infinity) return;
    if (nowMs < this.#dueMs) return this.#arm(this.#dueMs);
    if (lateMs >= stalledAfterMs) return this.#arm(nowMs + graceMs);
    this.#dueMs = Infinity;
    this.#onDue();
  }
}

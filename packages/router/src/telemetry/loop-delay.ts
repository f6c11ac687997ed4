import { performance } from 'node:perf_hooks';

import type { Clock } from '../core/clock.ts';

const sampleMs = 50;
/** About ten seconds, longer while the loop is late. */
const keptSamples = 200;
const standingSamples = 5;
/** A second of samples. */
const turnsOfUtilization = 20;

/**
 * Measures how late the event loop runs its timers. A single stall shows in `worstMs`; `standingMs` stays at 0 until
 * every look of late was delayed, which is what overload looks like and a garbage collection does not (the minimum over
 * an interval, as in CoDel, RFC 8289).
 */
export class LoopDelay {
  readonly #clock: Clock;
  readonly #samples: number[] = [];
  #cancel: (() => void) | undefined;
  #turns = 0;
  #utilization = 0;
  #standingMs = 0;
  #utilizationFrom = performance.eventLoopUtilization();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins to measure; `stop` releases the timer. */
  start(): void {
    if (this.#cancel === undefined) this.#look();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Longest delay of the last ten seconds. */
  get worstMs(): number {
    return Math.max(0, ...this.#samples);
  }

  /** Shortest of the last five delays. */
  get standingMs(): number {
    return this.#standingMs;
  }

  /** Share of the last second in which the loop ran, 0 to 1. */
  get utilization(): number {
    return this.#utilization;
  }

  #look(): void {
    const dueMs = this.#clock.nowMs() + sampleMs;
    this.#cancel = this.#clock.schedule(sampleMs, () => {
      this.#samples.push(this.#clock.nowMs() - dueMs);
      if (this.#samples.length > keptSamples) this.#samples.shift();
      // Asked for by every request, twice.
      if (this.#samples.length >= standingSamples)
        this.#standingMs = Math.min(...this.#samples.slice(-standingSamples));
      this.#turns = (this.#turns + 1) % turnsOfUtilization;
      if (this.#turns === 0) {
        const now = performance.eventLoopUtilization();
        this.#utilization = performance.eventLoopUtilization(now, this.#utilizationFrom).utilization;
        this.#utilizationFrom = now;
      }
      this.#look();
    });
  }
}

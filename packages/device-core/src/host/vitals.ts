import type { Clock } from '@lfo/protocol';

/** Longest time without a sign of the engine in which the host still vouches for it. */
export const engineQuietMs = 60_000;

/**
 * Whether the engine shows signs of life. The host keeps silent requests alive towards the router only while it does:
 * a timer alone would keep the requests of a hung engine alive for ever.
 */
export class Vitals {
  readonly #clock: Clock;
  #lastMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastMs = clock.nowMs();
  }

  get alive(): boolean {
    return this.#clock.nowMs() - this.#lastMs < engineQuietMs;
  }

  /** The engine did something. */
  beat(): void {
    this.#lastMs = this.#clock.nowMs();
  }
}

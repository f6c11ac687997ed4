import type { Clock } from '../../../core/clock.ts';
import { DueTimer } from '../../../core/due-timer.ts';

/** With a request in flight: asked after this much silence, … */
export const askAfterMs = 5_000;
/** … and taken for dead after this much. */
export const deadAfterMs = 15_000;
/** Idle: this many periods of the heartbeat. */
const deadPeriods = 2.5;
/** Weight of the newest round trip. */
const rttWeight = 0.2;

export interface LinkWatchOptions {
  readonly clock: Clock;
  /** How often the device speaks by itself. */
  readonly heartbeatMs: number;
  readonly ping: (n: number) => void;
  /** Called once, when the device has said nothing for too long. */
  readonly onSilent: () => void;
}

/** Knows by a device's silence that it has hung: a stopped process keeps its connection open and answers nothing. */
export class LinkWatch {
  readonly #options: LinkWatchOptions;
  readonly #timer: DueTimer;
  #heardMs: number;
  #isBusy = false;
  /** Of the close watch, which ends with the first word after the device has nothing more to do. */
  #busySinceMs: number | undefined;
  #hasAsked = false;
  #pings = 0;
  #pingedMs: number | undefined;
  #rttMs: number | undefined;

  /** Begins to watch, and asks at once, for the round trip. */
  constructor(options: LinkWatchOptions) {
    this.#options = options;
    this.#heardMs = options.clock.nowMs();
    this.#timer = new DueTimer(options.clock, () => this.#due());
    this.#ping();
    this.#timer.set(this.#nextMs());
  }

  /** Mean round trip; absent until measured. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** The device said something, whatever it was. */
  heard(): void {
    this.#heardMs = this.#options.clock.nowMs();
    this.#hasAsked = false;
    if (!this.#isBusy) this.#busySinceMs = undefined;
    this.#timer.set(this.#nextMs());
  }

  /** The answer to a ping. */
  ponged(n: number): void {
    if (n !== this.#pings || this.#pingedMs === undefined) return;
    const tookMs = this.#options.clock.nowMs() - this.#pingedMs;
    this.#rttMs = this.#rttMs === undefined ? tookMs : this.#rttMs + rttWeight * (tookMs - this.#rttMs);
    this.#pingedMs = undefined;
  }

  /** Whether anything asked of the device is unanswered; a busy one is watched more closely. */
  setBusy(isBusy: boolean): void {
    this.#isBusy = isBusy;
    if (!isBusy || this.#busySinceMs !== undefined) return;
    this.#busySinceMs = this.#options.clock.nowMs();
    this.#timer.set(this.#nextMs());
  }

  /** Ends the watch. */
  close(): void {
    this.#timer.clear();
  }

  /** From when silence counts: a call after a long quiet time gives the device its whole time anew. */
  get #quietSinceMs(): number {
    return Math.max(this.#heardMs, this.#busySinceMs ?? -Infinity);
  }

  #nextMs(): number {
    const isBusy = this.#busySinceMs !== undefined;
    const { heartbeatMs } = this.#options;
    if (!this.#hasAsked) return this.#quietSinceMs + (isBusy ? askAfterMs : heartbeatMs);
    return this.#quietSinceMs + (isBusy ? deadAfterMs : deadPeriods * heartbeatMs);
  }

  #due(): void {
    if (this.#hasAsked) return this.#options.onSilent();
    this.#ping();
    this.#timer.set(this.#nextMs());
  }

  #ping(): void {
    this.#hasAsked = true;
    this.#pingedMs = this.#options.clock.nowMs();
    this.#options.ping(++this.#pings);
  }
}

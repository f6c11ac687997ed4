import type { Clock } from '../clock.ts';

/** With a request in flight: silence after which a side pings, and after which the link is dead. */
export const busySilenceMs = 5_000;
export const busyDeadMs = 15_000;
/** Idle, the link is dead after so many periods of silence. */
export const idleDeadPeriods = 2.5;
const rttWeight = 0.2;
/** A timer this late means that this side stood still, not that the other did: what came meanwhile is read first. */
const stalledMs = 100;
const catchUpMs = 50;

export interface LivenessOptions {
  readonly clock: Clock;
  /** Silence after which an idle side shows that it lives. */
  readonly periodMs: number;
  /** The router pings after an idle period; a device repeats its state and pings only with a request in flight. */
  readonly pingsIdle: boolean;
  readonly ping: (n: number) => void;
  /** The link is dead; once. */
  readonly onSilent: () => void;
}

/** Whether the other end of a link lives. Any record is a sign of life, whichever way it was cut. */
export class Liveness {
  readonly #options: LivenessOptions;
  #heardMs: number;
  #busySinceMs: number | undefined;
  #pings = 0;
  #pinged: { readonly n: number; readonly atMs: number } | undefined;
  #rttMs: number | undefined;
  #cancel: (() => void) | undefined;
  #dueMs = 0;
  #isStopped = false;

  constructor(options: LivenessOptions) {
    this.#options = options;
    this.#heardMs = options.clock.nowMs();
  }

  /** Smoothed time of a ping and its pong; absent until the first. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** The link is welcome on both sides: a side that pings does so at once, to learn the round-trip time. */
  start(): void {
    this.heard();
    if (this.#options.pingsIdle) this.#ping();
    this.#arm();
  }

  /** A record has come. */
  heard(): void {
    this.#heardMs = this.#options.clock.nowMs();
  }

  pong(n: number): void {
    if (this.#pinged?.n !== n) return;
    const tookMs = this.#options.clock.nowMs() - this.#pinged.atMs;
    this.#pinged = undefined;
    this.#rttMs = this.#rttMs === undefined ? tookMs : this.#rttMs + rttWeight * (tookMs - this.#rttMs);
  }

  /** Whether a request is in flight. */
  setBusy(isBusy: boolean): void {
    if (isBusy === (this.#busySinceMs !== undefined)) return;
    this.#busySinceMs = isBusy ? this.#options.clock.nowMs() : undefined;
    if (this.#cancel !== undefined) this.#arm();
  }

  /** The link is over. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Silence counts from the last record, and as a busy one from the moment there is a request. */
  #silentSinceMs(): number {
    return Math.max(this.#heardMs, this.#busySinceMs ?? 0);
  }

  #deadAtMs(): number {
    const { periodMs } = this.#options;
    const allowedMs = this.#busySinceMs === undefined ? idleDeadPeriods * periodMs : busyDeadMs;
    return this.#silentSinceMs() + allowedMs;
  }

  #pingAtMs(): number {
    const { periodMs, pingsIdle } = this.#options;
    const everyMs = this.#busySinceMs === undefined ? (pingsIdle ? periodMs : Infinity) : busySilenceMs;
    return Math.max(this.#silentSinceMs(), this.#pinged?.atMs ?? 0) + everyMs;
  }

  #arm(): void {
    if (this.#isStopped) return;
    this.#cancel?.();
    this.#wait(Math.max(0, Math.min(this.#deadAtMs(), this.#pingAtMs()) - this.#options.clock.nowMs()));
  }

  #wait(ms: number): void {
    const { clock } = this.#options;
    this.#dueMs = clock.nowMs() + ms;
    this.#cancel = clock.schedule(ms, () => this.#fired());
  }

  #fired(): void {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs - this.#dueMs >= stalledMs) return this.#wait(catchUpMs);
    if (nowMs >= this.#deadAtMs()) {
      this.stop();
      return this.#options.onSilent();
    }
    if (nowMs >= this.#pingAtMs()) this.#ping();
    this.#arm();
  }

  #ping(): void {
    const n = ++this.#pings;
    this.#pinged = { n, atMs: this.#options.clock.nowMs() };
    this.#options.ping(n);
  }
}

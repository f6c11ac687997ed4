import type { Outcome } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { BreakerConfig } from '../config/config.ts';

/** Leave to make one call; the first `settle` counts, later ones do nothing. */
export interface Permit {
  settle(outcome: Outcome): void;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

/** How a breaker behaves; the configuration's part and what differs for devices. */
export interface BreakerRules extends BreakerConfig {
  /** A probe whose result has not come by then frees its place; default: a minute. */
  readonly probeMs?: number;
  /** Each such time of good health takes back one doubling; absent: only what follows at once is longer. */
  readonly healthyMs?: number;
  /** Asked before it opens; where not, the same time counts as a handicap instead. Absent: always. */
  readonly mayOpen?: () => boolean;
  /** It has opened, or has taken a handicap. */
  readonly onEjected?: (why: EjectionReason) => void;
}

/** Why a breaker opens: failures in a row, or answers that began far later than predicted. */
export type EjectionReason = 'failures' | 'slow';

/** Times are monotonic milliseconds. Every change of state makes a new object, which is what a permit belongs to. */
type State =
  | { readonly type: 'closed'; failures: number; readonly sinceMs: number; readonly lastOpenMs: number }
  | { readonly type: 'open'; readonly untilMs: number; readonly openMs: number }
  | { readonly type: 'half-open'; readonly probeUntilMs: number; readonly openMs: number };

/** A probe whose result never comes must not block the backend for good. */
const defaultProbeMs = 60_000;

/**
 * A circuit breaker. Failures in a row open it; after a while one caller may probe while all others are refused, never
 * queued; a probe's success closes it, its failure opens it for twice as long. A result counts only for the state its
 * permit was given in, so a late one cannot flip a newer state. A neutral probe hands the probe to the next caller.
 */
export class CircuitBreaker {
  readonly #config: BreakerRules;
  readonly #clock: Clock;
  #state: State;
  #handicap = { ms: 0, untilMs: -Infinity };

  constructor(config: BreakerRules, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
    this.#state = { type: 'closed', failures: 0, sinceMs: clock.nowMs(), lastOpenMs: 0 };
  }

  /** `half-open` from the moment a probe would be let through until its result. */
  get state(): BreakerState {
    const state = this.#state;
    return state.type === 'open' && this.#clock.nowMs() >= state.untilMs ? 'half-open' : state.type;
  }

  /** Milliseconds until a caller may be let through; 0 when one may now. */
  get waitMs(): number {
    const state = this.#state;
    if (state.type === 'closed') return 0;
    const untilMs = state.type === 'open' ? state.untilMs : state.probeUntilMs;
    return Math.max(0, untilMs - this.#clock.nowMs());
  }

  /** Milliseconds that count against it although it may be asked, since too many others are out already. */
  get handicapMs(): number {
    return this.#clock.nowMs() < this.#handicap.untilMs ? this.#handicap.ms : 0;
  }

  /** It answers far later than predicted: out, as after failures. Does nothing unless it is closed. */
  eject(): void {
    if (this.#state.type === 'closed') this.#leave(this.#state, 'slow');
  }

  /** A permit, or `undefined` for refused. */
  tryAcquire(): Permit | undefined {
    if (this.#state.type !== 'closed') {
      if (this.waitMs > 0) return undefined;
      this.#state = {
        type: 'half-open',
        probeUntilMs: this.#clock.nowMs() + (this.#config.probeMs ?? defaultProbeMs),
        openMs: this.#state.openMs,
      };
    }
    return this.#permitFor(this.#state);
  }

  #permitFor(state: State): Permit {
    let isSettled = false;
    return {
      settle: (outcome) => {
        if (isSettled) return;
        isSettled = true;
        if (this.#state !== state) return;
        if (state.type === 'half-open') this.#probed(state.openMs, outcome);
        else if (state.type === 'closed') this.#called(state, outcome);
      },
    };
  }

  #called(state: Extract<State, { type: 'closed' }>, outcome: Outcome): void {
    if (outcome === 'success') state.failures = 0;
    if (outcome !== 'failure' || ++state.failures < this.#config.failures) return;
    this.#leave(state, 'failures');
  }

  #leave(state: Extract<State, { type: 'closed' }>, why: EjectionReason): void {
    const openMs = Math.min(this.#nextOpenMs(state), this.#config.maxOpenMs);
    if (this.#config.mayOpen?.() === false) {
      const nowMs = this.#clock.nowMs();
      this.#handicap = { ms: openMs, untilMs: nowMs + openMs };
      this.#state = { type: 'closed', failures: 0, sinceMs: nowMs, lastOpenMs: openMs };
    } else this.#open(openMs);
    this.#config.onEjected?.(why);
  }

  /** It flaps, so each absence is longer than the last. */
  #nextOpenMs({ sinceMs, lastOpenMs }: Extract<State, { type: 'closed' }>): number {
    const { openMs, healthyMs } = this.#config;
    if (lastOpenMs === 0) return openMs;
    const healthyForMs = this.#clock.nowMs() - sinceMs;
    if (healthyMs === undefined) return healthyForMs < lastOpenMs ? lastOpenMs * 2 : openMs;
    return Math.max(openMs, lastOpenMs * 2 ** (1 - Math.floor(healthyForMs / healthyMs)));
  }

  #probed(openMs: number, outcome: Outcome): void {
    const nowMs = this.#clock.nowMs();
    if (outcome === 'success') this.#state = { type: 'closed', failures: 0, sinceMs: nowMs, lastOpenMs: openMs };
    else if (outcome === 'failure') this.#open(openMs * 2);
    else this.#state = { type: 'open', untilMs: nowMs, openMs };
  }

  #open(openMs: number): void {
    const cappedMs = Math.min(openMs, this.#config.maxOpenMs);
    this.#state = { type: 'open', untilMs: this.#clock.nowMs() + cappedMs, openMs: cappedMs };
  }
}

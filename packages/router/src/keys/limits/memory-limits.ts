import type { Clock } from '../../core/clock.ts';
import type { Consumption, KeyLimits, UsageLedger } from '../../core/identity.ts';
import {
  dayMs,
  entered,
  type Estimate,
  type Gauge,
  gaugesOf,
  left,
  type LimitAnswer,
  type LimitAsk,
  type LimitState,
  type LimitStore,
  minuteMs,
  noEstimate,
  noneRunning,
  nothing,
  plus,
  type Running,
  verdictOf,
} from './limit-store.ts';

interface Account {
  minuteEndsMs: number;
  minute: Consumption;
  running: Running;
}

/** Counts in this process, days in the ledger. Nothing is awaited, so requests that come at once cannot share a place. */
export class MemoryLimits implements LimitStore {
  readonly #clock: Clock;
  readonly #ledger: Pick<UsageLedger, 'today'>;
  readonly #accounts = new Map<string, Account>();

  constructor(clock: Clock, ledger: Pick<UsageLedger, 'today'>) {
    this.#clock = clock;
    this.#ledger = ledger;
  }

  take(ask: LimitAsk): LimitAnswer {
    const account = this.#account(ask.keyId);
    const { refusedBy, outOfMoney } = verdictOf(this.#state(ask.keyId, account), ask.limits, ask);
    if (refusedBy !== undefined) return { type: 'refused', by: refusedBy };
    // Answers of the local tier are free.
    const reserved = { tokens: ask.tokens, usd: outOfMoney === undefined ? ask.usd : 0 };
    account.minute = plus(account.minute, { requests: 1, tokens: 0, usd: 0 });
    account.running = entered(account.running, reserved);
    return { type: 'granted', outOfMoney, settle: (used) => this.#settle(ask.keyId, reserved, used) };
  }

  look(keyId: string, limits: KeyLimits): readonly Gauge[] {
    return gaugesOf(this.stateOf(keyId), limits, noEstimate);
  }

  stateOf(keyId: string): LimitState {
    return this.#state(keyId, this.#account(keyId));
  }

  async close(): Promise<void> {}

  #settle(keyId: string, reserved: Estimate, { tokens, usd }: Estimate): void {
    const account = this.#account(keyId);
    account.running = left(account.running, reserved);
    account.minute = plus(account.minute, { requests: 0, tokens, usd });
  }

  /** A minute begins with its first request, so no request sees two of them. */
  #account(keyId: string): Account {
    const nowMs = this.#clock.nowMs();
    let account = this.#accounts.get(keyId);
    if (account === undefined) {
      account = { minuteEndsMs: nowMs + minuteMs, minute: nothing, running: noneRunning };
      this.#accounts.set(keyId, account);
    } else if (account.minuteEndsMs <= nowMs) {
      account.minuteEndsMs = nowMs + minuteMs;
      account.minute = nothing;
    }
    return account;
  }

  #state(keyId: string, { minuteEndsMs, minute, running }: Account): LimitState {
    return {
      minuteLeftMs: minuteEndsMs - this.#clock.nowMs(),
      minute,
      dayLeftMs: dayMs - (this.#clock.wallMs() % dayMs),
      day: this.#ledger.today(keyId),
      running,
    };
  }
}

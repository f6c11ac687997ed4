import type { Clock } from '../core/clock.ts';

const periodMs = 60_000;
/** Addresses named in one line; more are only counted. */
const maxAddresses = 20;

type Report = (reasons: Readonly<Record<string, number>>, addresses: Readonly<Record<string, number>>) => void;

/** Sums up links that came to nothing: one report a minute at most, so that a port scan fills no log. */
export class RefusedLinks {
  readonly #clock: Clock;
  readonly #report: Report;
  readonly #totals = new Map<string, number>();
  #reasons = new Map<string, number>();
  #addresses = new Map<string, number>();
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, report: Report) {
    this.#clock = clock;
    this.#report = report;
  }

  add(reason: string, address: string): void {
    count(this.#totals, reason);
    count(this.#reasons, reason);
    if (this.#addresses.has(address) || this.#addresses.size < maxAddresses) count(this.#addresses, address);
    this.#cancel ??= this.#clock.schedule(periodMs, () => this.flush());
  }

  /** Since the start, by reason. */
  get totals(): ReadonlyMap<string, number> {
    return this.#totals;
  }

  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#reasons.size === 0) return;
    this.#report(Object.fromEntries(this.#reasons), Object.fromEntries(this.#addresses));
    this.#reasons = new Map();
    this.#addresses = new Map();
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

import type { Clock } from '../core/clock.ts';

/** One key of a provider and what is known of it. */
export interface ApiKey {
  /** Secret: for a request header and nowhere else. */
  readonly value: string;
}

interface HeldKey extends ApiKey {
  /** Monotonic; no call on this key before. */
  notBeforeMs: number;
}

/**
 * The keys of one provider account or several. One is used until it is limited or refused, then the next: spreading
 * calls over keys would exhaust all of them together. A limited key is not used before its time.
 */
export class KeyRing {
  readonly #clock: Clock;
  readonly #keys: HeldKey[];

  constructor(keys: readonly string[], clock: Clock) {
    this.#clock = clock;
    this.#keys = keys.map((value) => ({ value, notBeforeMs: -Infinity }));
  }

  /** 0 for a server that takes none. */
  get size(): number {
    return this.#keys.length;
  }

  /** The key to use now, other than those tried; `undefined` when none is free. */
  pick(tried: ReadonlySet<ApiKey>): ApiKey | undefined {
    const nowMs = this.#clock.nowMs();
    return this.#keys.find((key) => key.notBeforeMs <= nowMs && !tried.has(key));
  }

  /** Milliseconds until some key is free; 0 when one is now, or when there are none to wait for. */
  get waitMs(): number {
    if (this.#keys.length === 0) return 0;
    return Math.max(0, Math.min(...this.#keys.map((key) => key.notBeforeMs)) - this.#clock.nowMs());
  }

  /** The provider asked for a pause on this key; others take over. */
  limit(key: ApiKey, pauseMs: number): void {
    this.#retire(key, this.#clock.nowMs() + pauseMs);
  }

  /** The provider refused this key; others go first from now on. */
  refuse(key: ApiKey): void {
    this.#retire(key, -Infinity);
  }

  #retire(key: ApiKey, notBeforeMs: number): void {
    const index = this.#keys.findIndex((held) => held === key);
    const [held] = index === -1 ? [] : this.#keys.splice(index, 1);
    if (held === undefined) return;
    held.notBeforeMs = Math.max(held.notBeforeMs, notBeforeMs);
    this.#keys.push(held);
  }
}

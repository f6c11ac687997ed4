import type { Clock } from '../core/clock.ts';
import type { FailedAuth } from '../core/identity.ts';

const windowMs = 60_000;
const maxAddresses = 10_000;

interface Window {
  readonly endsMs: number;
  failures: number;
}

/**
 * Counts wrong keys an address a minute. It only ever slows wrong keys down: whoever has a right one is not asked.
 * Bounded: of too many addresses the oldest is forgotten.
 */
export class FailedAuthLimiter implements FailedAuth {
  readonly #windows = new Map<string, Window>();
  readonly #clock: Clock;
  readonly #limit: number;

  constructor(clock: Clock, limitPerMinute: number) {
    this.#clock = clock;
    this.#limit = limitPerMinute;
  }

  fail(address: string): number | undefined {
    const key = networkOf(address);
    const nowMs = this.#clock.nowMs();
    let window = this.#windows.get(key);
    if (window === undefined || window.endsMs <= nowMs) {
      this.#windows.delete(key);
      this.#forgetOldest();
      window = { endsMs: nowMs + windowMs, failures: 0 };
      this.#windows.set(key, window);
    }
    window.failures++;
    return window.failures > this.#limit ? window.endsMs - nowMs : undefined;
  }

  #forgetOldest(): void {
    if (this.#windows.size < maxAddresses) return;
    const [oldest] = this.#windows.keys();
    if (oldest !== undefined) this.#windows.delete(oldest);
  }
}

/** One subscriber owns a whole IPv6 /64, so its addresses count as one. */
function networkOf(address: string): string {
  if (!address.includes(':') || address.startsWith('::')) return address;
  // A run of zeros is left out, wherever it is.
  const [before = [], after = []] = address.split('::').map((part) => part.split(':'));
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  return [...before, ...zeros, ...after].slice(0, 4).join(':');
}

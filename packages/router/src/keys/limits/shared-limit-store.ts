import type { Consumption } from '../../core/identity.ts';
import type { Estimate, LimitAsk, LimitState, Running, Used } from './limit-store.ts';

/** What a router knows of a key, for a store that has lost it. */
export interface Known {
  /** The running minute as last seen: milliseconds left of it, and what was used. */
  readonly minute: { readonly leftMs: number; readonly used: Consumption } | undefined;
  /** Of today, not yet written to the database by this router. */
  readonly unwritten: Consumption;
}

/** What a store that several routers share has decided, and what it saw before it did. */
export interface SharedAnswer {
  readonly isGranted: boolean;
  readonly state: LimitState;
  /** When the store began to count this key; another than before where it has lost what it knew. */
  readonly born: number;
}

/** What a router tells a store of one key, so that lost messages and dead peers leave nothing behind. */
export interface Renewal {
  readonly keyId: string;
  /** What runs at this router, whatever the store thought. */
  readonly running: Running;
  /** Used while the store could not be asked. */
  readonly owed: { readonly minute: Consumption; readonly day: Consumption };
  readonly known: Known;
}

/**
 * Counts of several routers together. Time is the store's. A router's places vanish unless they are renewed within
 * `placeLifeMs`. Every method rejects where the store fails, and takes as long as it takes.
 */
export interface SharedLimitStore {
  take(ask: LimitAsk, known: Known): Promise<SharedAnswer>;
  settle(keyId: string, reserved: Estimate, used: Used): Promise<void>;
  renew(renewals: readonly Renewal[]): Promise<void>;
  close(): Promise<void>;
}

/** How long the places of a router that says nothing more are kept. */
export const placeLifeMs = 12_000;

/** The limits in the order in which stores are told them; `null` is none. */
export function listOfLimits({ limits }: Pick<LimitAsk, 'limits'>): readonly (number | null)[] {
  return [
    limits.concurrency ?? null,
    limits.requestsPerMinute ?? null,
    limits.requestsPerDay ?? null,
    limits.tokensPerMinute ?? null,
    limits.tokensPerDay ?? null,
    limits.usdPerMinute ?? null,
    limits.usdPerDay ?? null,
  ];
}

/** Reads what stores answer: granted, then the state before it, in the order of `LimitState`. */
export function readAnswer(numbers: readonly number[]): SharedAnswer {
  const at = (index: number): number => {
    const value = numbers[index];
    if (value === undefined || Number.isNaN(value))
      throw new TypeError('The store of limits answers what is no answer.');
    return value;
  };
  const consumption = (from: number): Consumption => ({ requests: at(from), tokens: at(from + 1), usd: at(from + 2) });
  return {
    isGranted: at(0) === 1,
    born: at(14),
    state: {
      minuteLeftMs: at(1),
      minute: consumption(2),
      dayLeftMs: at(5),
      day: consumption(6),
      running: {
        requests: at(9),
        tokens: { count: at(10), sum: at(11) },
        usd: { count: at(12), sum: at(13) },
      },
    },
  };
}

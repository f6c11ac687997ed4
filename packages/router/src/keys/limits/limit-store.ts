import type { Consumption, KeyLimits } from '../../core/identity.ts';
import type { Mode } from '../../core/request.ts';

/** What running requests are expected to use of one thing. */
export interface Reserved {
  /** Requests that reserved anything. */
  readonly count: number;
  readonly sum: number;
}

/** A key's requests that run now. */
export interface Running {
  readonly requests: number;
  readonly tokens: Reserved;
  readonly usd: Reserved;
}

/** What a key has used and what it has running, at one moment. */
export interface LimitState {
  readonly minuteLeftMs: number;
  readonly minute: Consumption;
  readonly dayLeftMs: number;
  readonly day: Consumption;
  readonly running: Running;
}

/** What one more request would use at most, as far as can be told. */
export interface Estimate {
  readonly tokens: number;
  readonly usd: number;
}

/** One request that wants in. */
export interface LimitAsk extends Estimate {
  readonly keyId: string;
  readonly limits: KeyLimits;
  readonly mode: Mode;
}

/** What a request that was let in has really used. */
export type Used = Pick<Consumption, 'tokens' | 'usd'>;

export type LimitAnswer =
  | {
      readonly type: 'granted';
      /** The money that is used up; the request may run locally alone. */
      readonly outOfMoney: Gauge | undefined;
      /** Gives the place back and pays. Call once; never throws. */
      readonly settle: (used: Used) => void;
    }
  | { readonly type: 'refused'; readonly by: Gauge }
  /** Nobody can say how much is left. */
  | { readonly type: 'unavailable' };

/** Who counts: this process alone, or a store that several routers share. */
export interface LimitStore {
  /** Whether the store that counts for several routers answers, as far as is known; absent: this process counts. */
  readonly isAnswering?: boolean;
  /** Takes one request's place and what it may use, or refuses; nothing comes between looking and taking. */
  take(ask: LimitAsk): LimitAnswer | Promise<LimitAnswer>;
  /**
   * How far each limit of a key is, as far as this router knows without waiting; none where it never saw the key. While
   * nobody counts for all routers, what others may give counts as used.
   */
  look(keyId: string, limits: KeyLimits): readonly Gauge[];
  close(): Promise<void>;
}

/** One ceiling and how far it is. */
export interface Gauge {
  readonly name: keyof KeyLimits;
  readonly kind: 'requests' | 'tokens' | 'usd' | 'concurrency';
  readonly limit: number;
  /** Reservations included. */
  readonly used: number;
  /** What one more request would add. */
  readonly asked: number;
  /** What is asked is an estimate, and nothing else of this kind is reserved. */
  readonly isFirstGuess: boolean;
  readonly resetMs: number;
}

export const minuteMs = 60_000;
export const dayMs = 86_400_000;
/** What is asked by whoever only looks. */
export const noEstimate: Estimate = { tokens: 0, usd: 0 };
export const nothing: Consumption = { requests: 0, tokens: 0, usd: 0 };
const noneReserved: Reserved = { count: 0, sum: 0 };
export const noneRunning: Running = { requests: 0, tokens: noneReserved, usd: noneReserved };
/** When a place is worth asking for again. */
const placeResetMs = 1_000;

/** Every limit of a key, concurrency first. */
export function gaugesOf(state: LimitState, limits: KeyLimits, asked: Estimate): readonly Gauge[] {
  const { minute, day, running, minuteLeftMs, dayLeftMs } = state;
  const gauges: Gauge[] = [];
  const add = (name: keyof KeyLimits, kind: Gauge['kind'], used: number, resetMs: number): void => {
    const limit = limits[name];
    if (limit === undefined) return;
    if (kind === 'requests' || kind === 'concurrency') {
      gauges.push({ name, kind, limit, used, asked: 1, isFirstGuess: false, resetMs });
    } else {
      const { count, sum } = running[kind];
      gauges.push({ name, kind, limit, used: used + sum, asked: asked[kind], isFirstGuess: count === 0, resetMs });
    }
  };
  add('concurrency', 'concurrency', running.requests, placeResetMs);
  add('requestsPerMinute', 'requests', minute.requests, minuteLeftMs);
  add('requestsPerDay', 'requests', day.requests, dayLeftMs);
  add('tokensPerMinute', 'tokens', minute.tokens, minuteLeftMs);
  add('tokensPerDay', 'tokens', day.tokens, dayLeftMs);
  add('usdPerMinute', 'usd', minute.usd, minuteLeftMs);
  add('usdPerDay', 'usd', day.usd, dayLeftMs);
  return gauges;
}

/**
 * Tokens and money are estimates before the answer is there: where nothing else is reserved, a request may come in as
 * long as anything is left, or an estimate larger than the limit would shut its key out for good.
 */
export function isFull({ limit, used, asked, isFirstGuess }: Gauge): boolean {
  return isFirstGuess || asked === 0 ? used >= limit : used + asked > limit;
}

/** What stands in the way of a request: money ends `cloud` alone, every other limit ends all. */
export function verdictOf(
  state: LimitState,
  limits: KeyLimits,
  ask: Pick<LimitAsk, 'tokens' | 'usd' | 'mode'>,
): { readonly refusedBy: Gauge | undefined; readonly outOfMoney: Gauge | undefined } {
  const full = gaugesOf(state, limits, ask).filter(isFull);
  const outOfMoney = full.find(({ kind }) => kind === 'usd');
  const refusedBy = full.find(({ kind }) => kind !== 'usd') ?? (ask.mode === 'cloud' ? outOfMoney : undefined);
  return { refusedBy, outOfMoney };
}

/** Whether a key's requests must say when they end: where limits are of requests alone, they need not. */
export function holdsPlace(limits: KeyLimits): boolean {
  return Object.keys(limits).some((name) => name !== 'requestsPerMinute' && name !== 'requestsPerDay');
}

export function plus(a: Consumption, b: Consumption): Consumption {
  return { requests: a.requests + b.requests, tokens: a.tokens + b.tokens, usd: a.usd + b.usd };
}

/** With one more request that reserves so much. */
export function entered({ requests, tokens, usd }: Running, reserved: Estimate): Running {
  return { requests: requests + 1, tokens: added(tokens, reserved.tokens), usd: added(usd, reserved.usd) };
}

/** Without one that had reserved so much. */
export function left({ requests, tokens, usd }: Running, reserved: Estimate): Running {
  return { requests: requests - 1, tokens: removed(tokens, reserved.tokens), usd: removed(usd, reserved.usd) };
}

function added({ count, sum }: Reserved, amount: number): Reserved {
  return amount === 0 ? { count, sum } : { count: count + 1, sum: sum + amount };
}

/** From nothing on again, or the rounding of sums would add up. */
function removed({ count, sum }: Reserved, amount: number): Reserved {
  if (amount === 0) return { count, sum };
  return count <= 1 ? noneReserved : { count: count - 1, sum: sum - amount };
}

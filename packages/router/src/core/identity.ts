import type { Tier } from './request.ts';

/** Whose request it is and what that key may do. */
export interface KeyIdentity {
  /** Stable; keeps caches and sessions of different keys apart. Never the key itself. */
  readonly id: string;
  /** Tiers the key may use; absent: both. */
  readonly tiers?: readonly Tier[];
  /** Model ids the key may name; absent: all. */
  readonly models?: readonly string[];
  readonly scopes: readonly Scope[];
  /** What the key may use up; absent: nothing is counted. */
  readonly limits?: KeyLimits;
}

/** What a key opens: the API, what operators see and change, or a device's link. */
export type Scope = 'chat' | 'admin' | 'device';

/** Ceilings of one key; absent: none. A minute begins with its first request, a day at midnight UTC. */
export interface KeyLimits {
  readonly requestsPerMinute?: number;
  readonly requestsPerDay?: number;
  /** Prompt and completion together. */
  readonly tokensPerMinute?: number;
  readonly tokensPerDay?: number;
  /** US dollars paid to cloud backends. */
  readonly usdPerMinute?: number;
  readonly usdPerDay?: number;
  /** Requests running at once. */
  readonly concurrency?: number;
}

/** What a request, or a key's day, has used. */
export interface Consumption {
  readonly requests: number;
  readonly tokens: number;
  readonly usd: number;
}

/** The running day (UTC) of every key, kept across restarts. Neither method waits or throws. */
export interface UsageLedger {
  today(keyId: string): Consumption;
  add(keyId: string, used: Consumption): void;
}

/** Tells whose key was presented; `undefined` for none or a wrong one where a key is needed. Takes constant time. */
export type VerifyKey = (presented: string | undefined) => KeyIdentity | undefined;

/** Counts wrong keys an address. */
export interface FailedAuth {
  /** Notes one wrong key. Milliseconds to wait where the address has used up its minute, else `undefined`. */
  fail(address: string): number | undefined;
}

/** What is known of a request before it runs. */
export interface QuotaAsk {
  /** Estimate. */
  readonly promptTokens: number;
  /** Most the client wants; absent: what this key's answers took so far is assumed. */
  readonly maxTokens?: number;
}

/** What a finished request used. */
export type Spent = Pick<Consumption, 'tokens' | 'usd'>;

/** One admitted request; ends exactly once, later calls do nothing. */
export interface QuotaTicket {
  settle(spent: Spent): void;
}

/** Holds keys to their limits. */
export interface KeyQuota {
  /** @throws LfoError 429 `rate_limit_exceeded` where a limit is used up */
  admit(identity: KeyIdentity, ask: QuotaAsk): QuotaTicket;
  /** The `x-ratelimit-*` headers of a limited key; none for others. */
  headers(identity: KeyIdentity): Readonly<Record<string, string>>;
}

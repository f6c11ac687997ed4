import type { Mode, Tier } from './request.ts';

/** Whose request it is and what that key may do. */
export interface KeyIdentity {
  /** Stable; keeps caches and sessions of different keys apart. Never the key itself. */
  readonly id: string;
  /** What its owner calls the key. */
  readonly name?: string;
  /** Tiers the key may use; absent: both. */
  readonly tiers?: readonly Tier[];
  /** Model ids the key may name; absent: all. */
  readonly models?: readonly string[];
  readonly scopes: readonly Scope[];
  /** What the key may use up; absent: nothing is counted. */
  readonly limits?: KeyLimits;
}

/** What a key opens: the API, or what operators see and change. `device` opens nothing; stored keys may have it. */
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

/** The running day (UTC) of every key, kept across restarts. No method waits or throws. */
export interface UsageLedger {
  today(keyId: string): Consumption;
  /** What of it is not in the database yet. */
  unwritten(keyId: string): Consumption;
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
  /** Most the client wants; absent: no word on it. */
  readonly maxTokens?: number;
  /** Where it may run. */
  readonly mode: Mode;
  /** An alias or an id, as asked for. */
  readonly model: string;
}

/** What a finished request used. */
export interface Spent extends Pick<Consumption, 'tokens' | 'usd'> {
  /** Of the answer alone; absent where there was none, or none that was counted. */
  readonly completionTokens?: number;
}

/** One admitted request; ends exactly once, later calls of `settle` do nothing. */
export interface QuotaTicket {
  /** Why only the local tier may answer though the request allows both, for the client; absent: it stays as asked. */
  readonly keptLocal?: string;
  /** What else its holder should hear of the limits. */
  readonly warning?: string;
  settle(spent: Spent): void;
}

/** Holds keys to their limits. */
export interface KeyQuota {
  /**
   * Waits only for keys with limits that are counted elsewhere. Money that is used up keeps `auto` local and ends
   * `cloud`; every other limit ends them all.
   * @throws LfoError 429 `rate_limit_exceeded` where a limit is used up, 503 `limits_unavailable` where nobody can tell
   */
  admit(identity: KeyIdentity, ask: QuotaAsk): QuotaTicket | Promise<QuotaTicket>;
  /** The `x-ratelimit-*` headers of a limited key, each pair about the limit that is nearest; none for others. */
  headers(identity: KeyIdentity): Readonly<Record<string, string>>;
}

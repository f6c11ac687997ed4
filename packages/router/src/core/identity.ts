import type { Tier } from './request.ts';

/** Whose request it is and what that key may do. */
export interface KeyIdentity {
  /** Stable; keeps caches and sessions of different keys apart. Never the key itself. */
  readonly id: string;
  /** Tiers the key may use; absent: both. */
  readonly tiers?: readonly Tier[];
  /** Model ids the key may name; absent: all. */
  readonly models?: readonly string[];
  readonly scopes: readonly ('chat' | 'admin' | 'device')[];
}

/** Tells whose key was presented; `undefined` for none or a wrong one where a key is needed. Takes constant time. */
export type VerifyKey = (presented: string | undefined) => KeyIdentity | undefined;

import { hash, timingSafeEqual } from 'node:crypto';

import type { Tier } from '../core/request.ts';

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

/** Verifies against the one configured key; without one, everybody is the owner. */
export function singleKey(authToken: string | undefined): VerifyKey {
  const owner: KeyIdentity = { id: 'owner', scopes: ['chat', 'admin', 'device'] };
  if (authToken === undefined) return () => owner;
  const expected = digest(authToken);
  return (presented) => (presented !== undefined && timingSafeEqual(digest(presented), expected) ? owner : undefined);
}

/** Digests have one length whatever was presented, as `timingSafeEqual` demands. */
function digest(key: string): Buffer {
  return hash('sha256', key, 'buffer');
}

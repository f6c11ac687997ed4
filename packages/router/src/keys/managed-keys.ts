import { hash, timingSafeEqual } from 'node:crypto';

import type { Clock } from '../core/clock.ts';
import { isInForce, keyIdOf, type KeyRing, type ManagedKey } from './managed-key.ts';
import type { KeyIdentity, VerifyKey } from '../core/identity.ts';
import { singleKey } from './single-key.ts';

const nobodysDigest = Buffer.alloc(32);

/**
 * Verifies against the configured key and those of the ring. Without either, everybody is the owner; once a key was
 * given out nobody is, even if all of them are revoked or the database is away.
 */
export function managedKeys(authToken: string | undefined, ring: KeyRing, clock: Clock): VerifyKey {
  const verifyOwner = singleKey(authToken);
  const identities = new WeakMap<ManagedKey, KeyIdentity>();
  return (presented) => {
    if (authToken !== undefined || !ring.isNeeded) {
      const owner = verifyOwner(presented);
      if (owner !== undefined) return owner;
    }
    const id = presented === undefined ? undefined : keyIdOf(presented);
    if (presented === undefined || id === undefined) return undefined;
    const key = ring.find(id);
    const expected = key === undefined ? nobodysDigest : Buffer.from(key.digest, 'hex');
    const isSame = timingSafeEqual(hash('sha256', presented, 'buffer'), expected);
    if (key === undefined || !isSame || !isInForce(key, clock.wallMs())) return undefined;
    let identity = identities.get(key);
    if (identity === undefined) identities.set(key, (identity = identityOf(key)));
    return identity;
  };
}

/** Whose requests a key's are. */
function identityOf({ id, scopes, tiers, models, limits }: ManagedKey): KeyIdentity {
  return {
    id,
    scopes,
    limits,
    ...(tiers === undefined ? {} : { tiers }),
    ...(models === undefined ? {} : { models }),
  };
}

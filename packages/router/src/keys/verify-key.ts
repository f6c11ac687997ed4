import { hash, timingSafeEqual } from 'node:crypto';

import type { Clock } from '../core/clock.ts';
import { isInForce, keyIdOf, type KeyRing, type ManagedKey } from './managed-key.ts';
import { LfoError } from '../core/errors.ts';
import type { KeyIdentity, Scope, VerifyKey } from '../core/identity.ts';

/** Id of whoever holds the configured key, or of everybody where there is none. */
export const ownerId = 'owner';

const owner: KeyIdentity = { id: ownerId, scopes: ['chat', 'admin', 'device'] };
const nobodysDigest = Buffer.alloc(32);

/** Verifies against the one configured key; without one, everybody is the owner. */
export function singleKey(authToken: string | undefined): VerifyKey {
  if (authToken === undefined) return () => owner;
  const expected = digest(authToken);
  return (presented) => (presented !== undefined && timingSafeEqual(digest(presented), expected) ? owner : undefined);
}

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
    const isSame = timingSafeEqual(digest(presented), expected);
    if (key === undefined || !isSame || !isInForce(key, clock.wallMs())) return undefined;
    let identity = identities.get(key);
    if (identity === undefined) identities.set(key, (identity = identityOf(key)));
    return identity;
  };
}

/**
 * Names keys without holding them: what a browser's session keeps, and what tells whether its key is still good. A name
 * is no key.
 */
export class KeyRefs {
  readonly #authToken: string | undefined;
  readonly #ring: KeyRing;
  readonly #clock: Clock;
  readonly #verify: VerifyKey;

  constructor(authToken: string | undefined, ring: KeyRing, clock: Clock) {
    this.#authToken = authToken;
    this.#ring = ring;
    this.#clock = clock;
    this.#verify = managedKeys(authToken, ring, clock);
  }

  /** The name of a key that is good now. */
  refOf(presented: string): string | undefined {
    const identity = this.#verify(presented);
    if (identity === undefined) return undefined;
    return identity.id === ownerId ? this.#ownerRef() : `key:${identity.id}`;
  }

  /** Whose a name is, while its key is good. */
  identityOf(ref: string): KeyIdentity | undefined {
    if (!ref.startsWith('key:')) {
      const isOpen = this.#authToken !== undefined || !this.#ring.isNeeded;
      return isOpen && ref === this.#ownerRef() ? owner : undefined;
    }
    const key = this.#ring.find(ref.slice('key:'.length));
    return key !== undefined && isInForce(key, this.#clock.wallMs()) ? identityOf(key) : undefined;
  }

  /** Of the configured key as it is now: another one ends the sessions of this one. */
  #ownerRef(): string {
    return this.#authToken === undefined ? 'open' : `owner:${digest(`session ${this.#authToken}`).toString('hex')}`;
  }
}

/** Whose requests a key's are. */
function identityOf({ id, name, scopes, tiers, models, limits }: ManagedKey): KeyIdentity {
  return {
    id,
    name,
    scopes,
    limits,
    ...(tiers === undefined ? {} : { tiers }),
    ...(models === undefined ? {} : { models }),
  };
}

/** @throws LfoError 403 where the key is not for this route */
export function checkScope({ scopes }: KeyIdentity, route: string | undefined): void {
  const needed = scopeOf(route);
  if (needed === undefined || scopes.includes(needed)) return;
  throw new LfoError(`This key lacks the scope "${needed}": use one that has it.`, {
    code: 'scope_missing',
    status: 403,
  });
}

/** The dashboard and feedback ask for themselves: pages may be open, and operators judge answers too. */
function scopeOf(route: string | undefined): Scope | undefined {
  if (route === '/metrics') return 'admin';
  if (route === undefined || route === '/v1/feedback') return undefined;
  return ['/v1/', '/v1beta/', '/api/'].some((prefix) => route.startsWith(prefix)) ? 'chat' : undefined;
}

/** Digests have one length whatever was presented, as `timingSafeEqual` demands. */
function digest(key: string): Buffer {
  return hash('sha256', key, 'buffer');
}

import { hash, timingSafeEqual } from 'node:crypto';

import type { KeyIdentity, VerifyKey } from '../core/identity.ts';

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

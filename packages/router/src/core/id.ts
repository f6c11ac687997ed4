import { randomBytes, randomFillSync } from 'node:crypto';

import type { Clock } from './clock.ts';

/** Makes one id a call. */
export type IdSource = () => string;

const poolBytes = 10 * 128;

/**
 * UUIDs of version 7 (RFC 9562, 5.7): sortable by time to the millisecond, 74 random bits. Random bytes are drawn in
 * bulk, since one system call an id costs more than the id.
 */
export function uuidV7Source(clock: Clock): IdSource {
  const pool = Buffer.alloc(poolBytes);
  let used = poolBytes;
  return () => {
    if (used === poolBytes) {
      randomFillSync(pool);
      used = 0;
    }
    const time = Math.max(0, Math.floor(clock.wallMs())).toString(16).padStart(12, '0').slice(-12);
    const random = pool.toString('hex', used, used + 10);
    used += 10;
    const variant = ((parseInt(random.charAt(4), 16) & 3) | 8).toString(16);
    return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(1, 4)}-${variant}${random.slice(5, 8)}-${random.slice(8)}`;
  };
}

/** A URL-safe random token of `bytes` random bytes. */
export function randomToken(bytes: number): string {
  return randomBytes(bytes).toString('base64url');
}

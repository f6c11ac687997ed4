import { hash, randomBytes } from 'node:crypto';
import * as z from 'zod';

import type { KeyLimits, Scope } from '../core/identity.ts';
import type { Tier } from '../core/request.ts';

/** A key an operator gave out. The key itself is known to its holder alone. */
export interface ManagedKey {
  /** Public part of the key; names it in records and lists. */
  readonly id: string;
  readonly name: string;
  /** SHA-256 of the whole key in hex. It has 160 random bits, so a slow hash would protect nothing more. */
  readonly digest: string;
  readonly scopes: readonly Scope[];
  /** Absent: both. */
  readonly tiers?: readonly Tier[];
  /** Absent: all. */
  readonly models?: readonly string[];
  readonly limits: KeyLimits;
  /** Unix milliseconds. */
  readonly createdMs: number;
  /** Absent: never. */
  readonly expiresMs?: number;
  readonly revokedMs?: number;
  /** What the database holds under this id is no key: it opens nothing, as one revoked, and says that keys were given out. */
  readonly isUnreadable?: true;
}

const amount = z.number().positive().exactOptional();
const time = z.number().int();

/** A key as the database or the copy beside it holds it; checked like anything from outside. */
export const storedKey: z.ZodType<ManagedKey> = z.object({
  id: z.string(),
  name: z.string(),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  scopes: z.array(z.enum(['chat', 'admin', 'device'])),
  tiers: z.array(z.enum(['local', 'cloud'])).exactOptional(),
  models: z.array(z.string()).exactOptional(),
  limits: z.object({
    requestsPerMinute: amount,
    requestsPerDay: amount,
    tokensPerMinute: amount,
    tokensPerDay: amount,
    usdPerMinute: amount,
    usdPerDay: amount,
    concurrency: amount,
  }),
  createdMs: time,
  expiresMs: time.exactOptional(),
  revokedMs: time.exactOptional(),
  isUnreadable: z.literal(true).exactOptional(),
});

/** The keys in force, as far as the database has been read. Cheap: asked for every request. */
export interface KeyRing {
  /** By the public part; revoked ones included. */
  find(id: string): ManagedKey | undefined;
  /**
   * Whether any key was ever given out, revoked ones included, or may have been because the database was never read:
   * then nobody comes in without one.
   */
  readonly isNeeded: boolean;
  /** Keys in force at this wall time that will expire. O(keys): for metrics. */
  expiring(wallMs: number): readonly (ManagedKey & { readonly expiresMs: number })[];
}

const idBytes = 6;
const secretBytes = 20;
const keyText = new RegExp(`^lfo_([0-9a-f]{${2 * idBytes}})_[0-9a-f]{${2 * secretBytes}}$`);

/** A new key's text, to be shown once, and what is kept of it. */
export function generateKey(): { readonly text: string; readonly id: string; readonly digest: string } {
  const id = randomBytes(idBytes).toString('hex');
  const text = `lfo_${id}_${randomBytes(secretBytes).toString('hex')}`;
  return { text, id, digest: hash('sha256', text, 'hex') };
}

/** The public part of what looks like a key. */
export function keyIdOf(presented: string): string | undefined {
  return keyText.exec(presented)?.[1];
}

/** Whether a key still opens anything at this wall time. */
export function isInForce({ expiresMs, revokedMs }: ManagedKey, wallMs: number): boolean {
  return revokedMs === undefined && (expiresMs === undefined || wallMs < expiresMs);
}

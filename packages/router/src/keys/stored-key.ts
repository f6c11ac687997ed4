import * as z from 'zod';

import type { ManagedKey } from './managed-key.ts';

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
});

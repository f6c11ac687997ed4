import type { BackendPool } from '../core/backend.ts';
import type { Tier } from '../core/request.ts';

/** Both tiers behind one pool. Each keeps its own, so that what serves `local` requests can do without this one. */
export function tieredPool(pools: Readonly<Record<Tier, BackendPool>>): BackendPool {
  return {
    acquire: (attempt, choice) => pools[attempt.tier].acquire(attempt, choice),
    hasCandidate: (attempt, choice) => pools[attempt.tier].hasCandidate(attempt, choice),
    view: () => ({ backends: [...pools.local.view().backends, ...pools.cloud.view().backends] }),
  };
}

import type { BackendPool, FleetView } from '../core/backend.ts';
import type { Tier } from '../core/request.ts';

/** Both tiers behind one pool. Each keeps its own, so that what serves `local` requests can do without this one. */
export function tieredPool(pools: Readonly<Record<Tier, BackendPool>>): BackendPool {
  let joined: { readonly local: FleetView; readonly cloud: FleetView; readonly both: FleetView } | undefined;
  return {
    acquire: (attempt, choice) => pools[attempt.tier].acquire(attempt, choice),
    hasCandidate: (attempt, choice) => pools[attempt.tier].hasCandidate(attempt, choice),
    predict: (attempt, choice) => pools[attempt.tier].predict(attempt, choice),
    wake: (attempt, asked) => pools[attempt.tier].wake(attempt, asked),
    snapshot() {
      const [local, cloud] = [pools.local.snapshot(), pools.cloud.snapshot()];
      if (joined?.local !== local || joined.cloud !== cloud) {
        joined = { local, cloud, both: { backends: [...local.backends, ...cloud.backends] } };
      }
      return joined.both;
    },
    view: () => ({ backends: [...pools.local.view().backends, ...pools.cloud.view().backends] }),
  };
}

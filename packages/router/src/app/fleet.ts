import type { Pool } from '../backends/pool.ts';
import type { RetryBudget } from '../pipeline/retry.ts';
import { tieredPool } from './tiered-pool.ts';
import type { FleetView } from '../core/backend.ts';
import type { ChatRequest } from '../core/request.ts';
import type { AppOptions } from './running-app.ts';
import type { TierMember } from './local-tier.ts';
import type { Stages } from '../pipeline/attempt.ts';
import { shippedEstimator } from './estimator.ts';
import { poolOf, stagesOver } from './stages.ts';

/** Everything that answers, behind its pools. */
export interface Fleet {
  readonly members: readonly TierMember[];
  /** The stages a request may use: those of a `local` one are handed nothing that reaches the cloud. */
  readonly stagesFor: (request: ChatRequest) => Stages;
  view(): FleetView;
  /** Requests that wait for a backend. */
  waiting(): number;
  /** Gives a backend nothing new, or takes that back; answers whether there is such a one. */
  setDraining(id: string, isDraining: boolean): boolean;
  /** Ends the backends; what runs on them fails. */
  close(): Promise<void>;
}

/** Joins both tiers; without a cloud there is but one set of stages. */
export function createFleet(
  tiers: { readonly local: readonly TierMember[]; readonly cloud: readonly TierMember[] },
  options: AppOptions,
  retries: RetryBudget,
): Fleet {
  const { local, cloud } = tiers;
  const pools: { readonly local: Pool; readonly cloud: Pool } = {
    local: poolOf(local, options),
    cloud: poolOf(cloud, options),
  };
  const estimator = shippedEstimator();
  const localStages = stagesOver(pools.local, options, retries, local, estimator);
  const allStages =
    cloud.length === 0 ? localStages : stagesOver(tieredPool(pools), options, retries, local, estimator);
  const members = [...local, ...cloud];
  return {
    members,
    stagesFor: (request) => (request.hints.mode === 'local' ? localStages : allStages),
    view: () => allStages.pool.view(),
    waiting: () => pools.local.waiting + pools.cloud.waiting,
    setDraining: (id, isDraining) => pools.local.setDraining(id, isDraining) || pools.cloud.setDraining(id, isDraining),
    async close() {
      await Promise.all(members.map(({ backend }) => backend.close()));
    },
  };
}

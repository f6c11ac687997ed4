import { inOrder } from '../backends/member-order.ts';
import type { Pool } from '../backends/pool.ts';
import { Hedging } from '../pipeline/hedging.ts';
import type { RetryBudget } from '../pipeline/retry.ts';
import { tieredPool } from './tiered-pool.ts';
import type { Backend, FleetView } from '../core/backend.ts';
import type { ChatRequest, Tier } from '../core/request.ts';
import type { AppOptions } from './running-app.ts';
import type { Learning } from './learning.ts';
import type { TierMember } from './local-tier.ts';
import type { Stages } from '../pipeline/attempt.ts';
import { poolOf, stagesOver } from './stages.ts';

/** Everything that answers, behind its pools. */
export interface Fleet {
  /** Everyone in it now, in order of preference. */
  readonly members: readonly TierMember[];
  /** Takes a backend in, or changes how many requests it is given at once. */
  add(backend: Backend, concurrency: number, isFresh?: boolean): void;
  /** Calls whenever a device is left alone for its failures or its slowness. */
  onEjected(run: (id: string, why: string) => void): void;
  /** Gives a backend no more requests; what runs on it goes on. */
  remove(id: string): void;
  /** Puts the backends that are named into this order of preference; the others keep their places. */
  order(ids: readonly string[]): void;
  /** Calls after each change of membership; the returned function stops it. */
  onChange(run: () => void): () => void;
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

/** Joins both tiers; as long as there is no cloud, requests are handed the stages of the local one. */
export function createFleet(
  tiers: { readonly local: readonly TierMember[]; readonly cloud: readonly TierMember[] },
  options: AppOptions,
  retries: RetryBudget,
  learning: Learning,
  random: () => number,
): Fleet {
  const { local, cloud } = tiers;
  let ejected: (id: string, why: string) => void = () => undefined;
  const pools: { readonly local: Pool; readonly cloud: Pool } = {
    local: poolOf(local, options, (id, why) => ejected(id, why)),
    cloud: poolOf(cloud, options),
  };
  const members: Record<Tier, readonly TierMember[]> = { local, cloud };
  const listeners = new Set<() => void>();
  const change = (tier: Tier, next: readonly TierMember[]): void => {
    members[tier] = next;
    for (const listener of listeners) listener();
  };
  const counter = (id: string) => members.local.find(({ backend }) => backend.id === id)?.backend;
  const hedging = new Hedging(() => {
    const { gate, routing } = options.config.current();
    return { ...gate, usdPerSecond: routing.usdPerSecond };
  });
  const localStages = stagesOver(pools.local, options, retries, counter, learning, random);
  const bothStages = stagesOver(tieredPool(pools), options, retries, counter, learning, random, hedging);
  return {
    get members() {
      return [...members.local, ...members.cloud];
    },
    onEjected: (run) => void (ejected = run),
    add(backend, concurrency, isFresh) {
      const { tier } = backend;
      pools[tier].add(backend, concurrency, isFresh);
      change(tier, [...members[tier].filter((member) => member.backend.id !== backend.id), { backend, concurrency }]);
    },
    remove(id) {
      for (const tier of ['local', 'cloud'] as const) {
        if (!members[tier].some(({ backend }) => backend.id === id)) continue;
        pools[tier].remove(id);
        const left = members[tier].filter(({ backend }) => backend.id !== id);
        change(tier, left);
      }
    },
    order(ids) {
      for (const tier of ['local', 'cloud'] as const) {
        pools[tier].order(ids);
        change(
          tier,
          inOrder(members[tier], ids, ({ backend }) => backend.id),
        );
      }
    },
    onChange(run) {
      listeners.add(run);
      return () => void listeners.delete(run);
    },
    stagesFor: (request) => (request.hints.mode === 'local' || members.cloud.length === 0 ? localStages : bothStages),
    view: () => bothStages.pool.view(),
    waiting: () => pools.local.waiting + pools.cloud.waiting,
    setDraining: (id, isDraining) => pools.local.setDraining(id, isDraining) || pools.cloud.setDraining(id, isDraining),
    async close() {
      await Promise.all([...members.local, ...members.cloud].map(({ backend }) => backend.close()));
    },
  };
}

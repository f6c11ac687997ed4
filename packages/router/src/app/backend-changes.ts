import { isDeepStrictEqual } from 'node:util';
import type { BackendConfig } from '../config/config.ts';
import type { Fleet } from './fleet.ts';
import type { TierMember } from './local-tier.ts';
import type { AppOptions } from './running-app.ts';

const lookMs = 250;

/**
 * Takes backends in and lets them go as the configuration in force names them, so that a reload counts at once. What runs
 * on one that was removed goes on; it is closed when the longest answer would be over. Returns the way to stop.
 */
export function followBackends(
  { config, clock, logger: log }: AppOptions,
  fleet: Pick<Fleet, 'members' | 'add' | 'remove' | 'order'>,
  make: (backend: BackendConfig) => TierMember | undefined,
): () => void {
  let seen = config.current().backends;
  let cancel = clock.schedule(lookMs, look);
  return () => cancel();

  function look(): void {
    const { backends, budgets } = config.current();
    if (backends !== seen) {
      const before = new Map(seen.map((backend) => [backend.name, backend]));
      const now = new Map(backends.map((backend) => [backend.name, backend]));
      const isSame = (name: string): boolean => isDeepStrictEqual(before.get(name), now.get(name));
      const closeMs = Math.max(budgets.local.totalMs, budgets.cloud.totalMs);
      for (const name of before.keys()) if (!isSame(name)) letGo(name, closeMs);
      for (const [name, backend] of now) if (!isSame(name)) takeIn(backend);
      fleet.order([...now.keys()]);
      seen = backends;
    }
    cancel = clock.schedule(lookMs, look);
  }

  function takeIn(backend: BackendConfig): void {
    const member = make(backend);
    if (member === undefined) return;
    fleet.add(member.backend, member.concurrency);
    log.info({ backend: backend.name }, 'The backend is in use from now on.');
  }

  function letGo(name: string, closeMs: number): void {
    const member = fleet.members.find(({ backend }) => backend.id === name);
    if (member === undefined) return;
    fleet.remove(name);
    clock.schedule(closeMs, () => void member.backend.close());
    log.info({ backend: name }, 'The backend gets no more requests.');
  }
}

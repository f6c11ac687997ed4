import { isDeepStrictEqual } from 'node:util';
import { cloudPartOf, passesOn } from '../config/backends.ts';
import type { BackendConfig, HttpBackendConfig } from '../config/config.ts';
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
    const { backends: named, budgets } = config.current();
    const backends = withHandedOn(named, fleet.members);
    if (backends !== seen && !isDeepStrictEqual(backends, seen)) {
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
    const passing = fleet.members.find(({ backend: { id } }) => backend.name === `${id}-cloud`)?.backend;
    if ((passing?.handedOn ?? []).length > 0) log.warn(passesOn({ name: passing?.id ?? '' }, backend));
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

/**
 * The backends with those of the cloud tier that local servers turn out to be: models that an entry names, and its server
 * hands on to a cloud.
 */
function withHandedOn(named: readonly BackendConfig[], members: readonly TierMember[]): readonly BackendConfig[] {
  const parts: HttpBackendConfig[] = [];
  for (const backend of named) {
    const { handedOn = [] } = members.find((member) => member.backend.id === backend.name)?.backend ?? {};
    if (handedOn.length === 0 || backend.kind === 'gemini' || backend.tier === 'cloud') continue;
    const part = cloudPartOf(backend, (model) => handedOn.includes(model));
    // Without a name it would offer all that the server lists.
    if (part.models.length > 0) parts.push(part);
  }
  if (parts.length === 0) return named;
  const all = named.map((one) => {
    const part = parts.find(({ name }) => name === one.name);
    return part !== undefined && isSameServer(one, part) ? joined(one, part) : one;
  });
  return [...all, ...parts.filter(({ name }) => !named.some((one) => one.name === name))];
}

function isSameServer(one: BackendConfig, other: HttpBackendConfig): one is HttpBackendConfig {
  return one.kind === other.kind && one.tier === 'cloud' && one.baseUrl === other.baseUrl;
}

function joined(one: HttpBackendConfig, other: HttpBackendConfig): HttpBackendConfig {
  const both = (mine: readonly string[], more: readonly string[]) => [...new Set([...mine, ...more])];
  return {
    ...one,
    models: both(one.models, other.models),
    fallbackModels: both(one.fallbackModels, other.fallbackModels),
    embeddingModels: both(one.embeddingModels, other.embeddingModels),
  };
}

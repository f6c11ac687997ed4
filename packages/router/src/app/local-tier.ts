import type { DeviceBackend } from '../backends/engines/device/device-backend.ts';
import { embeddedBackend } from '../backends/engines/device/embedded-backend.ts';
import { createOpenAiCompatibleBackend } from '../backends/engines/openai-compatible/backend.ts';
import { opaqueIds } from '../backends/opaque-ids.ts';
import { createLocalClient } from '../backends/http/local-client.ts';
import type { Wakes } from '../backends/wake.ts';
import type { Backend } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { HttpBackendConfig, LfoConfig } from '../config/config.ts';
import type { Logger } from '../core/logger.ts';

/** A backend and how many requests it is given at once. */
export interface TierMember {
  readonly backend: Backend;
  readonly concurrency: number;
}

/** The local tier; the embedded model is known apart, since a start waits for it and shows how it comes. */
export interface LocalTier {
  readonly members: readonly TierMember[];
  readonly embedded: DeviceBackend | undefined;
}

export interface LocalTierDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Path of the Node that runs this process; runs the model's child too. */
  readonly execPath: string;
  /** Environment of the child, without any provider's key. */
  readonly childEnv: Readonly<Record<string, string | undefined>>;
  /** Further options of the model's child; tests choose the scripted engine with them. */
  readonly childOptions?: Readonly<Record<string, unknown>>;
  readonly wakes: Wakes;
}

/** Everything that answers on the user's own network: the embedded model, and model servers behind a local client. */
export function createLocalTier(config: LfoConfig, deps: LocalTierDeps): LocalTier {
  const servers = config.backends.flatMap((backend) =>
    backend.kind !== 'gemini' && backend.tier === 'local' ? [backend] : [],
  );
  const members = servers.map((server) => localServer(server, config, deps));
  // One text at a time is read there; its host queues four more.
  if (config.embedded.embeddingModel !== undefined) {
    members.push({ backend: startEmbedded(config, deps, true), concurrency: 4 });
  }
  if (!config.embedded.enabled) return { members, embedded: undefined };
  const embedded = startEmbedded(config, deps, false);
  // Its host queues four more than it has slots; the rest waits here, where it can still go elsewhere.
  return { members: [{ backend: embedded, concurrency: config.embedded.slots }, ...members], embedded };
}

/** A model server behind a client that reaches private addresses alone. */
export function localServer(
  server: HttpBackendConfig,
  config: LfoConfig,
  { clock, wakes }: Pick<LocalTierDeps, 'clock' | 'wakes'>,
): TierMember {
  const origins = [server.baseUrl, ...(server.metricsUrl === undefined ? [] : [server.metricsUrl])];
  const client = createLocalClient({
    backend: server.name,
    origins: new Set(origins.map((url) => new URL(url).origin)),
    clock,
    connectMs: config.budgets.local.connectMs,
  });
  const { limits } = config;
  const opaque = opaqueIds(config.server.authToken);
  const wake = server.kind === 'openai-compatible' ? server.wake : undefined;
  const sleeper = wake === undefined ? {} : { sleeper: wakes.sleeper(() => wake) };
  const backend = createOpenAiCompatibleBackend(server, { client, clock, limits, opaque, ...sleeper });
  return { backend, concurrency: server.concurrency };
}

/** A model in a process of its own, so that none waits for the other's crash or load. */
function startEmbedded(config: LfoConfig, deps: LocalTierDeps, embeds: boolean): DeviceBackend {
  const { clock, log, execPath, childEnv, childOptions } = deps;
  return embeddedBackend({
    id: embeds ? 'embeddings' : 'embedded',
    embeds,
    config: config.embedded,
    offline: config.offline,
    execPath,
    env: childEnv,
    clock,
    onLine: (line) => log.debug({ line }, 'The model process says:'),
    onDown: (detail) => log.warn({ detail }, 'The model process ended; it is started again.'),
    ...(childOptions === undefined ? {} : { childOptions }),
  });
}

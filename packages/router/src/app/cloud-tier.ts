import { createGeminiBackend } from '../backends/engines/gemini/backend.ts';
import { createOpenAiCompatibleBackend } from '../backends/engines/openai-compatible/backend.ts';
import { opaqueIds } from '../backends/opaque-ids.ts';
import { createCloudClient } from '../backends/http/cloud-client.ts';
import { createImageFetch } from '../backends/http/fetch-image.ts';
import type { Clock } from '../core/clock.ts';
import type { BackendConfig, LfoConfig } from '../config/config.ts';
import { BoundedSignatureStore, type SignatureStore } from '../backends/engines/gemini/signature-store.ts';
import type { TierMember } from './local-tier.ts';

export interface CloudTierDeps {
  readonly clock: Clock;
  /** Absent: those of this process alone. */
  readonly signatures?: SignatureStore;
  /** A call left with the sentinel in place of its lost signature. */
  readonly onSentinel: () => void;
}

/**
 * What makes the backends that may leave the user's network, and the only module that can. Nothing is sent before a
 * request that may be answered there. Those of a local tier come to nothing.
 */
export function cloudMaker(config: LfoConfig, deps: CloudTierDeps): (backend: BackendConfig) => TierMember | undefined {
  const { clock, signatures = new BoundedSignatureStore(), onSentinel } = deps;
  const { limits } = config;
  const opaque = opaqueIds(config.server.authToken);
  const images = limits.fetchImages ? { images: createImageFetch({ clock }) } : {};
  return (backend) => {
    if (backend.tier !== 'cloud') return undefined;
    const client = createCloudClient({
      backend: backend.name,
      origins: new Set([new URL(backend.baseUrl).origin]),
      clock,
      connectMs: config.budgets.cloud.connectMs,
    });
    const made =
      backend.kind === 'gemini'
        ? createGeminiBackend(backend, { client, clock, signatures, limits, onSentinel, ...images })
        : createOpenAiCompatibleBackend(backend, { client, clock, limits, opaque });
    return { backend: made, concurrency: backend.concurrency };
  };
}

/** The cloud tier as the configuration names it at the start. */
export function createCloudTier(config: LfoConfig, deps: CloudTierDeps): readonly TierMember[] {
  const make = cloudMaker(config, deps);
  return config.backends.flatMap((backend) => make(backend) ?? []);
}

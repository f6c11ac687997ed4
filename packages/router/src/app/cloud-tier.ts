import { createGeminiBackend } from '../backends/engines/gemini/backend.ts';
import { createOpenAiCompatibleBackend } from '../backends/engines/openai-compatible/backend.ts';
import { opaqueIds } from '../backends/opaque-ids.ts';
import { createCloudClient } from '../backends/http/cloud-client.ts';
import { createImageFetch } from '../backends/http/fetch-image.ts';
import type { Clock } from '../core/clock.ts';
import type { LfoConfig } from '../config/config.ts';
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
 * Everything that may leave the user's network, and the only module that can build it. Nothing is sent before a request
 * that may be answered there.
 */
export function createCloudTier(config: LfoConfig, deps: CloudTierDeps): readonly TierMember[] {
  const { clock, signatures = new BoundedSignatureStore(), onSentinel } = deps;
  const { limits } = config;
  const opaque = opaqueIds(config.server.authToken);
  const images = limits.fetchImages ? { images: createImageFetch({ clock }) } : {};
  return config.backends.flatMap((backend): readonly TierMember[] => {
    if (backend.tier !== 'cloud') return [];
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
    return [{ backend: made, concurrency: backend.concurrency }];
  });
}

import type { LfoConfig } from '../config/config.ts';
import type { AppOptions, HostProcess } from './running-app.ts';
import { unknownBuild } from './state.ts';
import type { RequestSink } from '../core/sink.ts';
import { type Keys, openKeys } from '../keys/open-keys.ts';
import { type Gauged, Metrics } from '../telemetry/metrics.ts';
import type { RouterPeers } from '../records/open-peers.ts';
import { costsInForce } from '../records/costs.ts';
import type { Store } from '../records/tables.ts';
import { openTracing } from '../telemetry/tracing.ts';

/** What operators see and change: keys, metrics and traces. */
export interface Operations extends RequestSink {
  readonly keys: Keys;
  readonly metrics: Metrics;
  /** Ends traces; given up when the signal aborts. */
  closeTracing(signal: AbortSignal): Promise<void>;
}

/** @throws ConfigError where other machines can reach the address and there is no key at all */
export async function openOperations(
  config: LfoConfig,
  options: AppOptions & { readonly peers: RouterPeers; readonly store: Store },
  build: HostProcess['build'] = unknownBuild,
  look: () => Omit<Gauged, 'spans' | 'expiring' | 'limitsStore'>,
): Promise<Operations> {
  const store = config.databaseUrl === undefined ? options.store : undefined;
  const keys = await openKeys(config, { ...options, store, mostUsd: costsInForce(options.config).most });
  const tracing = openTracing(config.telemetry, options.clock, build.version);
  const noSpans = { sent: 0, dropped: 0 };
  const named = {
    ...build,
    // It may be claimed late.
    get router() {
      return options.peers.name;
    },
  };
  const metrics = new Metrics(named, () => ({
    ...look(),
    spans: tracing?.exporter.status() ?? noSpans,
    limitsStore: keys.limitsStore(),
    expiring: keys.ring.expiring(options.clock.wallMs()),
  }));
  return {
    keys,
    metrics,
    settle(ended) {
      for (const { trace, delivery, clientKey } of ended) {
        metrics.observe(trace, delivery.status);
        const key = clientKey === undefined ? 'none' : (keys.ring.find(clientKey)?.name ?? clientKey);
        metrics.used(key, trace, delivery.status);
        tracing?.exporter.add(trace, delivery.status);
      }
    },
    closeTracing: async (signal) => await tracing?.close(signal),
  };
}

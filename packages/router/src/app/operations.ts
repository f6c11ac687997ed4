import type { LfoConfig } from '../config/config.ts';
import type { AppOptions } from './running-app.ts';
import type { RequestTrace } from '../core/trace.ts';
import type { Spent } from '../core/identity.ts';
import { type KeyKeeping, openKeys } from '../keys/open-keys.ts';
import { type Gauged, Metrics } from '../telemetry/metrics.ts';
import { costsOf } from '../records/costs.ts';
import { openTracing } from '../telemetry/tracing.ts';

/** What operators have besides the records: keys, metrics and traces. */
export interface Operations {
  readonly keys: KeyKeeping;
  readonly metrics: Metrics;
  /** Tells metrics and traces of a request that has ended; answers what it used. */
  ended(trace: RequestTrace, status: number): Spent;
  close(): Promise<void>;
}

/** @throws ConfigError where other machines can reach the address and there is no key at all */
export async function openOperations(
  config: LfoConfig,
  options: AppOptions,
  build: { readonly version: string; readonly node: string },
  look: () => Omit<Gauged, 'spans'>,
): Promise<Operations> {
  const keys = await openKeys(config, { ...options, mostUsd: costsOf(config).most });
  const tracing = openTracing(config.telemetry, options.clock, build.version);
  const noSpans = { sent: 0, dropped: 0 };
  const metrics = new Metrics(build, () => ({ ...look(), spans: tracing?.exporter.status() ?? noSpans }));
  return {
    keys,
    metrics,
    ended(trace, status) {
      metrics.observe(trace, status);
      tracing?.exporter.add(trace, status);
      return spentBy(trace);
    },
    async close() {
      await Promise.all([keys.close(), tracing?.close()]);
    },
  };
}

/**
 * What a key pays for a request: the answer as the backend counted it; where it was cut off, what routing took the
 * prompt for, since that was read.
 */
function spentBy({ usage, attempts, promptTokens, costUsd }: RequestTrace): Spent {
  const usd = costUsd ?? 0;
  if (usage !== undefined) {
    const { promptTokens: prompt, completionTokens } = usage;
    return { tokens: prompt + completionTokens, usd, completionTokens };
  }
  const wasRead = attempts.some(({ leasedMs }) => leasedMs !== undefined);
  return { tokens: wasRead ? (promptTokens ?? 0) : 0, usd };
}

import type { Durations, Summary } from '../archive.ts';
import type { Store } from '../tables.ts';
import { Histogram } from './histogram.ts';
import { recordGaps } from './record-gaps.ts';

/** Everything since a moment in one look, out of the roll-ups: their buckets begin at or after it. */
export async function summary(store: Store, sinceMs: number): Promise<Summary> {
  const { db } = store;
  const [sums, bins, gaps] = await Promise.all([
    db
      .selectFrom('rollup_counts')
      .select(({ fn }) => [
        fn.sum<number | null>('requests').as('requests'),
        fn.sum<number | null>('local').as('local'),
        fn.sum<number | null>('cloud').as('cloud'),
        fn.sum<number | null>('failed').as('failed'),
        fn.sum<number | null>('escalated').as('escalated'),
        fn.sum<number | null>('degraded').as('degraded'),
        fn.sum<number | null>('prompt_tokens').as('promptTokens'),
        fn.sum<number | null>('completion_tokens').as('completionTokens'),
        fn.sum<number | null>('cost_usd').as('costUsd'),
        fn.sum<number | null>('cost_avoided_usd').as('costAvoidedUsd'),
      ])
      .where('bucket_ms', '>=', sinceMs)
      .executeTakeFirstOrThrow(),
    db
      .selectFrom('rollup_latency')
      .select(({ fn }) => ['route', 'metric', 'bin', fn.sum<number>('count').as('count')])
      .where('bucket_ms', '>=', sinceMs)
      .groupBy(['route', 'metric', 'bin'])
      .execute(),
    recordGaps(store, sinceMs),
  ]);
  const durations = (route: string, metric: string): Durations => {
    const histogram = new Histogram();
    for (const row of bins) if (row.route === route && row.metric === metric) histogram.add(row.bin, row.count);
    return { p50: histogram.quantileMs(0.5), p95: histogram.quantileMs(0.95), p99: histogram.quantileMs(0.99) };
  };
  const { local, cloud } = sums;
  const answered = (local ?? 0) + (cloud ?? 0);
  return {
    requests: sums.requests ?? 0,
    local: local ?? 0,
    cloud: cloud ?? 0,
    failed: sums.failed ?? 0,
    escalated: sums.escalated ?? 0,
    degraded: sums.degraded ?? 0,
    localShare: answered === 0 ? null : (local ?? 0) / answered,
    promptTokens: sums.promptTokens ?? 0,
    completionTokens: sums.completionTokens ?? 0,
    costUsd: sums.costUsd ?? 0,
    costAvoidedUsd: sums.costAvoidedUsd ?? 0,
    latencyMs: { local: durations('local', 'total'), cloud: durations('cloud', 'total') },
    firstTokenMs: { local: durations('local', 'first_token'), cloud: durations('cloud', 'first_token') },
    gaps,
  };
}

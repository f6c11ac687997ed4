import type { Durations, GroupedSummary, Summary } from '../archive.ts';
import type { UsageDimension } from '../store/usage-roll-up.ts';
import type { Store } from '../tables.ts';
import type { Histogram } from './histogram.ts';
import { recordGaps } from './record-gaps.ts';
import { type Span, type Usage, usageOf } from './usage.ts';

/** Everything in a span of time in one look, and apart for each group of a dimension, the largest first. */
export async function summary(store: Store, span: Span, by?: UsageDimension): Promise<GroupedSummary> {
  const [usage, gaps] = await Promise.all([usageOf(store, span, by), recordGaps(store, span)]);
  const groups = [...usage.groups]
    .map(([key, group]) => ({ key: key === '' ? null : key, ...summaryOf(group) }))
    .toSorted((a, b) => b.requests - a.requests);
  return { ...summaryOf(usage), groups, gaps };
}

function summaryOf(usage: Usage): Summary {
  const { sums } = usage;
  const answered = sums.local + sums.cloud;
  const durations = (metric: 'total' | 'first_token') => ({
    local: durationsOf(usage.histogram('local', metric)),
    cloud: durationsOf(usage.histogram('cloud', metric)),
    escalated: durationsOf(usage.histogram('escalated', metric)),
    all: durationsOf(usage.histogram('all', metric)),
  });
  return {
    requests: sums.requests,
    answered,
    local: sums.local,
    cloud: sums.cloud,
    failed: sums.failed,
    refused: sums.refused,
    left: sums.left_early,
    escalated: sums.escalated,
    degraded: sums.degraded,
    localShare: answered === 0 ? null : sums.local / answered,
    promptTokens: sums.prompt_tokens,
    completionTokens: sums.completion_tokens,
    costUsd: sums.cost_usd,
    savedUsd: sums.cost_avoided_usd,
    escalatedLocalMs: sums.escalated_local_ms,
    predictedWaitMs: sums.predictions === 0 ? null : sums.predicted_wait_ms / sums.predictions,
    waitMs: sums.predictions === 0 ? null : sums.wait_ms / sums.predictions,
    latencyMs: durations('total'),
    firstTokenMs: durations('first_token'),
  };
}

function durationsOf(histogram: Histogram): Durations {
  return { p50: histogram.quantileMs(0.5), p95: histogram.quantileMs(0.95), p99: histogram.quantileMs(0.99) };
}

import { sql } from 'kysely';
import { type Percentiles, type TrendRange, trendRanges, type Trends } from '../history.ts';
import type { Tier } from '../../core/request.ts';
import type { Store } from '../tables.ts';
import { Histogram } from './histogram.ts';
import { recordGaps } from './record-gaps.ts';

interface Steps {
  readonly firstMs: number;
  readonly stepMs: number;
  readonly count: number;
}

/** Everything the charts of one range show, out of the roll-ups; the last step is the one under way. */
export async function trends(store: Store, range: TrendRange, nowMs: number): Promise<Trends> {
  const { spanMs, stepMs } = trendRanges[range];
  const count = spanMs / stepMs;
  const firstMs = (Math.floor(nowMs / stepMs) - count + 1) * stepMs;
  const steps = { firstMs, stepMs, count };
  const [sums, percentiles, gaps] = await Promise.all([
    sumsOf(store, steps),
    percentilesOf(store, steps),
    recordGaps(store, firstMs),
  ]);
  const timesMs = Array.from({ length: count }, (_, index) => firstMs + index * stepMs);
  return { range, stepMs, timesMs, ...sums, ...percentiles, gaps };
}

/** Whole numbers are written into the query: bound ones are fractions to SQLite, which would divide without rounding. */
function stepOf({ firstMs, stepMs }: Steps) {
  return sql<number>`(bucket_ms - ${sql.lit(firstMs)}) / ${sql.lit(stepMs)}`;
}

async function sumsOf({ db }: Store, steps: Steps) {
  const rows = await db
    .selectFrom('rollup_counts')
    .select(({ fn }) => [
      stepOf(steps).as('step'),
      fn.sum<number>('local').as('local'),
      fn.sum<number>('cloud').as('cloud'),
      fn.sum<number>('failed').as('failed'),
      fn.sum<number>('escalated').as('escalated'),
      fn.sum<number>('prompt_tokens').as('promptTokens'),
      fn.sum<number>('completion_tokens').as('completionTokens'),
      fn.sum<number>('cost_usd').as('costUsd'),
      fn.sum<number>('cost_avoided_usd').as('costAvoidedUsd'),
    ])
    .where('bucket_ms', '>=', steps.firstMs)
    .groupBy('step')
    .execute();
  const byStep = new Map(rows.map((row) => [row.step, row]));
  const column = (name: Exclude<keyof (typeof rows)[number], 'step'>): number[] =>
    Array.from({ length: steps.count }, (_, step) => byStep.get(step)?.[name] ?? 0);
  return {
    local: column('local'),
    cloud: column('cloud'),
    failed: column('failed'),
    escalated: column('escalated'),
    promptTokens: column('promptTokens'),
    completionTokens: column('completionTokens'),
    costUsd: column('costUsd'),
    costAvoidedUsd: column('costAvoidedUsd'),
  };
}

/** The histogram of one step: `bin:count bin:count …`, as one text, since a row for each bin would be ten thousands. */
interface StepHistogram {
  readonly step: number;
  readonly route: string;
  readonly metric: string;
  readonly bins: string;
}

/**
 * Text spares sorting for window functions too: 40 ms for a day at 10 requests a second instead of 130. Narrow counts,
 * since PostgreSQL adds wide ones up as decimals.
 */
async function percentilesOf({ db }: Store, steps: Steps) {
  const { rows } = await sql<StepHistogram>`
    select step, route, metric, string_agg(bin || ':' || count, ' ') as bins from (
      select ${stepOf(steps)} as step, route, metric, bin, sum(cast(count as integer)) as count from rollup_latency
      where bucket_ms >= ${steps.firstMs} group by 1, 2, 3, 4
    ) as by_step group by 1, 2, 3`.execute(db);
  const of = (metric: string, tier: Tier): Percentiles => {
    const whole = new Histogram();
    const byStep = new Map<number, Histogram>();
    for (const row of rows) {
      if (row.metric !== metric || row.route !== tier) continue;
      const histogram = new Histogram();
      for (const pair of row.bins.split(' ')) {
        const [bin, count] = pair.split(':');
        histogram.add(Number(bin), Number(count));
        whole.add(Number(bin), Number(count));
      }
      byStep.set(row.step, histogram);
    }
    const series = (share: number) =>
      Array.from({ length: steps.count }, (_, step) => byStep.get(step)?.quantileMs(share) ?? null);
    return {
      p50: series(0.5),
      p95: series(0.95),
      all: { p50: whole.quantileMs(0.5), p95: whole.quantileMs(0.95) },
    };
  };
  return {
    latency: { local: of('total', 'local'), cloud: of('total', 'cloud') },
    firstToken: { local: of('first_token', 'local'), cloud: of('first_token', 'cloud') },
  };
}

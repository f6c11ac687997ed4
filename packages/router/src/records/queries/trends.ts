import { sql } from 'kysely';
import { type Percentiles, type TrendRange, trendRanges, type Trends } from '../../core/history.ts';
import type { Tier } from '../../core/request.ts';
import type { Store } from '../../core/store.ts';
import { binMiddleMs } from './latency-bins.ts';

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
  const [sums, percentiles] = await Promise.all([sumsOf(store, steps), percentilesOf(store, steps)]);
  const timesMs = Array.from({ length: count }, (_, index) => firstMs + index * stepMs);
  return { range, stepMs, timesMs, ...sums, ...percentiles };
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

/** Percentiles of one histogram; `step` is `wholeRange` for that of all steps together. */
interface StepPercentiles {
  readonly step: number;
  readonly route: string;
  readonly metric: string;
  readonly p50: number;
  readonly p95: number;
}

const wholeRange = -1;

/** Adds up the histograms and reads the percentiles off them in the database, which returns a few numbers a step. */
async function percentilesOf({ db }: Store, steps: Steps) {
  const { rows } = await sql<StepPercentiles>`
    with by_step as (
      select ${stepOf(steps)} as step, route, metric, bin, sum(count) as count from rollup_latency
      where bucket_ms >= ${steps.firstMs} group by 1, 2, 3, 4
    ), bins as (
      select step, route, metric, bin, count from by_step
      union all select ${sql.lit(wholeRange)}, route, metric, bin, sum(count) from by_step group by 2, 3, 4
    ), running as (
      select step, route, metric, bin,
        sum(count) over (partition by step, route, metric order by bin) as seen,
        sum(count) over (partition by step, route, metric) as total
      from bins
    )
    select step, route, metric,
      min(case when seen >= total * 0.5 then bin end) as p50,
      min(case when seen >= total * 0.95 then bin end) as p95
    from running group by step, route, metric`.execute(db);
  const of = (metric: string, tier: Tier): Percentiles => {
    const found = new Map(
      rows.filter((row) => row.metric === metric && row.route === tier).map((row) => [row.step, row]),
    );
    const at = (step: number, share: 'p50' | 'p95'): number | null => binMiddleMs(found.get(step)?.[share]);
    const series = (share: 'p50' | 'p95') => Array.from({ length: steps.count }, (_, step) => at(step, share));
    return {
      p50: series('p50'),
      p95: series('p95'),
      all: { p50: at(wholeRange, 'p50'), p95: at(wholeRange, 'p95') },
    };
  };
  return {
    latency: { local: of('total', 'local'), cloud: of('total', 'cloud') },
    firstToken: { local: of('first_token', 'local'), cloud: of('first_token', 'cloud') },
  };
}

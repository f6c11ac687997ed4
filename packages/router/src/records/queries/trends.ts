import { sql } from 'kysely';
import type { Percentiles, TrendQuery, Trends } from '../history.ts';
import type { UsageCount } from '../store/usage-roll-up.ts';
import type { Store } from '../tables.ts';
import { bucketStages } from '../compact-rollups.ts';
import { Histogram } from './histogram.ts';
import { recordGaps } from './record-gaps.ts';

interface Steps {
  readonly firstMs: number;
  readonly stepMs: number;
  readonly count: number;
}

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
const niceStepsMs = [1, 5, 15, 30, 60, 120, 480, 1_440].map((minutes) => minutes * minuteMs);
/** As many as can be told apart on a laptop's screen. */
const mostSteps = 72;

/** Everything the charts of one span show, out of the roll-ups; the last step may be under way. */
export async function trends(store: Store, query: TrendQuery, nowMs: number): Promise<Trends> {
  const steps = stepsOf(query, nowMs);
  const { firstMs, stepMs, count } = steps;
  const [sums, percentiles, gaps, marks] = await Promise.all([
    sumsOf(store, steps, query),
    percentilesOf(store, steps, query),
    recordGaps(store, { fromMs: firstMs, untilMs: firstMs + count * stepMs }),
    marksOf(store, query),
  ]);
  const timesMs = Array.from({ length: count }, (_, index) => firstMs + index * stepMs);
  return { stepMs, timesMs, ...sums, ...percentiles, gaps, marks };
}

function stepsOf({ fromMs, untilMs, stepMs: wanted }: TrendQuery, nowMs: number): Steps {
  const spanMs = Math.max(minuteMs, untilMs - fromMs);
  // No step is shorter than the buckets that the oldest of them is made of.
  const shortest = bucketStages.findLast(({ ageMs }) => nowMs - fromMs > ageMs)?.bucketMs ?? minuteMs;
  const fitting = niceStepsMs.find((step) => step >= shortest && spanMs / step <= mostSteps) ?? dayMs;
  const stepMs = wanted ?? fitting;
  const last = Math.floor((untilMs - 1) / stepMs);
  // A named range is its latest steps; any other lies within its steps with both ends.
  const first = wanted === undefined ? Math.floor(fromMs / stepMs) : last - Math.ceil(spanMs / stepMs) + 1;
  const count = Math.min(2_000, Math.max(1, last - first + 1));
  return { firstMs: (last - count + 1) * stepMs, stepMs, count };
}

/** Whole numbers are written into the query: bound ones are fractions to SQLite, which would divide without rounding. */
function stepOf({ firstMs, stepMs }: Steps) {
  return sql<number>`(bucket_ms - ${sql.lit(firstMs)}) / ${sql.lit(stepMs)}`;
}

/** The buckets of the steps, of those the query asks for. */
function within({ firstMs, stepMs, count }: Steps, { clientKey, model }: TrendQuery) {
  const conditions = [
    sql`bucket_ms >= ${firstMs} and bucket_ms < ${firstMs + count * stepMs}`,
    ...(clientKey === undefined ? [] : [sql`client_key = ${clientKey}`]),
    ...(model === undefined ? [] : [sql`model = ${model}`]),
  ];
  return sql<boolean>`${sql.join(conditions, sql` and `)}`;
}

async function sumsOf({ db }: Store, steps: Steps, query: TrendQuery) {
  const rows = await db
    .selectFrom('usage_counts')
    .select(({ fn }) => [
      stepOf(steps).as('step'),
      fn.sum<number>('local').as('local'),
      fn.sum<number>('cloud').as('cloud'),
      fn.sum<number>('failed').as('failed'),
      fn.sum<number>('refused').as('refused'),
      fn.sum<number>('left_early').as('left_early'),
      fn.sum<number>('escalated').as('escalated'),
      fn.sum<number>('prompt_tokens').as('prompt_tokens'),
      fn.sum<number>('completion_tokens').as('completion_tokens'),
      fn.sum<number>('cost_usd').as('cost_usd'),
      fn.sum<number>('cost_avoided_usd').as('cost_avoided_usd'),
      fn.sum<number>('escalated_local_ms').as('escalated_local_ms'),
      fn.sum<number>('predictions').as('predictions'),
      fn.sum<number>('predicted_wait_ms').as('predicted_wait_ms'),
      fn.sum<number>('wait_ms').as('wait_ms'),
    ])
    .where(within(steps, query))
    .groupBy('step')
    .execute();
  const byStep = new Map(rows.map((row) => [row.step, row]));
  const column = (name: Exclude<UsageCount, 'requests' | 'degraded'>): number[] =>
    Array.from({ length: steps.count }, (_, step) => byStep.get(step)?.[name] ?? 0);
  const predictions = column('predictions');
  const meanOf = (sums: readonly number[]) =>
    sums.map((sum, step) => {
      const count = predictions[step] ?? 0;
      return count === 0 ? null : sum / count;
    });
  return {
    local: column('local'),
    cloud: column('cloud'),
    failed: column('failed'),
    refused: column('refused'),
    left: column('left_early'),
    escalated: column('escalated'),
    promptTokens: column('prompt_tokens'),
    completionTokens: column('completion_tokens'),
    costUsd: column('cost_usd'),
    savedUsd: column('cost_avoided_usd'),
    escalatedLocalMs: column('escalated_local_ms'),
    predictedWaitMs: meanOf(column('predicted_wait_ms')),
    waitMs: meanOf(column('wait_ms')),
  };
}

/** The histogram of one step: `bin:count bin:count …`, as one text, since a row for each bin would be ten thousands. */
interface StepHistogram {
  readonly step: number;
  readonly series: string;
  readonly metric: string;
  readonly bins: string;
}

/**
 * Text spares sorting for window functions too: 40 ms for a day at 10 requests a second instead of 130. Narrow counts,
 * since PostgreSQL adds wide ones up as decimals.
 */
async function percentilesOf({ db }: Store, steps: Steps, query: TrendQuery) {
  const { rows } = await sql<StepHistogram>`
    select step, series, metric, string_agg(bin || ':' || count, ' ') as bins from (
      select ${stepOf(steps)} as step, series, metric, bin, sum(cast(count as integer)) as count from usage_latency
      where ${within(steps, query)} group by 1, 2, 3, 4
    ) as by_step group by 1, 2, 3`.execute(db);
  const of = (metric: string, series: string): Percentiles => {
    const whole = new Histogram();
    const byStep = new Map<number, Histogram>();
    for (const row of rows) {
      if (row.metric !== metric || row.series !== series) continue;
      const histogram = new Histogram();
      for (const pair of row.bins.split(' ')) {
        const [bin, count] = pair.split(':');
        histogram.add(Number(bin), Number(count));
        whole.add(Number(bin), Number(count));
      }
      byStep.set(row.step, histogram);
    }
    const quantiles = (share: number) =>
      Array.from({ length: steps.count }, (_, step) => byStep.get(step)?.quantileMs(share) ?? null);
    return {
      p50: quantiles(0.5),
      p95: quantiles(0.95),
      all: { p50: whole.quantileMs(0.5), p95: whole.quantileMs(0.95) },
    };
  };
  const all = (metric: string) => ({
    local: of(metric, 'local'),
    cloud: of(metric, 'cloud'),
    escalated: of(metric, 'escalated'),
  });
  return { latency: all('total'), firstToken: all('first_token') };
}

/** Shown at most. */
const mostMarks = 100;

async function marksOf({ db }: Store, { fromMs, untilMs }: TrendQuery): Promise<Trends['marks']> {
  const rows = await db
    .selectFrom('router_events')
    .select(['time_ms as timeMs', 'kind', 'router', 'detail'])
    .where('time_ms', '>=', fromMs)
    .where('time_ms', '<', untilMs)
    .orderBy('time_ms', 'desc')
    .limit(mostMarks)
    .execute();
  return rows.toReversed();
}

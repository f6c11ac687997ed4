import { sql } from 'kysely';
import { type Percentiles, type TrendRange, trendRanges, type Trends } from '../../core/history.ts';
import type { Tier } from '../../core/request.ts';
import type { Store } from '../../core/store.ts';
import { type BinCount, binsPerLog, quantile } from './latency-bins.ts';

interface Steps {
  readonly firstMs: number;
  readonly stepMs: number;
  readonly count: number;
}

/** Everything the charts of one range show; the last step is the one under way. */
export async function trends(store: Store, range: TrendRange, nowMs: number): Promise<Trends> {
  const { spanMs, stepMs } = trendRanges[range];
  const count = spanMs / stepMs;
  const firstMs = (Math.floor(nowMs / stepMs) - count + 1) * stepMs;
  const steps = { firstMs, stepMs, count };
  const [sums, latency, firstToken] = await Promise.all([
    sumsOf(store, steps),
    percentilesOf(store, steps, 'total_ms'),
    percentilesOf(store, steps, 'first_token_ms'),
  ]);
  const timesMs = Array.from({ length: count }, (_, index) => firstMs + index * stepMs);
  return { range, stepMs, timesMs, ...sums, latency, firstToken };
}

/** Whole numbers are written into the query: bound ones are fractions to SQLite, which would divide without rounding. */
function stepOf({ firstMs, stepMs }: Steps) {
  return sql<number>`(time_ms - ${sql.lit(firstMs)}) / ${sql.lit(stepMs)}`;
}

async function sumsOf({ db }: Store, steps: Steps) {
  const answered = sql`finish_reason is not null`;
  const rows = await db
    .selectFrom('requests')
    .select([
      stepOf(steps).as('step'),
      sql<number>`sum(case when ${answered} and route = 'local' then 1 else 0 end)`.as('local'),
      sql<number>`sum(case when ${answered} and route = 'cloud' then 1 else 0 end)`.as('cloud'),
      sql<number>`sum(case when ${answered} or status = 499 then 0 else 1 end)`.as('failed'),
      sql<number>`sum(case when ${answered} and route = 'cloud' and local_ms is not null then 1 else 0 end)`.as('escalated'),
      sql<number>`coalesce(sum(prompt_tokens), 0)`.as('promptTokens'),
      sql<number>`coalesce(sum(completion_tokens), 0)`.as('completionTokens'),
      sql<number>`coalesce(sum(cost_usd), 0)`.as('costUsd'),
      sql<number>`coalesce(sum(cost_avoided_usd), 0)`.as('costAvoidedUsd'),
    ])
    .where('time_ms', '>=', steps.firstMs)
    .groupBy('step')
    .execute();
  const byStep = new Map(rows.map((row) => [Number(row.step), row]));
  const column = (name: Exclude<keyof (typeof rows)[number], 'step'>): number[] =>
    Array.from({ length: steps.count }, (_, step) => Number(byStep.get(step)?.[name] ?? 0));
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

async function percentilesOf(
  { db }: Store,
  steps: Steps,
  column: 'total_ms' | 'first_token_ms',
): Promise<Readonly<Record<Tier, Percentiles>>> {
  const duration = sql.ref(column);
  const logarithm = sql`ln(case when ${duration} < 1 then 1 else ${duration} end)`;
  const rows = await db
    .selectFrom('requests')
    .select([
      stepOf(steps).as('step'),
      'route',
      sql<number>`floor(${logarithm} * ${sql.lit(binsPerLog)})`.as('bin'),
      ({ fn }) => fn.countAll().as('count'),
    ])
    .where('time_ms', '>=', steps.firstMs)
    .where('finish_reason', 'is not', null)
    .where(column, 'is not', null)
    .groupBy(['step', 'route', 'bin'])
    .execute();
  const of = (tier: Tier): Percentiles => {
    const bins = rows.filter(({ route }) => route === tier).map((row) => binOf(row));
    const perStep = Map.groupBy(bins, ({ step }) => step);
    const quantiles = (share: number) =>
      Array.from({ length: steps.count }, (_, step) => quantile(perStep.get(step) ?? [], share));
    const all = { p50: quantile(merged(bins), 0.5), p95: quantile(merged(bins), 0.95) };
    return { p50: quantiles(0.5), p95: quantiles(0.95), all };
  };
  return { local: of('local'), cloud: of('cloud') };
}

function binOf(row: { step: number; bin: number; count: number | string | bigint }) {
  return { step: Number(row.step), bin: Number(row.bin), count: Number(row.count) };
}

function merged(bins: readonly BinCount[]): BinCount[] {
  const counts = new Map<number, number>();
  for (const { bin, count } of bins) counts.set(bin, (counts.get(bin) ?? 0) + count);
  return Array.from(counts, ([bin, count]) => ({ bin, count }));
}

import { sql } from 'kysely';
import {
  noUsage,
  countsOf,
  durationsOf,
  usageCounts,
  type UsageCount,
  type UsageDimension,
  usageDimensions,
} from '../store/usage-roll-up.ts';
import type { Store } from '../tables.ts';
import { Histogram } from './histogram.ts';

/** Sums over some requests. */
export type UsageSums = Readonly<Record<UsageCount, number>>;

/** How long answers took: `cloud` are those that it gave at once. */
export type UsageSeries = 'local' | 'cloud' | 'escalated' | 'all';

/** Some requests of a span of time. */
export interface Usage {
  readonly sums: UsageSums;
  histogram(series: UsageSeries, metric: 'total' | 'first_token'): Histogram;
}

/** All requests of a span of time, and those of each group; the key of a group is empty where a request has none. */
export interface GroupedUsage extends Usage {
  readonly groups: ReadonlyMap<string, Usage>;
}

/** Which time, to the millisecond. */
export interface Span {
  readonly fromMs: number;
  /** Exclusive; absent: up to now. */
  readonly untilMs?: number;
  /** Of one key or model alone. */
  readonly clientKey?: string;
  readonly model?: string;
}

const countNames = Object.keys(usageCounts).filter((name): name is UsageCount => Object.hasOwn(usageCounts, name));

/**
 * What happened in a span of time, out of the roll-ups, whose buckets begin at full minutes or later; at both ends of
 * the span the rows of requests stand in for the buckets that reach beyond it.
 */
export async function usageOf(store: Store, span: Span, by?: UsageDimension): Promise<GroupedUsage> {
  const sources = await sourcesOf(store, span);
  const only = onlyOf(span);
  const group = by === undefined ? sql.raw("''") : sql.ref(by);
  const sums = countNames.map((name) => sql`sum(${sql.ref(name)}) as ${sql.ref(name)}`);
  const counted = sources.map(({ counts }) => sql`select * from (${counts}) as part`);
  const binned = sources.map(({ bins }) => sql`select * from (${bins}) as part`);
  const [counts, bins] = await Promise.all([
    sql<Readonly<Record<UsageCount, number>> & { readonly group_key: string }>`
      select ${group} as group_key, ${sql.join(sums)} from (${sql.join(counted, sql` union all `)}) as counted
      where ${only} group by 1 order by 1`.execute(store.db),
    sql<{ group_key: string; series: string; metric: string; bin: number; count: number }>`
      select ${group} as group_key, series, metric, bin, sum(count) as count
      from (${sql.join(binned, sql` union all `)}) as binned where ${only} group by 1, 2, 3, 4`.execute(store.db),
  ]);
  const all = new Counted();
  const groups = new Map<string, Counted>();
  for (const row of counts.rows) {
    const one = new Counted();
    groups.set(row.group_key, one);
    for (const each of [one, all]) each.add(row);
  }
  for (const row of bins.rows) {
    for (const each of [groups.get(row.group_key), all]) each?.addBin(row);
  }
  return {
    sums: all.sums,
    histogram: (series, metric) => all.histogram(series, metric),
    groups: by === undefined ? new Map() : groups,
  };
}

function onlyOf({ clientKey, model }: Span) {
  const asked = [
    ...(clientKey === undefined ? [] : [sql<boolean>`client_key = ${clientKey}`]),
    ...(model === undefined ? [] : [sql<boolean>`model = ${model}`]),
  ];
  return asked.length === 0 ? sql<boolean>`1 = 1` : sql<boolean>`${sql.join(asked, sql` and `)}`;
}

class Counted implements Usage {
  readonly sums: Record<UsageCount, number> = { ...noUsage };
  readonly #histograms = new Map<string, Histogram>();

  add(row: UsageSums): void {
    for (const name of countNames) this.sums[name] += row[name];
  }

  addBin(row: {
    readonly series: string;
    readonly metric: string;
    readonly bin: number;
    readonly count: number;
  }): void {
    for (const series of [row.series, 'all']) this.#of(series, row.metric).add(row.bin, row.count);
  }

  histogram(series: UsageSeries, metric: 'total' | 'first_token'): Histogram {
    return this.#of(series, metric);
  }

  #of(series: string, metric: string): Histogram {
    const name = `${series} ${metric}`;
    const known = this.#histograms.get(name) ?? new Histogram();
    this.#histograms.set(name, known);
    return known;
  }
}

/** Later than any request. */
const never = Number.MAX_SAFE_INTEGER;

/** Queries with the columns of the roll-ups that together are the span. */
async function sourcesOf({ db }: Store, { fromMs, untilMs = never }: Span) {
  const { first, last } = await db
    .selectFrom('usage_counts')
    .select(({ fn }) => [fn.min<number | null>('bucket_ms').as('first'), fn.max<number | null>('bucket_ms').as('last')])
    .where('bucket_ms', '>=', fromMs)
    .where('bucket_ms', '<', untilMs)
    .executeTakeFirstOrThrow();
  const fromBucket = first ?? untilMs;
  // The last bucket that begins within the span may reach beyond its end.
  const untilBucket = untilMs === never ? never : (last ?? untilMs);
  const keys = sql.raw(['bucket_ms', ...usageDimensions].join(', '));
  const whole = sql`bucket_ms >= ${fromBucket} and bucket_ms < ${untilBucket}`;
  const rolledUp = {
    counts: sql`select ${keys}, ${sql.raw(countNames.join(', '))} from usage_counts where ${whole}`,
    bins: sql`select ${keys}, series, metric, bin, count from usage_latency where ${whole}`,
  };
  return [rolledUp, rowsOf(fromMs, fromBucket), ...(untilBucket < untilMs ? [rowsOf(untilBucket, untilMs)] : [])];
}

/** The same columns out of the rows themselves. Numbers of ours are written out: the SQL of the roll-ups is text. */
function rowsOf(fromMs: number, untilMs: number) {
  const rows = `(select * from requests where time_ms >= ${Math.floor(fromMs)} and time_ms < ${Math.floor(untilMs)})`;
  const bins = durationsOf(rows).map((durations) => `select * from (${durations}) as durations`);
  return { counts: sql.raw(countsOf(rows)), bins: sql.raw(bins.join(' union all ')) };
}

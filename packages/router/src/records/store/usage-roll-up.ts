/**
 * The SQL by which requests are counted: per key, model, backend and device in buckets of time, with histograms of their
 * durations. Every request is exactly one of local, cloud, failed, refused and left.
 */

/** Who and what a bucket is about; an empty text where a request has none. */
export const usageDimensions = ['client_key', 'model', 'backend', 'device'] as const;

export type UsageDimension = (typeof usageDimensions)[number];

/** What the roll-ups read of a row. */
export const usageColumns = [
  'time_ms',
  'client_key',
  'model',
  'backend',
  'device',
  'route',
  'status',
  'turned_away',
  'degraded',
  'local_ms',
  'finish_reason',
  'prompt_tokens',
  'completion_tokens',
  'cost_usd',
  'cost_avoided_usd',
  'total_ms',
  'first_token_ms',
  'predicted_wait_ms',
  'wait_ms',
] as const;

const bucket = 'time_ms - time_ms % 60000';
/** `coalesce` keeps SQLite from reading all rows of a route by their index where a span of time is asked for. */
const answered = "status <> 499 and finish_reason is not null and coalesce(route, '') in ('local', 'cloud')";
const answeredBy = (route: string): string => `${answered} and route = '${route}'`;
/** Answered by the cloud after a local attempt. */
const escalated = `${answeredBy('cloud')} and local_ms is not null`;
const refused = 'status <> 499 and turned_away = 1 and status < 500';
const predicted = 'predicted_wait_ms is not null and wait_ms is not null';

/** Sums of one bucket, each by its SQL. */
export const usageCounts = {
  requests: 'count(*)',
  local: counting(answeredBy('local')),
  cloud: counting(answeredBy('cloud')),
  failed: counting(`status <> 499 and not (${refused}) and (finish_reason is null or route is null)`),
  refused: counting(refused),
  left_early: counting('status = 499'),
  escalated: counting(escalated),
  degraded: counting(`${answeredBy('local')} and degraded = 1`),
  prompt_tokens: summing('prompt_tokens'),
  completion_tokens: summing('completion_tokens'),
  cost_usd: summing('cost_usd'),
  cost_avoided_usd: summing('cost_avoided_usd'),
  escalated_local_ms: `coalesce(sum(case when ${escalated} then local_ms else 0 end), 0)`,
  predictions: counting(predicted),
  predicted_wait_ms: `coalesce(sum(case when ${predicted} then predicted_wait_ms else 0 end), 0)`,
  wait_ms: `coalesce(sum(case when ${predicted} then wait_ms else 0 end), 0)`,
} as const;

export type UsageCount = keyof typeof usageCounts;

/** A bucket in which nothing was asked. */
export const noUsage: Readonly<Record<UsageCount, number>> = {
  requests: 0,
  local: 0,
  cloud: 0,
  failed: 0,
  refused: 0,
  left_early: 0,
  escalated: 0,
  degraded: 0,
  prompt_tokens: 0,
  completion_tokens: 0,
  cost_usd: 0,
  cost_avoided_usd: 0,
  escalated_local_ms: 0,
  predictions: 0,
  predicted_wait_ms: 0,
  wait_ms: 0,
};

/** Sums of one bucket that are no whole numbers. */
export const fractionalCounts: ReadonlySet<UsageCount> = new Set([
  'cost_usd',
  'cost_avoided_usd',
  'escalated_local_ms',
  'predicted_wait_ms',
  'wait_ms',
]);

const dimensions = usageDimensions.map((name) => `coalesce(${name}, '') as ${name}`).join(', ');
const names = Object.keys(usageCounts);
/** In order of their keys, so that two routers cannot block each other. */
const byKey = '1, 2, 3, 4, 5';

/** A bucket a row, of the rows of a table or query. */
export function countsOf(source: string): string {
  const sums = Object.entries(usageCounts).map(([name, sum]) => `${sum} as ${name}`);
  return `select ${bucket} as bucket_ms, ${dimensions}, ${sums.join(', ')} from ${source} as r where true group by ${byKey}`;
}

/** Seven bins a doubling: 7 / ln 2. */
const binsPerLog = 10.098865286222745;
const series = `case when ${escalated} then 'escalated' else route end`;

/** One row a bin of a bucket's histograms: `series` is local, cloud (answered there at once) or escalated. */
export function durationsOf(source: string): readonly string[] {
  return [binned(source, 'total_ms', 'total'), binned(source, 'first_token_ms', 'first_token')];
}

function binned(source: string, column: string, metric: string): string {
  const bin = `cast(floor(ln(case when ${column} < 1 then 1 else ${column} end) * ${binsPerLog}) as integer)`;
  return `select ${bucket} as bucket_ms, ${dimensions}, ${series} as series, '${metric}' as metric, ${bin} as bin, count(*) as count
     from ${source} as r where ${answered} and ${column} is not null group by ${byKey}, 6, 8`;
}

/** Statements that add the rows of a table or query to the roll-ups. */
export function rollUp(source: string): readonly string[] {
  const keys = ['bucket_ms', ...usageDimensions];
  const add = names.map((name) => `${name} = usage_counts.${name} + excluded.${name}`);
  const bins = [...keys, 'series', 'metric', 'bin'];
  return [
    `insert into usage_counts (${[...keys, ...names].join(', ')})
     ${countsOf(source)} order by ${byKey}
     on conflict (${keys.join(', ')}) do update set ${add.join(', ')}`,
    ...durationsOf(source).map(
      (durations) => `insert into usage_latency (${bins.join(', ')}, count)
     ${durations} order by ${byKey}, 6, 8
     on conflict (${bins.join(', ')}) do update set count = usage_latency.count + excluded.count`,
    ),
  ];
}

function counting(condition: string): string {
  return `sum(case when ${condition} then 1 else 0 end)`;
}

function summing(column: string): string {
  return `coalesce(sum(${column}), 0)`;
}

import { type Kysely, sql } from 'kysely';
import { isPostgres } from './postgres-dialect.ts';
import type { RollUpSql } from './sqlite-connection.ts';
import { rollUp as usageRollUp, usageColumns } from './usage-roll-up.ts';

/**
 * From now on SQLite's trigger leaves the rows of a batch to whoever adds them, and counts those of releases that know
 * nothing of this. PostgreSQL's works by the statement anyway.
 */
export async function letBatchesRollUp<T>(db: Kysely<T>): Promise<void> {
  if (isPostgres(db)) return;
  await sql.raw('create table roll_up_by_batch (batch integer not null)').execute(db);
  await sql.raw('drop trigger requests_usage').execute(db);
  await addUsageTrigger(db, 'when not exists (select 1 from roll_up_by_batch)');
}

/**
 * Keeps what `usage-roll-up.ts` counts by minute with triggers: in the transaction that adds the rows, so the counts are
 * exact after a crash, a batch sent twice or with several routers. Old buckets are merged into longer ones by the upkeep.
 */
export async function addUsageTriggers<T>(db: Kysely<T>): Promise<void> {
  if (!isPostgres(db)) return await addUsageTrigger(db);
  const body = usageRollUp('added').join(';\n');
  await sql
    .raw(`create function lfo_usage() returns trigger language plpgsql as $$ begin\n${body};\nreturn null;\nend $$`)
    .execute(db);
  await sql
    .raw(
      'create trigger requests_usage after insert on requests referencing new table as added ' +
        'for each statement execute function lfo_usage()',
    )
    .execute(db);
}

async function addUsageTrigger<T>(db: Kysely<T>, condition = ''): Promise<void> {
  const row = `(select ${usageColumns.map((column) => `new.${column} as ${column}`).join(', ')})`;
  const body = usageRollUp(row).join(';\n');
  await sql.raw(`create trigger requests_usage after insert on requests ${condition} begin\n${body};\nend`).execute(db);
}

/** The triggers of the first step of the schema; the third puts those of `addUsageTriggers` in their place. */
export async function addRollUpTriggers<T>(db: Kysely<T>): Promise<void> {
  if (isPostgres(db)) await addPostgresTrigger(db);
  else await addSqliteTrigger(db);
}

async function addSqliteTrigger<T>(db: Kysely<T>): Promise<void> {
  const row = `(select ${columns.map((column) => `new.${column} as ${column}`).join(', ')})`;
  const body = rollUp(row).join(';\n');
  await sql.raw(`create trigger requests_roll_up after insert on requests begin\n${body};\nend`).execute(db);
}

async function addPostgresTrigger<T>(db: Kysely<T>): Promise<void> {
  const body = rollUp('added').join(';\n');
  await sql
    .raw(`create function lfo_roll_up() returns trigger language plpgsql as $$ begin\n${body};\nreturn null;\nend $$`)
    .execute(db);
  await sql
    .raw(
      'create trigger requests_roll_up after insert on requests referencing new table as added ' +
        'for each statement execute function lfo_roll_up()',
    )
    .execute(db);
}

/** What the roll-ups read of a row. */
const columns = [
  'time_ms',
  'route',
  'status',
  'degraded',
  'local_ms',
  'finish_reason',
  'prompt_tokens',
  'completion_tokens',
  'cost_usd',
  'cost_avoided_usd',
  'total_ms',
  'first_token_ms',
];

const bucket = 'time_ms - time_ms % 60000';
const answered = 'finish_reason is not null';
const counts: Readonly<Record<string, string>> = {
  requests: 'count(*)',
  local: counting(`${answered} and route = 'local'`),
  cloud: counting(`${answered} and route = 'cloud'`),
  failed: counting('finish_reason is null and status <> 499'),
  escalated: counting(`${answered} and route = 'cloud' and local_ms is not null`),
  degraded: 'sum(degraded)',
  prompt_tokens: 'coalesce(sum(prompt_tokens), 0)',
  completion_tokens: 'coalesce(sum(completion_tokens), 0)',
  cost_usd: 'coalesce(sum(cost_usd), 0)',
  cost_avoided_usd: 'coalesce(sum(cost_avoided_usd), 0)',
};

function counting(condition: string): string {
  return `sum(case when ${condition} then 1 else 0 end)`;
}

/** Statements that add the rows of a table; in order of their keys, so that two routers cannot block each other. */
function rollUp(source: string): readonly string[] {
  const names = Object.keys(counts);
  const add = names.map((name) => `${name} = rollup_counts.${name} + excluded.${name}`);
  return [
    `insert into rollup_counts (bucket_ms, ${names.join(', ')})
     select ${bucket}, ${Object.values(counts).join(', ')} from ${source} as r where true group by 1 order by 1
     on conflict (bucket_ms) do update set ${add.join(', ')}`,
    latency(source, 'total_ms', 'total'),
    latency(source, 'first_token_ms', 'first_token'),
  ];
}

/** Seven bins a doubling: 7 / ln 2. */
const binsPerLog = 10.098865286222745;

function latency(source: string, column: string, metric: string): string {
  const bin = `cast(floor(ln(case when ${column} < 1 then 1 else ${column} end) * ${binsPerLog}) as integer)`;
  return `insert into rollup_latency (bucket_ms, route, metric, bin, count)
     select ${bucket}, route, '${metric}', ${bin}, count(*) from ${source} as r
     where ${answered} and route is not null and ${column} is not null group by 1, 2, 4 order by 1, 2, 4
     on conflict (bucket_ms, route, metric, bin) do update set count = rollup_latency.count + excluded.count`;
}

/**
 * What a batch of rows does to the roll-ups, where the trigger has been told to leave it alone: once for all that was
 * added since the row id in `?1`, in the same transaction. A batch sent again adds no row, and so counts nothing.
 */
export const batchRollUp: RollUpSql = {
  /** Silences the trigger of this transaction; others do not see it. */
  begin: 'insert into roll_up_by_batch (batch) values (1)',
  lastRow: 'select coalesce(max(rowid), 0) as last from requests',
  statements: usageRollUp('(select * from requests where rowid > ?1)'),
  end: 'delete from roll_up_by_batch',
};

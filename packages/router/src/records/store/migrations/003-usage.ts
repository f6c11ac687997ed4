import { type Kysely, sql } from 'kysely';
import { isPostgres } from '../postgres-dialect.ts';
import { addUsageTriggers } from '../roll-up-triggers.ts';
import { fractionalCounts, type UsageCount, usageCounts, usageDimensions } from '../usage-roll-up.ts';

/**
 * Requests by key, model, backend and device in the roll-ups, requests that were turned away, and where a request came
 * from and went; what operators changed while LFO ran. The roll-ups of before are taken over; their tables are left as
 * they were.
 */
export async function usage<T>(db: Kysely<T>): Promise<void> {
  await addColumns(db);
  await createUsage(db);
  await createChanges(db);
  await takeOver(db);
  await dropOldTriggers(db);
  await addUsageTriggers(db);
}

async function addColumns<T>(db: Kysely<T>): Promise<void> {
  for (const column of ['device', 'router', 'dialect', 'path'] as const) {
    await db.schema.alterTable('requests').addColumn(column, 'text').execute();
  }
  await db.schema.alterTable('requests').addColumn('tools', 'integer').execute();
  await db.schema
    .alterTable('requests')
    .addColumn('turned_away', 'smallint', (column) => column.notNull().defaultTo(0))
    .execute();
  await db.schema.createIndex('requests_key').on('requests').columns(['client_key', 'id', 'status']).execute();
  await db.schema
    .createIndex('requests_turned_away')
    .on('requests')
    .columns(['id', 'time_ms'])
    .where(sql<boolean>`turned_away = 1`)
    .execute();
}

async function createUsage<T>(db: Kysely<T>): Promise<void> {
  const keys = usageDimensions.map((name) => `${name} text not null`);
  const sums = countNames().map(
    (name) => `${name} ${fractionalCounts.has(name) ? 'double precision' : 'bigint'} not null`,
  );
  const dimensions = usageDimensions.join(', ');
  await sql
    .raw(
      `create table usage_counts (bucket_ms bigint not null, ${[...keys, ...sums].join(', ')},
       constraint usage_counts_key primary key (bucket_ms, ${dimensions}))`,
    )
    .execute(db);
  await sql
    .raw(
      `create table usage_latency (bucket_ms bigint not null, ${keys.join(', ')}, series text not null,
       metric text not null, bin integer not null, count bigint not null,
       constraint usage_latency_key primary key (bucket_ms, ${dimensions}, series, metric, bin))`,
    )
    .execute(db);
}

/** Settings that were changed in the dashboard, and the moments that a chart marks. */
async function createChanges<T>(db: Kysely<T>): Promise<void> {
  await db.schema
    .createTable('overrides')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('value', 'text', (column) => column.notNull())
    .addColumn('time_ms', 'bigint', (column) => column.notNull())
    .addColumn('client_key', 'text')
    .execute();
  await db.schema
    .createTable('router_events')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('time_ms', 'bigint', (column) => column.notNull())
    .addColumn('router', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('detail', 'text', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('router_events_time').on('router_events').column('time_ms').execute();
}

/** Of what was counted before, nobody knows whose it was; what was neither answered nor failed had left. */
async function takeOver<T>(db: Kysely<T>): Promise<void> {
  await sql`insert into usage_counts (bucket_ms, client_key, model, backend, device, requests, local, cloud, failed, refused,
      left_early, escalated, degraded, prompt_tokens, completion_tokens, cost_usd, cost_avoided_usd, escalated_local_ms,
      predictions, predicted_wait_ms, wait_ms)
    select bucket_ms, '', '', '', '', requests, local, cloud, failed, 0, requests - local - cloud - failed, escalated,
      degraded, prompt_tokens, completion_tokens, cost_usd, cost_avoided_usd, 0, 0, 0, 0 from rollup_counts`.execute(
    db,
  );
  await sql`insert into usage_latency (bucket_ms, client_key, model, backend, device, series, metric, bin, count)
    select bucket_ms, '', '', '', '', route, metric, bin, count from rollup_latency`.execute(db);
}

async function dropOldTriggers<T>(db: Kysely<T>): Promise<void> {
  if (!isPostgres(db)) return void (await sql`drop trigger if exists requests_roll_up`.execute(db));
  await sql`drop trigger if exists requests_roll_up on requests`.execute(db);
  await sql`drop function if exists lfo_roll_up()`.execute(db);
}

function countNames(): readonly UsageCount[] {
  return Object.keys(usageCounts).filter((name): name is UsageCount => Object.hasOwn(usageCounts, name));
}

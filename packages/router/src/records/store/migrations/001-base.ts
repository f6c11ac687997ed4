import { type Kysely, sql } from 'kysely';
import { addRollUpTriggers } from '../roll-up-triggers.ts';
import { isPostgres } from '../postgres-dialect.ts';
import { StoreError } from '../store-error.ts';

/** Tables, indexes and triggers of the first release; a database of the versions before it is taken over as it is. */
export async function base<T>(db: Kysely<T>): Promise<void> {
  const last = await lastUnreleasedStep(db);
  if (last === undefined) await createAll(db);
  else if (last === '009-bounded-looks') await addPredictions(db);
  else {
    throw new StoreError(
      'SCHEMA_TOO_OLD',
      `The database was made by a version before the first release (its last step is ${last}) that cannot be taken over: move it away, a new one is made.`,
    );
  }
}

/** Versions before the first release had nine steps in a table of their own, which is left as it was for them. */
async function lastUnreleasedStep<T>(db: Kysely<T>): Promise<string | undefined> {
  const { rows: tables } = await (
    isPostgres(db)
      ? sql`select 1 where to_regclass('kysely_migration') is not null`
      : sql`select 1 from sqlite_master where name = 'kysely_migration'`
  ).execute(db);
  if (tables.length === 0) return undefined;
  const { rows } = await sql<{
    name: string;
  }>`select name from kysely_migration order by name desc limit 1`.execute(db);
  return rows[0]?.name;
}

async function addPredictions<T>(db: Kysely<T>): Promise<void> {
  for (const column of ['predicted_wait_ms', 'wait_ms'] as const) {
    await db.schema.alterTable('requests').addColumn(column, 'double precision').execute();
  }
}

async function createAll<T>(db: Kysely<T>): Promise<void> {
  await createRequests(db);
  await createBesideRequests(db);
  await createKeys(db);
  await createRollUps(db);
  await addRollUpTriggers(db);
}

/** One row a request. */
async function createRequests<T>(db: Kysely<T>): Promise<void> {
  await db.schema
    .createTable('requests')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('time_ms', 'bigint', (column) => column.notNull())
    .addColumn('client_key', 'text')
    .addColumn('mode', 'text', (column) => column.notNull())
    .addColumn('stream', 'smallint', (column) => column.notNull())
    .addColumn('status', 'smallint', (column) => column.notNull())
    .addColumn('error_code', 'text')
    .addColumn('error_source', 'text')
    .addColumn('route', 'text')
    .addColumn('backend', 'text')
    .addColumn('model', 'text')
    .addColumn('reason', 'text')
    .addColumn('reasons', 'text', (column) => column.notNull())
    .addColumn('attempts', 'text', (column) => column.notNull())
    .addColumn('degraded', 'smallint', (column) => column.notNull())
    .addColumn('confidence', 'double precision')
    .addColumn('threshold', 'double precision', (column) => column.notNull())
    .addColumn('features', 'text')
    .addColumn('signals', 'text')
    .addColumn('routed_tokens', 'integer')
    .addColumn('routed_tokens_from', 'text')
    .addColumn('prompt_tokens', 'integer')
    .addColumn('completion_tokens', 'integer')
    .addColumn('reasoning_tokens', 'integer')
    .addColumn('cached_tokens', 'integer')
    .addColumn('tokens_estimated', 'smallint', (column) => column.notNull())
    .addColumn('cost_usd', 'double precision')
    .addColumn('cost_avoided_usd', 'double precision')
    .addColumn('finish_reason', 'text')
    .addColumn('native_finish_reason', 'text')
    .addColumn('total_ms', 'double precision')
    .addColumn('first_token_ms', 'double precision')
    .addColumn('committed_ms', 'double precision')
    .addColumn('queue_ms', 'double precision')
    .addColumn('local_ms', 'double precision')
    .addColumn('cloud_ms', 'double precision')
    .addColumn('held_ms', 'double precision')
    .addColumn('overhead_ms', 'double precision')
    .addColumn('warnings', 'text', (column) => column.notNull())
    .execute();
  await addPredictions(db);
  await indexRequests(db);
}

/** An index for each filter of the list, in its order, with the columns that further filters ask: trying them reads no rows. */
async function indexRequests<T>(db: Kysely<T>): Promise<void> {
  const indexes = {
    requests_time: { columns: ['time_ms'] },
    requests_route: { columns: ['route', 'id'] },
    requests_backend: { columns: ['backend', 'id', 'route', 'error_code'] },
    requests_reason: { columns: ['reason', 'id', 'backend', 'route', 'error_code'] },
    requests_failed: { columns: ['id', 'reason', 'backend', 'route'], where: sql<boolean>`error_code is not null` },
    requests_degraded: { columns: ['id', 'reason', 'backend', 'route'], where: sql<boolean>`degraded = 1` },
  } as const;
  for (const [name, index] of Object.entries(indexes)) {
    const created = db.schema
      .createIndex(name)
      .on('requests')
      .columns([...index.columns]);
    await ('where' in index ? created.where(index.where) : created).execute();
  }
  if (!isPostgres(db)) return;
  // Room is given back after some deletions, not after a fifth of the table.
  await sql
    .raw(
      'alter table requests set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02, ' +
        'autovacuum_analyze_scale_factor = 0.02)',
    )
    .execute(db);
}

/** Verdicts, prompts and answers where they are kept, times of loss, and provider state that must survive a restart. */
async function createBesideRequests<T>(db: Kysely<T>): Promise<void> {
  await db.schema
    .createTable('signatures')
    .addColumn('key', 'text', (column) => column.primaryKey())
    .addColumn('signature', 'text', (column) => column.notNull())
    .addColumn('time_ms', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('feedback')
    .addColumn('request_id', 'text', (column) => column.primaryKey())
    .addColumn('time_ms', 'bigint', (column) => column.notNull())
    .addColumn('client_key', 'text', (column) => column.notNull())
    .addColumn('verdict', 'text', (column) => column.notNull())
    .addColumn('expected_route', 'text')
    .execute();
  await db.schema
    .createTable('captures')
    .addColumn('request_id', 'text', (column) => column.primaryKey())
    .addColumn('time_ms', 'bigint', (column) => column.notNull())
    .addColumn('words', 'text', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('record_gaps')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('from_ms', 'bigint', (column) => column.notNull())
    .addColumn('until_ms', 'bigint', (column) => column.notNull())
    .addColumn('requests', 'bigint', (column) => column.notNull())
    .execute();
  for (const table of ['signatures', 'feedback', 'captures'] as const) {
    await db.schema.createIndex(`${table}_time`).on(table).column('time_ms').execute();
  }
  await db.schema.createIndex('record_gaps_until').on('record_gaps').column('until_ms').execute();
}

/** Keys that were given out, and what each used a day. */
async function createKeys<T>(db: Kysely<T>): Promise<void> {
  await db.schema
    .createTable('keys')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('scopes', 'text', (column) => column.notNull())
    .addColumn('tiers', 'text')
    .addColumn('models', 'text')
    .addColumn('limits', 'text', (column) => column.notNull())
    .addColumn('created_ms', 'bigint', (column) => column.notNull())
    .addColumn('expires_ms', 'bigint')
    .addColumn('revoked_ms', 'bigint')
    .addColumn('version', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('key_usage')
    .addColumn('key_id', 'text', (column) => column.notNull())
    .addColumn('day', 'integer', (column) => column.notNull())
    .addColumn('requests', 'bigint', (column) => column.notNull())
    .addColumn('tokens', 'bigint', (column) => column.notNull())
    .addColumn('usd', 'double precision', (column) => column.notNull())
    .addPrimaryKeyConstraint('key_usage_key', ['key_id', 'day'])
    .execute();
  await db.schema.createIndex('key_usage_day').on('key_usage').column('day').execute();
}

/** What trends and statistics read instead of rows. */
async function createRollUps<T>(db: Kysely<T>): Promise<void> {
  await db.schema
    .createTable('rollup_counts')
    .addColumn('bucket_ms', 'bigint', (column) => column.primaryKey())
    .addColumn('requests', 'bigint', (column) => column.notNull())
    .addColumn('local', 'bigint', (column) => column.notNull())
    .addColumn('cloud', 'bigint', (column) => column.notNull())
    .addColumn('failed', 'bigint', (column) => column.notNull())
    .addColumn('escalated', 'bigint', (column) => column.notNull())
    .addColumn('degraded', 'bigint', (column) => column.notNull())
    .addColumn('prompt_tokens', 'bigint', (column) => column.notNull())
    .addColumn('completion_tokens', 'bigint', (column) => column.notNull())
    .addColumn('cost_usd', 'double precision', (column) => column.notNull())
    .addColumn('cost_avoided_usd', 'double precision', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('rollup_latency')
    .addColumn('bucket_ms', 'bigint', (column) => column.notNull())
    .addColumn('route', 'text', (column) => column.notNull())
    .addColumn('metric', 'text', (column) => column.notNull())
    .addColumn('bin', 'integer', (column) => column.notNull())
    .addColumn('count', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('rollup_latency_key', ['bucket_ms', 'route', 'metric', 'bin'])
    .execute();
}

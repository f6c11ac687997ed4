import type { Kysely } from 'kysely';

/** What the judge said of each local answer, and what was said of it since. */
export async function judgements<T>(db: Kysely<T>): Promise<void> {
  await db.schema
    .createTable('judgements')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('request_id', 'text', (column) => column.notNull())
    .addColumn('attempt', 'integer', (column) => column.notNull())
    .addColumn('time_ms', 'bigint', (column) => column.notNull())
    .addColumn('client_key', 'text')
    .addColumn('policy', 'text', (column) => column.notNull())
    .addColumn('backend', 'text')
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('identity', 'text', (column) => column.notNull())
    .addColumn('estimator', 'text', (column) => column.notNull())
    .addColumn('calibration', 'text')
    .addColumn('is_prior', 'smallint', (column) => column.notNull())
    .addColumn('features_version', 'integer')
    .addColumn('features', 'text', (column) => column.notNull())
    .addColumn('heads', 'text', (column) => column.notNull())
    .addColumn('score', 'double precision')
    .addColumn('threshold', 'double precision', (column) => column.notNull())
    .addColumn('verdict', 'text', (column) => column.notNull())
    .addColumn('reason', 'text', (column) => column.notNull())
    .addColumn('outcome', 'text')
    .addColumn('local_ms', 'double precision')
    .execute();
  await db.schema
    .createTable('labels')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('request_id', 'text', (column) => column.notNull())
    .addColumn('attempt', 'integer', (column) => column.notNull())
    .addColumn('time_ms', 'bigint', (column) => column.notNull())
    .addColumn('source', 'text', (column) => column.notNull())
    .addColumn('label', 'double precision', (column) => column.notNull())
    .addColumn('weight', 'double precision', (column) => column.notNull())
    .addColumn('propensity', 'double precision', (column) => column.notNull())
    .addColumn('because', 'text')
    .execute();
  await db.schema.createIndex('judgements_time').on('judgements').column('time_ms').execute();
  await db.schema.createIndex('labels_time').on('labels').column('time_ms').execute();
  await db.schema.createIndex('labels_request').on('labels').columns(['request_id', 'attempt']).execute();
}

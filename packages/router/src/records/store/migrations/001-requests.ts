import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** One row a request. */
export const requests: Migration = {
  async up(db: Kysely<unknown>) {
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
    await db.schema.createIndex('requests_time').on('requests').column('time_ms').execute();
  },
};

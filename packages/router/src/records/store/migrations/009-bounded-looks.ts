import { type Kysely, PostgresAdapter, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

/**
 * Indexes that hold what further filters of the list of requests ask, so that trying them reads no rows; indexes for what
 * is asked or deleted by time; and in PostgreSQL room given back after some deletions, not after a fifth of the table.
 */
export const boundedLooks: Migration = {
  async up(db: Kysely<unknown>) {
    const reindex = async (name: string, columns: readonly string[], where?: ReturnType<typeof sql<boolean>>) => {
      await db.schema.dropIndex(name).execute();
      const index = db.schema
        .createIndex(name)
        .on('requests')
        .columns([...columns]);
      await (where === undefined ? index : index.where(where)).execute();
    };
    await reindex('requests_reason', ['reason', 'id', 'backend', 'route', 'error_code']);
    await reindex('requests_backend', ['backend', 'id', 'route', 'error_code']);
    await reindex('requests_failed', ['id', 'reason', 'backend', 'route'], sql<boolean>`error_code is not null`);
    await reindex('requests_degraded', ['id', 'reason', 'backend', 'route'], sql<boolean>`degraded = 1`);
    await db.schema.createIndex('feedback_time').on('feedback').column('time_ms').execute();
    await db.schema.createIndex('key_usage_day').on('key_usage').column('day').execute();
    if (!(db.getExecutor().adapter instanceof PostgresAdapter)) return;
    await sql
      .raw(
        'alter table requests set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02, ' +
          'autovacuum_analyze_scale_factor = 0.02)',
      )
      .execute(db);
  },
};

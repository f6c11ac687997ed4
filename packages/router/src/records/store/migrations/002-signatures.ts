import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Provider state of tool calls that must survive a restart. */
export const signatures: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('signatures')
      .addColumn('key', 'text', (column) => column.primaryKey())
      .addColumn('signature', 'text', (column) => column.notNull())
      .addColumn('time_ms', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('signatures_time').on('signatures').column('time_ms').execute();
  },
};

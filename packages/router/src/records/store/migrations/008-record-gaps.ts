import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** When rows were lost, and how many. */
export const recordGaps: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('record_gaps')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('from_ms', 'bigint', (column) => column.notNull())
      .addColumn('until_ms', 'bigint', (column) => column.notNull())
      .addColumn('requests', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('record_gaps_until').on('record_gaps').column('until_ms').execute();
  },
};

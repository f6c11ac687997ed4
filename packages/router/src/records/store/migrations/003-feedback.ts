import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** One verdict a request. */
export const feedback: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('feedback')
      .addColumn('request_id', 'text', (column) => column.primaryKey())
      .addColumn('time_ms', 'bigint', (column) => column.notNull())
      .addColumn('client_key', 'text', (column) => column.notNull())
      .addColumn('verdict', 'text', (column) => column.notNull())
      .addColumn('expected_route', 'text')
      .execute();
  },
};

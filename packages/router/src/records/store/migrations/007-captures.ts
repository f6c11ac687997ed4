import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Prompts and answers, where they are kept at all: apart from the rows, for they are long and go sooner. */
export const captures: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('captures')
      .addColumn('request_id', 'text', (column) => column.primaryKey())
      .addColumn('time_ms', 'bigint', (column) => column.notNull())
      .addColumn('words', 'text', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('captures_time').on('captures').column('time_ms').execute();
  },
};

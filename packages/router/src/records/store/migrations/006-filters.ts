import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

/** An index for each filter of the list of requests, each in the order of the list. */
export const filters: Migration = {
  async up(db: Kysely<unknown>) {
    for (const column of ['route', 'backend', 'reason'] as const) {
      await db.schema.createIndex(`requests_${column}`).on('requests').columns([column, 'id']).execute();
    }
    const partial = {
      requests_failed: sql<boolean>`error_code is not null`,
      requests_degraded: sql<boolean>`degraded = 1`,
    };
    for (const [name, condition] of Object.entries(partial)) {
      await db.schema.createIndex(name).on('requests').column('id').where(condition).execute();
    }
  },
};

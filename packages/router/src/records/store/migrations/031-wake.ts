import type { Kysely } from 'kysely';

/** How paired devices are woken, as JSON. */
export async function wake<T>(db: Kysely<T>): Promise<void> {
  await db.schema.alterTable('devices').addColumn('wake', 'text').execute();
}

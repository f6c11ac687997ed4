import type { Kysely } from 'kysely';

/** Paired devices. */
export async function devices<T>(db: Kysely<T>): Promise<void> {
  await db.schema
    .createTable('devices')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('public_key', 'text')
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('created_ms', 'bigint', (column) => column.notNull())
    .addColumn('last_seen_ms', 'bigint')
    .addColumn('last_address', 'text')
    .addColumn('dial_host', 'text')
    .addColumn('dial_port', 'integer')
    .execute();
}

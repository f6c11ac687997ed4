import { type Kysely, sql } from 'kysely';
import { isPostgres } from '../postgres-dialect.ts';

/**
 * Requests that another LFO passed on; devices of several routers: where each router takes them, which are drained, and
 * how pairings stand.
 */
export async function sites<T>(db: Kysely<T>): Promise<void> {
  await db.schema.alterTable('requests').addColumn('trace_id', 'text').execute();
  await db.schema
    .alterTable('devices')
    .addColumn('draining', 'smallint', (column) => column.notNull().defaultTo(0))
    .execute();
  await db.schema
    .createTable('pairings')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('wrong', 'integer', (column) => column.notNull())
    .addColumn('expires_ms', 'bigint', (column) => column.notNull())
    .addColumn('device', 'text')
    .addColumn('why', 'text')
    .execute();
  if (!isPostgres(db)) return;
  await sql.raw('alter table routers add column fleet text').execute(db);
  await sql
    .raw(
      `create trigger devices_drained after update of draining on devices
       for each statement execute function lfo_changed('devices')`,
    )
    .execute(db);
}

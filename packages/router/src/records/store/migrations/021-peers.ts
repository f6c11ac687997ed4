import { type Kysely, sql } from 'kysely';
import { isPostgres } from '../postgres-dialect.ts';

/**
 * Browsers that have logged in; and, in PostgreSQL, the routers that share the database, what of it has changed lately,
 * and who does what one of them is to do. A SQLite file has one router.
 */
export async function peers<T>(db: Kysely<T>): Promise<void> {
  await db.schema
    .createTable('sessions')
    .addColumn('token_digest', 'text', (column) => column.primaryKey())
    .addColumn('key_ref', 'text', (column) => column.notNull())
    .addColumn('ends_ms', 'bigint', (column) => column.notNull())
    .addColumn('expires_ms', 'bigint', (column) => column.notNull())
    .execute();
  if (!isPostgres(db)) return;
  for (const statement of [routers, claimName, leases, changes, changed]) await sql.raw(statement).execute(db);
  for (const [topic, columns] of watched) {
    await sql
      .raw(
        `create trigger ${topic}_changed after insert or delete or ${columns} on ${topic}
         for each statement execute function lfo_changed('${topic}')`,
      )
      .execute(db);
  }
}

/** Tables whose changes every router is to see at once, and which of them count. */
const watched = [
  ['keys', 'update'],
  ['overrides', 'update'],
  ['devices', 'update of public_key, name, dial_host, dial_port'],
  ['sessions', 'update of ends_ms'],
] as const;

/** Times are the database's. */
const routers = `create unlogged table routers (
  id text primary key,
  name text not null,
  version text not null,
  state text not null,
  config text not null,
  in_flight integer not null,
  waiting integer not null,
  started_ms double precision not null,
  seen_ms double precision not null
) with (fillfactor = 50)`;

/** The first free of `name`, `name-2` … among the living; one router after the other, so that each gets its own. */
const claimName = `create function lfo_claim_name(in_id text, wanted text, life_ms double precision) returns text
language plpgsql as $$
declare
  now_ms double precision; candidate text; n integer := 1;
begin
  perform pg_advisory_xact_lock(5636102);
  now_ms := floor(extract(epoch from clock_timestamp()) * 1000);
  loop
    candidate := case when n = 1 then wanted else left(wanted, 58) || '-' || n end;
    exit when not exists (
      select from routers where name = candidate and id <> in_id and seen_ms > now_ms - life_ms);
    n := n + 1;
  end loop;
  insert into routers values (in_id, candidate, '', 'ready', '', 0, 0, now_ms, now_ms)
  on conflict (id) do update set name = excluded.name, seen_ms = excluded.seen_ms;
  return candidate;
end $$`;

const leases = `create unlogged table leases (
  name text primary key,
  holder text not null,
  until_ms double precision not null
)`;

const changes = `create table changes (topic text primary key, version bigint not null) with (fillfactor = 50)`;

const changed = `create function lfo_changed() returns trigger language plpgsql as $$
begin
  insert into changes (topic, version) values (tg_argv[0], 1)
  on conflict (topic) do update set version = changes.version + 1;
  perform pg_notify('lfo', tg_argv[0]);
  return null;
end $$`;

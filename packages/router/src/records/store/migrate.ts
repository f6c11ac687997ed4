import { type Kysely, sql } from 'kysely';
import { base } from './migrations/001-base.ts';
import { devices } from './migrations/002-devices.ts';
import { usage } from './migrations/003-usage.ts';
import { judgements } from './migrations/004-judgements.ts';
import { limits } from './migrations/020-limits.ts';
import { peers } from './migrations/021-peers.ts';
import { rollUpByBatch } from './migrations/030-roll-up-by-batch.ts';
import { wake } from './migrations/031-wake.ts';
import { sites } from './migrations/050-sites.ts';
import { isPostgres } from './postgres-dialect.ts';

/** Every step of the schema in order. A released one is never edited, and each only adds: releases are rolled back too. */
const steps = [
  { name: '001-base', up: base },
  { name: '002-devices', up: devices },
  { name: '003-usage', up: usage },
  { name: '004-judgements', up: judgements },
  { name: '020-limits', up: limits },
  { name: '021-peers', up: peers },
  { name: '030-roll-up-by-batch', up: rollUpByBatch },
  { name: '031-wake', up: wake },
  { name: '050-sites', up: sites },
] as const;

/** Any number that other programs on the database do not use for a lock of theirs. */
const lockId = 5_636_101;

/**
 * Brings a database up to date, all or nothing; of several routers that start at once, one does the work and the others
 * wait. Steps of a newer release are left as they are: what they added is not asked for.
 */
export async function migrate<T>(db: Kysely<T>): Promise<void> {
  // Where nothing is to be done, no lock is taken; before the first step there is no table to ask.
  const known = await appliedSteps(db).catch((): readonly string[] => []);
  if (steps.every(({ name }) => known.includes(name))) return;
  await db.transaction().execute(async (transaction) => {
    // SQLite's transactions begin with the write lock. This one ends with the transaction, behind a PgBouncer too.
    if (isPostgres(db)) await sql`select pg_advisory_xact_lock(${sql.lit(lockId)})`.execute(transaction);
    await sql`create table if not exists schema_steps (name text primary key)`.execute(transaction);
    const applied = await appliedSteps(transaction);
    for (const { name, up } of steps) {
      if (applied.includes(name)) continue;
      await up(transaction);
      await sql`insert into schema_steps (name) values (${name})`.execute(transaction);
    }
  });
}

/** Names of the steps that were made, in order; none or a rejection where there is no such table. */
export async function appliedSteps<T>(db: Kysely<T>): Promise<readonly string[]> {
  // Asked first, as a server writes each statement that fails into its log.
  if (isPostgres(db)) {
    const { rows: found } = await sql<{ is: boolean }>`select to_regclass('schema_steps') is not null as is`.execute(
      db,
    );
    if (found[0]?.is !== true) return [];
  }
  const { rows } = await sql<{ name: string }>`select name from schema_steps order by name`.execute(db);
  return rows.map(({ name }) => name);
}

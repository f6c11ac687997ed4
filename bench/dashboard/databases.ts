import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Store } from '@lfo/router/src/records/tables.ts';
import { compactRollups } from '@lfo/router/src/records/compact-rollups.ts';
import { PostgresStore } from '@lfo/router/src/records/store/postgres-store.ts';
import { SqliteStore } from '@lfo/router/src/records/store/sqlite-store.ts';
import { startPostgres } from '@lfo/testing/postgres.ts';
import { Client } from 'pg';
import { insertJudged, insertRows, postgresql, rowsPerSecond, type Sql, sqlite } from './synthetic-rows.ts';

/** A database full of rows, and how large it is. */
export interface FilledDatabase {
  readonly name: string;
  readonly store: Store;
  readonly bytes: number;
  readonly rows: number;
  /** Time of the first and the last row. */
  readonly startMs: number;
  readonly endMs: number;
  /** Removes what was made for this run alone. */
  readonly close: () => Promise<void>;
}

const rowsAtOnce = 200_000;
const note = (text: string): void => void process.stderr.write(`${text}\n`);

/** A SQLite file; one that is named is kept, and filled only where it is empty. */
export async function filledSqlite(rows: number, kept: string | undefined): Promise<FilledDatabase> {
  const folder = kept === undefined ? mkdtempSync(join(tmpdir(), 'lfo-bench-')) : undefined;
  const file = kept ?? join(folder ?? '', 'lfo.db');
  const store = new SqliteStore(file);
  if (await isEmpty(store)) await fillSqlite(file, rows);
  const span = await spanOf(store);
  return {
    name: 'SQLite',
    store,
    bytes: statSync(file).size,
    ...span,
    async close() {
      await store.close();
      if (folder !== undefined) rmSync(folder, { recursive: true });
    },
  };
}

async function fillSqlite(file: string, rows: number): Promise<void> {
  const db = new DatabaseSync(file);
  db.exec('pragma synchronous = off; pragma cache_size = -400000');
  const held = db
    .prepare(
      "select name, type, sql from sqlite_schema where tbl_name = 'requests' and sql is not null and type in ('index', 'trigger')",
    )
    .all();
  await fill(
    sqlite,
    rows,
    (statement) => db.exec(statement),
    held.map(({ type, name }) => `drop ${String(type)} ${String(name)}`),
    [
      ...rollUps(String(held.find(({ type }) => type === 'trigger')?.['sql'])),
      ...held.map(({ sql }) => String(sql)),
      'pragma wal_checkpoint(truncate)',
    ],
  );
  db.close();
}

/** The trigger's own statements, over all rows instead of the new one. */
function rollUps(trigger: string): readonly string[] {
  const body = trigger.slice(trigger.indexOf('begin') + 5, trigger.lastIndexOf('end'));
  return body
    .split(';')
    .map((statement) => statement.replace(/\(select new\.[^)]*\)/, 'requests').trim())
    .filter((statement) => statement !== '');
}

/** A PostgreSQL database; one that is named is kept, and filled only where it is empty. */
export async function filledPostgres(rows: number, kept: string | undefined): Promise<FilledDatabase> {
  const server = kept === undefined ? await startPostgres() : undefined;
  const url = kept ?? (await server?.database()) ?? '';
  const store = new PostgresStore(url);
  const empty = await isEmpty(store);
  const client = new Client(url);
  await client.connect();
  if (empty) await fillPostgres(client, rows);
  const span = await spanOf(store);
  // A router merges its roll-ups minute by minute, which leaves no room behind; merging all days at once does.
  if (empty) await client.query('vacuum full analyze usage_latency');
  const { rows: sizes } = await client.query<{ size: string }>('select pg_database_size(current_database()) as size');
  await client.end();
  return {
    name: 'PostgreSQL',
    store,
    bytes: Number(sizes[0]?.size),
    ...span,
    async close() {
      await store.close();
      await server?.stop();
    },
  };
}

async function fillPostgres(client: Client, rows: number): Promise<void> {
  const { rows: indexes } = await client.query<{ name: string; sql: string }>(
    "select indexname as name, indexdef as sql from pg_indexes where tablename = 'requests' and indexname <> 'requests_pkey'",
  );
  const { rows: functions } = await client.query<{ body: string }>(
    "select prosrc as body from pg_proc where proname = 'lfo_usage'",
  );
  const body =
    functions[0]?.body
      .replaceAll('from added', 'from requests')
      .replace(/^\s*begin/, '')
      .replace(/return null;\s*end\s*$/, '') ?? '';
  await fill(
    postgresql,
    rows,
    async (statement) => void (await client.query(statement)),
    ['alter table requests disable trigger requests_usage', ...indexes.map(({ name }) => `drop index ${name}`)],
    [body, ...indexes.map(({ sql }) => sql), 'alter table requests enable trigger requests_usage', 'vacuum analyze'],
  );
}

/** Adds the rows without the work of the trigger, then the roll-ups as their migration does for rows it finds. */
async function fill(
  sql: Sql,
  rows: number,
  execute: (statement: string) => Promise<void> | void,
  setUp: readonly string[],
  tearDown: readonly string[],
): Promise<void> {
  const startMs = Date.now() - (rows / rowsPerSecond) * 1000;
  for (const statement of setUp) await execute(statement);
  for (let from = 0; from < rows; from += rowsAtOnce) {
    await execute(insertRows(sql, startMs, from, Math.min(rows, from + rowsAtOnce)));
    if (from % 1_000_000 === 0) note(`  ${from} rows`);
  }
  for (const statement of tearDown) await execute(statement);
  const stepMs = (rowsAtOnce / rowsPerSecond) * 1000;
  for (let fromMs = startMs; fromMs < Date.now(); fromMs += stepMs) {
    for (const statement of insertJudged(fromMs, fromMs + stepMs)) await execute(statement);
  }
}

/** Opens the database, too, and brings its schema up to date. */
async function isEmpty({ db }: Store): Promise<boolean> {
  return (await db.selectFrom('requests').select('id').limit(1).executeTakeFirst()) === undefined;
}

/** When its rows begin and end; merges the roll-ups, as a router would have done by then. */
async function spanOf(store: Store): Promise<Pick<FilledDatabase, 'startMs' | 'endMs' | 'rows'>> {
  const { db } = store;
  const { startMs, endMs } = await db
    .selectFrom('requests')
    .select(({ fn }) => [fn.min('time_ms').as('startMs'), fn.max('time_ms').as('endMs')])
    .executeTakeFirstOrThrow();
  await compactRollups(store, endMs);
  const { rows } = await db
    .selectFrom('usage_counts')
    .select(({ fn }) => fn.sum<number>('requests').as('rows'))
    .executeTakeFirstOrThrow();
  return { startMs, endMs, rows };
}

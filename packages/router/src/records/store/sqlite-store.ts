import { dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Kysely } from 'kysely';
import { createDataFolder, createPrivateFile } from '../../config/data-folder.ts';
import type { Store, StoreTables } from '../tables.ts';
import { migrate } from './migrate.ts';
import { batchRollUp } from './roll-up-triggers.ts';
import { SqliteConnection } from './sqlite-connection.ts';
import { Mutex, sqliteDialect, toSqlValue } from './sqlite-dialect.ts';
import { StoreError } from './store-error.ts';

export interface SqliteOptions {
  /** Reads what is there, and neither creates nor migrates nor writes. */
  readonly readOnly?: boolean;
}

/** The store in one SQLite file (0600), in write-ahead mode, owned by a worker thread. */
export class SqliteStore implements Store {
  readonly db: Kysely<StoreTables>;
  readonly #file: string;
  readonly #readOnly: boolean;
  readonly #lock = new Mutex();
  #opening: Promise<SqliteConnection> | undefined;
  #closed = false;

  constructor(file: string, { readOnly = false }: SqliteOptions = {}) {
    this.#file = file;
    this.#readOnly = readOnly;
    this.db = new Kysely({ dialect: sqliteDialect(() => this.#open(), this.#lock) });
  }

  async append<T extends keyof StoreTables>(
    table: T,
    rows: readonly StoreTables[T][],
    replace?: 'replace',
  ): Promise<void> {
    const [first] = rows;
    if (first === undefined) return;
    const columns = Object.keys(first);
    const release = await this.#lock.acquire();
    try {
      const connection = await this.#open();
      const last = rows.length - (rows.length % rowsATurn || rowsATurn);
      for (let from = 0; from < last; from += rowsATurn) {
        connection.tell({ type: 'rows', rows: jsonOf(rows.slice(from, from + rowsATurn), columns) });
        await setImmediate();
      }
      const sql = insertSql(table, columns, replace);
      const counted = table === 'requests' ? { rollUp: batchRollUp } : {};
      await connection.ask({ type: 'batch', sql, rows: jsonOf(rows.slice(last), columns), ...counted });
    } finally {
      release();
    }
  }

  async close(): Promise<void> {
    const release = await this.#lock.acquire();
    this.#closed = true;
    const connection = await this.#opening?.catch(() => undefined);
    await connection?.close();
    release();
  }

  /** Only under the lock. A connection that has died is replaced, one that could not be opened is tried again. */
  async #open(): Promise<SqliteConnection> {
    if (this.#closed) throw new StoreError('STORE_CLOSED', 'The database is closed.');
    const current = await this.#opening?.catch(() => undefined);
    if (current?.isOpen === true) return current;
    this.#opening = connect(this.#file, this.#readOnly);
    return this.#opening;
  }
}

/** How long a statement waits for what another process writes. */
const lockWaitMs = 2_000;
/** Another process may be making a new schema, which takes longer the more is stored. */
const schemaLockWaitMs = 30_000;

/** Requests come between turns, each of which holds the event loop for some 100 µs. */
const rowsATurn = 32;

function jsonOf(rows: readonly object[], columns: readonly string[]): string {
  return JSON.stringify(
    rows.map((row) => {
      const cells = Object.values(row);
      // Rows have the same columns; as a rule in the same order.
      const names = Object.keys(row);
      if (columns.every((column, at) => names[at] === column)) return cells.map(toSqlValue);
      const named: Readonly<Record<string, unknown>> = { ...row };
      return columns.map((column) => toSqlValue(named[column]));
    }),
  );
}

async function connect(file: string, readOnly: boolean): Promise<SqliteConnection> {
  if (!readOnly) {
    createDataFolder(dirname(file));
    createPrivateFile(file);
  }
  const connection = new SqliteConnection();
  const release = readOnly ? undefined : await openingOf(file).acquire();
  try {
    await connection.ask({ type: 'open', file, readOnly, lockWaitMs });
    if (readOnly) return connection;
    await waitForLocks(connection, schemaLockWaitMs);
    await migrate(new Kysely({ dialect: sqliteDialect(async () => connection, new Mutex()) }));
    await waitForLocks(connection, lockWaitMs);
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  } finally {
    release?.();
  }
}

async function waitForLocks(connection: SqliteConnection, atMostMs: number): Promise<void> {
  await connection.ask({ type: 'query', sql: `pragma busy_timeout = ${atMostMs}`, parameters: [] });
}

/**
 * A router opens its file more than once. On a slow machine the first one's new schema takes longer than SQLite waits
 * for a lock, so that the others' opening would fail.
 */
function openingOf(file: string): Mutex {
  const known = openings.get(file) ?? new Mutex();
  openings.set(file, known);
  return known;
}

const openings = new Map<string, Mutex>();

/** Names are ours, never a client's. */
function insertSql(table: string, columns: readonly string[], replace: 'replace' | undefined): string {
  const names = columns.map((column) => `"${column}"`).join(', ');
  const marks = columns.map(() => '?').join(', ');
  const [key = ''] = columns;
  const update = columns
    .slice(1)
    .map((column) => `"${column}" = excluded."${column}"`)
    .join(', ');
  const conflict = replace === undefined ? 'do nothing' : `("${key}") do update set ${update}`;
  return `insert into "${table}" (${names}) values (${marks}) on conflict ${conflict}`;
}

import { Kysely } from 'kysely';
import type { Store, StoreTables } from '../tables.ts';
import { migrate } from './migrate.ts';
import type { PostgresConnection, PostgresConnections, PostgresLimits } from './postgres-connections.ts';
import { postgresDialect } from './postgres-dialect.ts';
import { StoreError } from './store-error.ts';

export interface PostgresOptions {
  /** Reads what is there, and neither migrates nor writes. */
  readonly readOnly?: boolean;
  /** At once; default 3. */
  readonly connections?: number;
  /** Longest that a statement may take; default 10 s. */
  readonly statementMs?: number;
  /** Shown by the server's own tools. */
  readonly name?: string;
  /** False: the schema is another's business. */
  readonly migrates?: boolean;
}

/** The store in a PostgreSQL database, which several routers may share. */
export class PostgresStore implements Store {
  readonly db: Kysely<StoreTables>;
  readonly #url: string;
  readonly #limits: PostgresLimits;
  #connections: Promise<PostgresConnections> | undefined;
  #migration: Promise<void> | undefined;
  #isClosed = false;

  constructor(url: string, options: PostgresOptions = {}) {
    const { readOnly = false, connections = 3, statementMs = 10_000, name, migrates = !readOnly } = options;
    this.#url = url;
    this.#limits = { ...limits, connections, statementMs, readOnly, ...(name !== undefined && { name }) };
    if (!migrates) this.#migration = Promise.resolve();
    this.db = new Kysely({ dialect: postgresDialect(() => this.#acquire()) });
  }

  async append<T extends keyof StoreTables>(
    table: T,
    rows: readonly StoreTables[T][],
    replace?: 'replace',
  ): Promise<void> {
    const [first] = rows;
    if (first === undefined) return;
    const columns = Object.keys(first);
    const connection = await this.#acquire();
    try {
      // One statement is one transaction.
      await connection.query(insertSql(table, columns, replace), [
        jsonOf(replace === undefined ? rows : lastOfEach(rows)),
      ]);
    } finally {
      connection.release();
    }
  }

  /** One statement of our own making, for what kysely cannot say as fast. */
  async query(text: string, values: readonly unknown[]): Promise<readonly unknown[]> {
    const connection = await this.#acquire();
    try {
      return (await connection.query(text, values)).rows;
    } finally {
      connection.release();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const connections = await this.#connections;
    await connections?.close();
  }

  async #acquire(): Promise<PostgresConnection> {
    if (this.#isClosed) throw new StoreError('STORE_CLOSED', 'The database is closed.');
    this.#connections ??= connectionsTo(this.#url, this.#limits);
    const connections = await this.#connections;
    const connection = await connections.acquire();
    try {
      this.#migration ??= migrateFully(this.#url);
      await this.#migration;
      return connection;
    } catch (error) {
      this.#migration = undefined;
      connection.release();
      throw error;
    }
  }
}

const limits: PostgresLimits = { connections: 1, connectMs: 2_000, statementMs: 10_000 };

/** The driver is read by those who use it alone: it takes a tenth of the time a start may take. */
async function connectionsTo(url: string, limits: PostgresLimits): Promise<PostgresConnections> {
  const { PostgresConnections } = await import('./postgres-connections.ts');
  return new PostgresConnections(url, limits);
}

/** On a connection of its own without a time limit: an index over many rows takes what it takes. */
async function migrateFully(url: string): Promise<void> {
  const connections = await connectionsTo(url, { ...limits, statementMs: 0 });
  try {
    await migrate(new Kysely({ dialect: postgresDialect(() => connections.acquire()) }));
  } finally {
    await connections.close();
  }
}

/** All rows travel as one JSON value, which the columns' own types read. Names are ours, never a client's. */
function insertSql(table: string, columns: readonly string[], replace: 'replace' | undefined): string {
  const names = columns.map((column) => `"${column}"`).join(', ');
  const [key = '', ...others] = columns;
  const update = others.map((column) => `"${column}" = excluded."${column}"`).join(', ');
  const conflict = replace === undefined ? 'do nothing' : `("${key}") do update set ${update}`;
  return `insert into "${table}" (${names}) select ${names} from json_populate_recordset(null::"${table}", $1::json) on conflict ${conflict}`;
}

/** One statement cannot replace a row twice; the primary key is the first column. */
function lastOfEach<Row extends object>(rows: readonly Row[]): readonly Row[] {
  return [...new Map(rows.map((row): [unknown, Row] => [Object.values(row)[0], row])).values()];
}

/** PostgreSQL's text holds neither NUL nor halves of surrogate pairs. */
function jsonOf(rows: readonly object[]): string {
  const json = JSON.stringify(rows);
  if (!/\\u(?:0000|d[89a-f])/i.test(json)) return json;
  return JSON.stringify(rows, (_key, value: unknown) =>
    typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '\uFFFD') : value,
  );
}

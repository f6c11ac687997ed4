import {
  CompiledQuery,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
} from 'kysely';
import type { SqliteConnection } from './sqlite-connection.ts';
import type { SqlValue } from './sqlite-connection.ts';
import { StoreError } from './store-error.ts';
import { typedRows } from './typed-rows.ts';

/**
 * Kysely over a database in a worker thread. `connect` is asked for each query or transaction, which then stays on that
 * connection; `lock` keeps its statements together.
 */
export function sqliteDialect(connect: () => Promise<SqliteConnection>, lock: Mutex): Dialect {
  return {
    createAdapter: () => new TransactionalSqliteAdapter(),
    createDriver: () => new WorkerDriver(connect, lock),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

/** Serialises whoever uses the one connection, first come first served. */
export class Mutex {
  #tail: Promise<void> = Promise.resolve();

  /** Resolves with the function that lets the next one in. */
  async acquire(): Promise<() => void> {
    const previous = this.#tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tail = promise;
    await previous;
    return resolve;
  }
}

/** Migrations run in one transaction that takes the write lock first: of two routers, one waits for the other. */
class TransactionalSqliteAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }

  /** Our own lock serialises; kysely's is never released again once a connection could not be had. */
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

class WorkerDriver implements Driver {
  readonly #connect: () => Promise<SqliteConnection>;
  readonly #lock: Mutex;

  constructor(connect: () => Promise<SqliteConnection>, lock: Mutex) {
    this.#connect = connect;
    this.#lock = lock;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    const release = await this.#lock.acquire();
    try {
      return new WorkerConnection(await this.#connect(), release);
    } catch (error) {
      release();
      throw error;
    }
  }

  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    if (connection instanceof WorkerConnection) connection.release();
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'));
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('rollback'));
  }

  async destroy(): Promise<void> {}
}

class WorkerConnection implements DatabaseConnection {
  readonly #connection: SqliteConnection;
  readonly release: () => void;

  constructor(connection: SqliteConnection, release: () => void) {
    this.#connection = connection;
    this.release = release;
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const { rows, changes, lastId } = await this.#connection.ask({
      type: 'query',
      sql,
      parameters: parameters.map(toSqlValue),
    });
    return { rows: typedRows<R>(rows), numAffectedRows: changes, insertId: lastId };
  }

  // oxlint-disable-next-line require-yield
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new TypeError('Streaming queries are not supported: page through the rows instead.');
  }
}

/** As SQLite stores it: booleans are 0 and 1, `undefined` is null. */
export function toSqlValue(value: unknown): SqlValue {
  if (value === undefined || value === null) return null;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint') return value;
  throw new StoreError('STORE_VALUE', `A ${typeof value} cannot be stored.`);
}

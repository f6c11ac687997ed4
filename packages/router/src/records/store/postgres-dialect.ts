import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely';
import type { PostgresConnection } from './postgres-connections.ts';
import { typedRows } from './typed-rows.ts';

/** Kysely over PostgreSQL. `acquire` is asked for each query or transaction, which then stays on that connection. */
export function postgresDialect(acquire: () => Promise<PostgresConnection>): Dialect {
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new PostgresDriver(acquire),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
}

/** Whether this is a PostgreSQL database, where the two differ. */
export function isPostgres(db: Pick<Kysely<unknown>, 'getExecutor'>): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter;
}

class PostgresDriver implements Driver {
  readonly #acquire: () => Promise<PostgresConnection>;

  constructor(acquire: () => Promise<PostgresConnection>) {
    this.#acquire = acquire;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    return new KyselyConnection(await this.#acquire());
  }

  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    if (connection instanceof KyselyConnection) connection.inner.release();
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    if (connection instanceof KyselyConnection) await connection.inner.begin();
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    if (connection instanceof KyselyConnection) await connection.inner.end('commit');
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (connection instanceof KyselyConnection) await connection.inner.end('rollback');
  }

  async destroy(): Promise<void> {}
}

class KyselyConnection implements DatabaseConnection {
  readonly inner: PostgresConnection;

  constructor(inner: PostgresConnection) {
    this.inner = inner;
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const { rows, affected } = await this.inner.query(sql, parameters);
    return {
      rows: typedRows<R>(rows),
      ...(affected === undefined ? {} : { numAffectedRows: BigInt(affected) }),
    };
  }

  // oxlint-disable-next-line require-yield
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new TypeError('Streaming queries are not supported: page through the rows instead.');
  }
}

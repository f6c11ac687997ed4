import { type CustomTypesConfig, DatabaseError, Pool, type PoolClient, types } from 'pg';
import { StoreError } from './store-error.ts';

export interface PostgresLimits {
  /** Connections at once. */
  readonly connections: number;
  /** Time a connection may take, waiting for a free one included. */
  readonly connectMs: number;
  /** Time one statement may take; 0 is no limit. */
  readonly statementMs: number;
  /** Refuses to write. */
  readonly readOnly?: boolean;
}

/**
 * The few connections of one process to its PostgreSQL. One that has failed is not used again, so that a server which
 * went away, or was replaced by another, is found again at the next use.
 */
export class PostgresConnections {
  readonly #pool: Pool;
  #lent = 0;
  #isClosed = false;
  readonly #returned = Promise.withResolvers<void>();

  constructor(url: string, limits: PostgresLimits) {
    this.#pool = new Pool({
      connectionString: url,
      application_name: 'lfo',
      max: limits.connections,
      connectionTimeoutMillis: limits.connectMs,
      idleTimeoutMillis: 30_000,
      allowExitOnIdle: true,
      keepAlive: true,
      types: typeParsers,
      ...(limits.readOnly === true ? { options: '-c default_transaction_read_only=on' } : {}),
      // The server ends a statement that takes too long; a server that says nothing is given up a little later.
      ...(limits.statementMs === 0
        ? {}
        : {
            statement_timeout: limits.statementMs,
            idle_in_transaction_session_timeout: limits.statementMs,
            query_timeout: limits.statementMs * 1.5,
          }),
    });
    // An idle connection that breaks is the pool's business; without a listener it would end the process.
    this.#pool.on('error', () => {});
  }

  /** Release it when done. @throws StoreError when none is free in time */
  async acquire(): Promise<PostgresConnection> {
    if (this.#isClosed) throw new StoreError('STORE_CLOSED', 'The database is closed.');
    this.#lent += 1;
    try {
      const client = await this.#pool.connect();
      return new PostgresConnection(client, () => this.#giveBack());
    } catch (error) {
      this.#giveBack();
      throw toStoreError(error);
    }
  }

  /** Waits for those that are lent, then ends them all. Idempotent. */
  async close(): Promise<void> {
    const isFirst = !this.#isClosed;
    this.#isClosed = true;
    if (this.#lent === 0) this.#returned.resolve();
    await this.#returned.promise;
    if (isFirst) await this.#pool.end();
  }

  #giveBack(): void {
    this.#lent -= 1;
    if (this.#isClosed && this.#lent === 0) this.#returned.resolve();
  }
}

interface Answer {
  readonly rows: readonly unknown[];
  readonly affected: number | undefined;
}

/** One connection, lent for a query or a transaction. */
export class PostgresConnection {
  readonly #client: PoolClient;
  readonly #giveBack: () => void;
  readonly #onError = (): void => {
    this.#isBroken = true;
  };
  #isBroken = false;

  constructor(client: PoolClient, giveBack: () => void) {
    this.#client = client;
    this.#giveBack = giveBack;
    client.on('error', this.#onError);
  }

  /** @throws StoreError */
  async query(text: string, values: readonly unknown[]): Promise<Answer> {
    try {
      const { rows, rowCount } = await this.#client.query(text, [...values]);
      return { rows, affected: rowCount ?? undefined };
    } catch (error) {
      this.#isBroken ||= endsConnection(error);
      throw toStoreError(error);
    }
  }

  /** Call once. */
  release(): void {
    this.#client.off('error', this.#onError);
    this.#client.release(this.#isBroken);
    this.#giveBack();
  }
}

/** Types whose values the driver hands out as text though ours fit a number: counts, sums and times (pg_type.dat). */
const numberTypes: ReadonlySet<number> = new Set([20, 1700]);

const typeParsers: CustomTypesConfig = {
  getTypeParser: (...asked) => (numberTypes.has(asked[0]) ? Number : types.getTypeParser(...asked)),
};

/** Whether a new connection may fare better: this one is lost, or its server has become a replica that only reads. */
function endsConnection(error: unknown): boolean {
  if (!(error instanceof DatabaseError)) return true;
  return /^(08|57P|25006)/.test(error.code ?? '');
}

/** The driver's messages name hosts, users and sometimes values; these do not. */
function toStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  if (!(error instanceof DatabaseError)) return new StoreError(networkCode(error), 'PostgreSQL cannot be reached.');
  const code = error.code ?? 'STORE_FAILED';
  if (code.startsWith('28')) return new StoreError(code, 'PostgreSQL refuses the user or password of DATABASE_URL.');
  if (code === '3D000') return new StoreError(code, 'The database named by DATABASE_URL does not exist: create it.');
  if (code === '53300') return new StoreError(code, 'PostgreSQL takes no more connections.');
  return new StoreError(code, `PostgreSQL refuses a statement (${code}).`);
}

function networkCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'STORE_UNREACHABLE';
}

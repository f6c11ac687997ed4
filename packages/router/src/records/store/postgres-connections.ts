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
  /** Shown by the server's own tools; default `lfo`. */
  readonly name?: string;
}

/**
 * The few connections of one process to its PostgreSQL. One that has failed is not used again, so that a server which
 * went away, or was replaced by another, is found again at the next use.
 */
export class PostgresConnections {
  readonly #url: string;
  readonly #limits: PostgresLimits;
  #pool: Pool;
  /** A PgBouncer lets through no settings of a session. */
  #isPooled = false;
  #lent = 0;
  #isClosed = false;
  readonly #returned = Promise.withResolvers<void>();

  constructor(url: string, limits: PostgresLimits) {
    this.#url = url;
    this.#limits = limits;
    this.#pool = this.#makePool();
  }

  /** Release it when done. @throws StoreError when none is free in time */
  async acquire(): Promise<PostgresConnection> {
    if (this.#isClosed) throw new StoreError('STORE_CLOSED', 'The database is closed.');
    this.#lent += 1;
    try {
      const client = await this.#connect();
      const begin = this.#isPooled ? beginPooled(this.#limits) : 'begin';
      const isGuarded = this.#isPooled && this.#limits.readOnly === true;
      return new PostgresConnection(client, () => this.#giveBack(), { begin, isGuarded });
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

  async #connect(): Promise<PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      if (this.#isPooled || !refusesSettings(error)) throw error;
    }
    const direct = this.#pool;
    this.#isPooled = true;
    this.#pool = this.#makePool();
    void direct.end().catch(() => undefined);
    return this.#pool.connect();
  }

  #makePool(): Pool {
    const { connections, connectMs, statementMs, readOnly, name = 'lfo' } = this.#limits;
    const session = {
      ...(readOnly === true ? { options: '-c default_transaction_read_only=on' } : {}),
      ...(statementMs === 0
        ? {}
        : { statement_timeout: statementMs, idle_in_transaction_session_timeout: statementMs }),
    };
    const pool = new Pool({
      connectionString: this.#url,
      application_name: name,
      max: connections,
      connectionTimeoutMillis: connectMs,
      idleTimeoutMillis: 30_000,
      allowExitOnIdle: true,
      keepAlive: true,
      types: typeParsers,
      // The server ends a statement that takes too long; a server that says nothing is given up a little later.
      ...(this.#isPooled ? {} : session),
      ...(statementMs === 0 ? {} : { query_timeout: statementMs * 1.5 }),
    });
    // An idle connection that breaks is the pool's business; without a listener it would end the process.
    pool.on('error', () => {});
    return pool;
  }

  #giveBack(): void {
    this.#lent -= 1;
    if (this.#isClosed && this.#lent === 0) this.#returned.resolve();
  }
}

/** What a PgBouncer answers to a setting it does not know (SQLSTATE 08P01: "unsupported startup parameter"). */
function refusesSettings(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '08P01';
}

/** Settings of a transaction instead of a session, in one round trip with its beginning. */
function beginPooled({ statementMs, readOnly }: PostgresLimits): string {
  const mode = readOnly === true ? ' read only' : '';
  if (statementMs === 0) return `begin${mode}`;
  return `begin${mode}; set local statement_timeout = ${statementMs}; set local idle_in_transaction_session_timeout = ${statementMs}`;
}

/** How a connection is used. */
interface Manner {
  /** Begins a transaction. */
  readonly begin: string;
  /** Every statement is a transaction that may not write. */
  readonly isGuarded: boolean;
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
  readonly #manner: Manner;
  #isBroken = false;
  #isInTransaction = false;

  constructor(client: PoolClient, giveBack: () => void, manner: Manner) {
    this.#client = client;
    this.#giveBack = giveBack;
    this.#manner = manner;
    client.on('error', this.#onError);
  }

  /** @throws StoreError */
  async begin(): Promise<void> {
    await this.#send(this.#manner.begin, []);
    this.#isInTransaction = true;
  }

  /** @throws StoreError */
  async end(how: 'commit' | 'rollback'): Promise<void> {
    this.#isInTransaction = false;
    await this.#send(how, []);
  }

  /** @throws StoreError */
  async query(text: string, values: readonly unknown[]): Promise<Answer> {
    if (!this.#manner.isGuarded || this.#isInTransaction) return this.#send(text, values);
    await this.begin();
    try {
      return await this.#send(text, values);
    } finally {
      await this.end('rollback');
    }
  }

  async #send(text: string, values: readonly unknown[]): Promise<Answer> {
    try {
      // Without values several statements may be one message.
      const { rows, rowCount } = await (values.length === 0
        ? this.#client.query(text)
        : this.#client.query(text, [...values]));
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

import { Worker } from 'node:worker_threads';
import { StoreError } from './store-error.ts';

/** Values SQLite stores. */
export type SqlValue = string | number | bigint | null;

/** What the store asks its worker thread; answers come in order. */
export type SqliteRequest =
  /** First, and once. */
  | { readonly type: 'open'; readonly file: string; readonly readOnly: boolean; readonly lockWaitMs: number }
  | { readonly type: 'query'; readonly sql: string; readonly parameters: readonly SqlValue[] }
  /** One statement run for each row, those sent before included, all in one transaction. */
  | { readonly type: 'batch'; readonly sql: string; readonly rows: string; readonly rollUp?: RollUpSql };

/** The statements that count what a batch adds, in its transaction; `statements` are given what `lastRow` said before. */
export interface RollUpSql {
  readonly begin: string;
  readonly lastRow: string;
  readonly statements: readonly string[];
  readonly end: string;
}

/** What the store tells its worker thread without asking for an answer: rows of the batch that comes next. */
export interface SqliteRows {
  readonly type: 'rows';
  /** JSON: arrays of cells. One text crosses to another thread for a fifth of what the cells cost. */
  readonly rows: string;
}

export type SqliteAnswer =
  | {
      readonly type: 'done';
      readonly rows: readonly Readonly<Record<string, unknown>>[];
      readonly changes: bigint;
      readonly lastId: bigint;
    }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };

type Done = Extract<SqliteAnswer, { type: 'done' }>;

/** What is read and written is forgotten at once; V8 never gives a larger young generation back. */
const youngMb = 4;

/** One database in its worker thread; ask it to open a file first. When the thread dies, everything pending and later is rejected. */
export class SqliteConnection {
  readonly #worker: Worker;
  /** Answers come in the order of the questions. */
  readonly #pending: PromiseWithResolvers<Done>[] = [];
  readonly #exited = Promise.withResolvers<void>();
  #failure: StoreError | undefined;

  constructor() {
    this.#worker = new Worker(new URL('./sqlite-worker.ts', import.meta.url), {
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: youngMb },
    });
    this.#worker.unref();
    this.#worker.on('message', (answer: SqliteAnswer) => this.#onAnswer(answer));
    this.#worker.on('error', (error) =>
      this.#fail(new StoreError('STORE_FAILED', 'The database cannot be used.', error)),
    );
    this.#worker.on('exit', () => {
      this.#fail(new StoreError('STORE_CLOSED', 'The database is closed.'));
      this.#exited.resolve();
    });
  }

  /** Whether it can still be used. */
  get isOpen(): boolean {
    return this.#failure === undefined;
  }

  ask(request: SqliteRequest): Promise<Done> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const pending = Promise.withResolvers<Done>();
    this.#pending.push(pending);
    // A question under way keeps the process alive, an idle database does not.
    this.#worker.ref();
    this.#worker.postMessage(request);
    return pending.promise;
  }

  tell(rows: SqliteRows): void {
    if (this.#failure === undefined) this.#worker.postMessage(rows);
  }

  /** Finishes what was asked, then ends the thread. Idempotent. */
  async close(): Promise<void> {
    this.#worker.ref();
    this.#worker.postMessage('close');
    await this.#exited.promise;
  }

  #onAnswer(answer: SqliteAnswer): void {
    const pending = this.#pending.shift();
    if (this.#pending.length === 0) this.#worker.unref();
    if (answer.type === 'done') pending?.resolve(answer);
    else pending?.reject(new StoreError(answer.code, answer.message));
  }

  #fail(error: StoreError): void {
    this.#failure ??= error;
    for (const pending of this.#pending.splice(0)) pending.reject(this.#failure);
  }
}

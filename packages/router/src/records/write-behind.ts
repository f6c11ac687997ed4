import type { Clock } from '../core/clock.ts';
import { StoreError } from './store/store-error.ts';

export interface WriteBehindOptions<Row> {
  /** Stores a batch; called one at a time and again with the same rows after a failure. */
  readonly write: (rows: readonly Row[]) => Promise<void>;
  /** Stores that rows were lost. Called again after a failure, by then with more of them; `fromMs` tells them apart. */
  readonly writeLoss?: (loss: Loss) => Promise<void>;
  readonly clock: Clock;
  /** Told when writing begins to fail and when it works again, not of each failure between, and of rows that are refused. */
  readonly onHealth?: (health: WriteHealth) => void;
  /** Rows waiting at most; beyond, new ones are dropped and counted. */
  readonly maxPending?: number;
  /** Written at once, at most. */
  readonly batchRows?: number;
  /** Longest time a row waits for company. */
  readonly batchMs?: number;
}

export type WriteHealth =
  | { readonly type: 'degraded'; readonly error: unknown }
  /** `dropped` counts the rows lost meanwhile. */
  | { readonly type: 'recovered'; readonly dropped: number }
  /** The database works and refuses these rows as they are; they are dropped. */
  | { readonly type: 'refused'; readonly dropped: number; readonly error: StoreError };

/** Rows that found no room one after the other. */
export interface Loss {
  /** Unix milliseconds of the first and the last of them. */
  readonly fromMs: number;
  readonly untilMs: number;
  readonly rows: number;
}

/** Counters since the start. */
export interface WriteStatus {
  readonly pending: number;
  readonly written: number;
  readonly dropped: number;
  readonly degraded: boolean;
}

const firstRetryMs = 1_000;
const longestRetryMs = 30_000;

/** Collects rows and writes them in batches off the caller's path. Adding a row never waits and never throws. */
export class WriteBehind<Row> {
  readonly #write: (rows: readonly Row[]) => Promise<void>;
  readonly #writeLoss: (loss: Loss) => Promise<void>;
  readonly #clock: Clock;
  readonly #onHealth: (health: WriteHealth) => void;
  readonly #maxPending: number;
  readonly #batchRows: number;
  readonly #batchMs: number;
  #queue: Row[] = [];
  #writing: Promise<void> | undefined;
  #cancelTimer: (() => void) | undefined;
  #written = 0;
  #dropped = 0;
  /** Failures in a row; 0 is healthy. */
  #failures = 0;
  #droppedBefore = 0;
  /** Not stored yet. */
  #loss: Loss | undefined;

  constructor(options: WriteBehindOptions<Row>) {
    this.#write = options.write;
    this.#writeLoss = options.writeLoss ?? (async (): Promise<void> => {});
    this.#clock = options.clock;
    this.#onHealth = options.onHealth ?? ((): void => {});
    this.#maxPending = options.maxPending ?? 10_000;
    this.#batchRows = options.batchRows ?? 64;
    this.#batchMs = options.batchMs ?? 100;
  }

  /** Takes a row, or drops it when too many wait. */
  add(row: Row): void {
    if (this.#queue.length >= this.#maxPending) {
      this.#drop();
      return;
    }
    this.#queue.push(row);
    if (this.#failures > 0 || this.#writing !== undefined) return;
    if (this.#queue.length >= this.#batchRows) this.#start();
    else this.#schedule(this.#batchMs);
  }

  status(): WriteStatus {
    return {
      pending: this.#queue.length,
      written: this.#written,
      dropped: this.#dropped,
      degraded: this.#failures > 0,
    };
  }

  /** Writes what waits now; resolves when it is stored or the first write fails. Never rejects. */
  async flush(): Promise<void> {
    do {
      this.#start();
      await this.#writing;
    } while (this.#hasWork() && this.#failures === 0);
  }

  /** As `flush`, then stops. */
  async close(): Promise<void> {
    await this.flush();
    this.#stopTimer();
    this.#dropped += this.#queue.length;
    this.#queue = [];
  }

  #start(): void {
    this.#stopTimer();
    if (this.#writing !== undefined || !this.#hasWork()) return;
    const batch = this.#queue.slice(0, this.#batchRows);
    this.#writing = this.#writeBatch(batch).finally(() => {
      this.#writing = undefined;
      this.#continue();
    });
  }

  async #writeBatch(batch: readonly Row[]): Promise<void> {
    try {
      const refusals = await this.#writeApart(batch);
      this.#queue.splice(0, batch.length);
      this.#written += batch.length - refusals.length;
      this.#dropRefused(refusals);
      // Later, for under lasting pressure the next rows would be lost at once, and each turn be a loss of its own.
      if (this.#queue.length <= this.#maxPending / 2) await this.#storeLoss();
    } catch (error) {
      this.#failures += 1;
      if (this.#failures > 1) return;
      this.#droppedBefore = this.#dropped;
      this.#onHealth({ type: 'degraded', error });
      return;
    }
    if (this.#failures === 0) return;
    this.#failures = 0;
    this.#onHealth({ type: 'recovered', dropped: this.#dropped - this.#droppedBefore });
  }

  /** Writes what the database takes, in halves where it refuses a part; what it said of each row that it does not take. */
  async #writeApart(rows: readonly Row[]): Promise<readonly StoreError[]> {
    try {
      if (rows.length > 0) await this.#write(rows);
      return [];
    } catch (error) {
      if (!(error instanceof StoreError) || !error.refusesRows) throw error;
      if (rows.length === 1) return [error];
      const middle = Math.ceil(rows.length / 2);
      const first = await this.#writeApart(rows.slice(0, middle));
      return [...first, ...(await this.#writeApart(rows.slice(middle)))];
    }
  }

  #dropRefused(refusals: readonly StoreError[]): void {
    const [error] = refusals;
    if (error === undefined) return;
    for (const _refusal of refusals) this.#drop();
    this.#onHealth({ type: 'refused', dropped: refusals.length, error });
  }

  #continue(): void {
    if (!this.#hasWork()) return;
    if (this.#failures > 0) this.#schedule(Math.min(longestRetryMs, firstRetryMs * 2 ** (this.#failures - 1)));
    else if (this.#queue.length >= this.#batchRows) this.#start();
    else this.#schedule(this.#batchMs);
  }

  #hasWork(): boolean {
    return this.#queue.length > 0 || this.#loss !== undefined;
  }

  #drop(): void {
    this.#dropped += 1;
    const nowMs = Math.round(this.#clock.wallMs());
    const { fromMs, rows } = this.#loss ?? { fromMs: nowMs, rows: 0 };
    this.#loss = { fromMs, untilMs: Math.max(fromMs, nowMs), rows: rows + 1 };
  }

  async #storeLoss(): Promise<void> {
    const loss = this.#loss;
    if (loss === undefined) return;
    await this.#writeLoss(loss);
    // What was lost meanwhile goes into the same row.
    if (this.#loss === loss) this.#loss = undefined;
  }

  #schedule(delayMs: number): void {
    this.#cancelTimer ??= this.#clock.schedule(delayMs, () => this.#start());
  }

  #stopTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }
}

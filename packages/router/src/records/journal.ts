import type { Clock } from '../core/clock.ts';
import type { Journal, JournalEntry } from '../core/journal.ts';
import type { SignatureRow, Store } from './tables.ts';
import { WriteBehind, type WriteHealth } from './write-behind.ts';

/** About 5,000 calls of the largest signatures seen. */
export const keptSignatures = 20_000;

const sharedBatchMs = 5;

/** Signatures in the database: written behind, read once at the start, the oldest beyond the limit dropped. */
export class StoredJournal implements Journal {
  readonly find: Journal['find'];
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #rows: WriteBehind<SignatureRow>;

  /** @param isShared other routers write there too */
  constructor(
    store: Store,
    clock: Clock,
    onHealth?: (health: WriteHealth) => void,
    limit: number = keptSignatures,
    isShared = false,
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#limit = limit;
    if (isShared) this.find = (keys) => this.#find(keys);
    this.#rows = new WriteBehind({
      write: (rows) => store.append('signatures', rows, 'replace'),
      clock,
      // The next turn of a conversation may come to another router, as soon as this one has ended.
      ...(isShared && { batchMs: sharedBatchMs }),
      ...(onHealth === undefined ? {} : { onHealth }),
    });
  }

  /** Oldest first. Rejects while the database cannot be reached. */
  async load(): Promise<readonly JournalEntry[]> {
    const newest = await this.#store.db
      .selectFrom('signatures')
      .selectAll()
      .orderBy('time_ms', 'desc')
      .limit(this.#limit)
      .execute();
    const oldest = newest.at(-1);
    if (oldest !== undefined && newest.length === this.#limit) {
      await this.#store.db.deleteFrom('signatures').where('time_ms', '<', oldest.time_ms).execute();
    }
    return newest.toReversed().map(({ key, signature }) => ({ key, value: signature }));
  }

  async #find(keys: readonly string[]): Promise<readonly JournalEntry[]> {
    const { db } = this.#store;
    const rows = await db.selectFrom('signatures').selectAll().where('key', 'in', keys).execute();
    return rows.map(({ key, signature }) => ({ key, value: signature }));
  }

  append({ key, value }: JournalEntry): void {
    this.#rows.add({ key, signature: value, time_ms: Math.round(this.#clock.wallMs()) });
  }

  /** Resolves when what waits is stored, or at the first failure. */
  flush(): Promise<void> {
    return this.#rows.flush();
  }

  /** A last flush. The store stays open. */
  close(): Promise<void> {
    return this.#rows.close();
  }
}

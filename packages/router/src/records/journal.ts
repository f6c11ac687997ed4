import type { Clock } from '../core/clock.ts';
import type { Journal, JournalEntry } from '../core/journal.ts';
import type { SignatureRow, Store } from './tables.ts';
import { WriteBehind, type WriteHealth } from './write-behind.ts';

/** About 5,000 calls of the largest signatures seen. */
export const keptSignatures = 20_000;

/** Signatures in the database: written behind, read once at the start, the oldest beyond the limit dropped. */
export class StoredJournal implements Journal {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #rows: WriteBehind<SignatureRow>;

  constructor(store: Store, clock: Clock, onHealth?: (health: WriteHealth) => void, limit: number = keptSignatures) {
    this.#store = store;
    this.#clock = clock;
    this.#limit = limit;
    this.#rows = new WriteBehind({
      write: (rows) => store.append('signatures', rows, 'replace'),
      clock,
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

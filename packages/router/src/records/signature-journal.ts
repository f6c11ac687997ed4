import type { Clock } from '../core/clock.ts';
import { defaultSignatureLimits, type SavedSignature, type SignatureJournal } from '../core/signatures.ts';
import type { SignatureRow, Store } from '../core/store.ts';
import { WriteBehind, type WriteHealth } from './write-behind.ts';

/** Signatures in the database: written behind, read once at the start, the oldest beyond the limit let go. */
export class StoredSignatureJournal implements SignatureJournal {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #rows: WriteBehind<SignatureRow>;

  constructor(
    store: Store,
    clock: Clock,
    onHealth?: (health: WriteHealth) => void,
    limit: number = defaultSignatureLimits.entries,
  ) {
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
  async load(): Promise<readonly SavedSignature[]> {
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
    return newest.toReversed().map(({ key, signature }) => ({ key, signature }));
  }

  append({ key, signature }: SavedSignature): void {
    this.#rows.add({ key, signature, time_ms: Math.round(this.#clock.wallMs()) });
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

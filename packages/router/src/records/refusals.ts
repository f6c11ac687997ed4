import type { Clock } from '../core/clock.ts';
import { noUsage, usageDimensions } from './store/usage-roll-up.ts';
import type { RequestRow, Store } from './tables.ts';
import { WriteBehind, type WriteStatus } from './write-behind.ts';

/** Rows of one code a second; what is beyond is only counted. */
const rowsASecond = 20;
/** So many may wait for a database that is away: those of answers have a queue of their own. */
const maxPending = 1_000;
const flushMs = 1_000;
const minuteMs = 60_000;
/** Buckets of counts that may wait. */
const maxCounts = 10_000;

/** Of refusals without a row, by minute and key. */
interface Surplus {
  readonly bucketMs: number;
  readonly clientKey: string;
  refused: number;
  failed: number;
}

/**
 * Keeps requests that were turned away before anything was tried for them, within a budget of their own: no flood of
 * them pushes answers out of the records, and all of them are counted.
 */
export class Refusals {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #rows: WriteBehind<RequestRow>;
  /** Rows of the running second by code; the codes are ours, so there are few. */
  readonly #seconds = new Map<string, { second: number; rows: number }>();
  #surplus = new Map<string, Surplus>();
  #cancel: (() => void) | undefined;
  #writing: Promise<void> | undefined;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#rows = new WriteBehind({ write: (rows) => store.append('requests', rows), clock, maxPending });
  }

  add(row: RequestRow): void {
    const code = row.error_code ?? '';
    const second = Math.floor(this.#clock.nowMs() / 1_000);
    const known = this.#seconds.get(code);
    const current = known?.second === second ? known : { second, rows: 0 };
    this.#seconds.set(code, current);
    if (++current.rows <= rowsASecond) this.#rows.add(row);
    else this.#count(row);
  }

  status(): WriteStatus {
    return this.#rows.status();
  }

  /** A last write. */
  async close(): Promise<void> {
    this.#cancel?.();
    this.#cancel = undefined;
    await this.#writing;
    await this.#rows.close();
    await this.#flush();
  }

  #count(row: RequestRow): void {
    const bucketMs = row.time_ms - (row.time_ms % minuteMs);
    const clientKey = row.client_key ?? '';
    const slot = `${bucketMs} ${clientKey}`;
    const surplus = this.#surplus.get(slot) ?? { bucketMs, clientKey, refused: 0, failed: 0 };
    if (!this.#surplus.has(slot) && this.#surplus.size >= maxCounts) return;
    this.#surplus.set(slot, surplus);
    if (row.status < 500) surplus.refused++;
    else surplus.failed++;
    this.#cancel ??= this.#clock.schedule(flushMs, () => {
      this.#cancel = undefined;
      this.#writing = this.#flush();
    });
  }

  async #flush(): Promise<void> {
    const counts = this.#surplus;
    if (counts.size === 0) return;
    this.#surplus = new Map();
    try {
      await this.#add([...counts.values()]);
    } catch {
      // Kept for the next time.
      for (const [slot, { refused, failed }] of counts) {
        const later = this.#surplus.get(slot);
        if (later === undefined) continue;
        later.refused += refused;
        later.failed += failed;
        counts.delete(slot);
      }
      this.#surplus = new Map([...counts, ...this.#surplus]);
      this.#cancel ??= this.#clock.schedule(10 * flushMs, () => {
        this.#cancel = undefined;
        this.#writing = this.#flush();
      });
    }
  }

  async #add(counts: readonly Surplus[]): Promise<void> {
    const ordered = counts.toSorted((a, b) => a.bucketMs - b.bucketMs || (a.clientKey < b.clientKey ? -1 : 1));
    await this.#store.db
      .insertInto('usage_counts')
      .values(
        ordered.map(({ bucketMs, clientKey, refused, failed }) => ({
          bucket_ms: bucketMs,
          client_key: clientKey,
          model: '',
          backend: '',
          device: '',
          ...noUsage,
          requests: refused + failed,
          failed,
          refused,
        })),
      )
      .onConflict((conflict) =>
        conflict.columns(['bucket_ms', ...usageDimensions]).doUpdateSet((excluded) => ({
          requests: excluded('usage_counts.requests', '+', excluded.ref('excluded.requests')),
          failed: excluded('usage_counts.failed', '+', excluded.ref('excluded.failed')),
          refused: excluded('usage_counts.refused', '+', excluded.ref('excluded.refused')),
        })),
      )
      .execute();
  }
}

import type { Clock } from '../core/clock.ts';
import type { Consumption, UsageLedger } from '../core/identity.ts';
import type { KeyUsageRow, Store } from '../records/tables.ts';

const dayMs = 86_400_000;
const flushMs = 1_000;
/** Days kept for lists and bills. */
const keptDays = 400;

const nothing: Consumption = { requests: 0, tokens: 0, usd: 0 };

/** By day and key, as the database has them. */
type Used = ReadonlyMap<string, KeyUsageRow>;

/**
 * What each key used today, in memory and, a second later, in the database. What is written are additions, so routers
 * that share a database count together, each seeing the others' share within two seconds of a request of its own. What was not written yet is lost
 * when the process is killed; a write whose answer was lost counts twice.
 */
export class StoredUsageLedger implements UsageLedger {
  readonly #store: Store;
  readonly #clock: Clock;
  /** Of the day that was read last. */
  #stored: Used = new Map();
  #writing: Used = new Map();
  /** To be written next, each to the day it was used on. */
  #pending = new Map<string, KeyUsageRow>();
  #flushing: Promise<void> | undefined;
  #cancel: (() => void) | undefined;
  #isClosed = false;
  /** Whether something was written since the table was read in a quiet second. */
  #mayHaveMissed = false;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  today(keyId: string): Consumption {
    const slot = slotOf(this.#day(), keyId);
    return [this.#stored, this.#writing, this.#pending].reduce(
      (sum, part) => plus(sum, part.get(slot) ?? nothing),
      nothing,
    );
  }

  unwritten(keyId: string): Consumption {
    const slot = slotOf(this.#day(), keyId);
    return plus(this.#writing.get(slot) ?? nothing, this.#pending.get(slot) ?? nothing);
  }

  /** Reads what other routers have written; rejects where the database cannot be reached. */
  async refresh(): Promise<void> {
    await this.#read();
  }

  add(keyId: string, used: Consumption): void {
    addTo(this.#pending, { key_id: keyId, day: this.#day(), ...used });
  }

  /** Reads what earlier processes used today and goes on writing; resolves when that was tried. */
  async start(): Promise<void> {
    const { db } = this.#store;
    await this.#read().catch(() => undefined);
    await db
      .deleteFrom('key_usage')
      .where('day', '<', this.#day() - keptDays)
      .execute()
      .catch(() => undefined);
    this.#again();
  }

  /** Writes what is pending; resolves when that succeeded or failed. */
  flush(): Promise<void> {
    this.#flushing ??= this.#write().finally(() => (this.#flushing = undefined));
    return this.#flushing;
  }

  /** A last write. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    await this.#flushing;
    await this.flush();
  }

  #day(): number {
    return Math.floor(this.#clock.wallMs() / dayMs);
  }

  #again(): void {
    if (this.#isClosed) return;
    this.#cancel = this.#clock.schedule(flushMs, () => {
      // Once more after a write: others may have written in the same second. An idle router asks for nothing.
      const isIdle = this.#pending.size === 0;
      if (isIdle && !this.#mayHaveMissed) return this.#again();
      this.#mayHaveMissed = !isIdle;
      void (isIdle ? this.#read().catch(() => undefined) : this.flush()).finally(() => this.#again());
    });
  }

  async #write(): Promise<void> {
    this.#writing = this.#pending;
    this.#pending = new Map();
    try {
      await this.#addRows([...this.#writing.values()]);
    } catch {
      // Kept for the next time.
      this.#pending = joined(this.#writing, this.#pending);
      this.#writing = new Map();
      return;
    }
    // Without an await between, so that no sum is short for a moment.
    this.#stored = joined(this.#stored, this.#writing);
    this.#writing = new Map();
    await this.#read().catch(() => undefined);
  }

  async #addRows(rows: readonly KeyUsageRow[]): Promise<void> {
    if (rows.length === 0) return;
    await this.#store.db
      .insertInto('key_usage')
      // In one order, so that two routers cannot block each other.
      .values(rows.toSorted((a, b) => a.day - b.day || (a.key_id < b.key_id ? -1 : 1)))
      .onConflict((conflict) =>
        conflict.columns(['key_id', 'day']).doUpdateSet((excluded) => ({
          requests: excluded('key_usage.requests', '+', excluded.ref('excluded.requests')),
          tokens: excluded('key_usage.tokens', '+', excluded.ref('excluded.tokens')),
          usd: excluded('key_usage.usd', '+', excluded.ref('excluded.usd')),
        })),
      )
      .execute();
  }

  async #read(): Promise<void> {
    const rows = await this.#store.db.selectFrom('key_usage').selectAll().where('day', '=', this.#day()).execute();
    this.#stored = new Map(rows.map((row) => [slotOf(row.day, row.key_id), row]));
  }
}

function slotOf(day: number, keyId: string): string {
  return `${day} ${keyId}`;
}

function joined(a: Used, b: Used): Map<string, KeyUsageRow> {
  const sum = new Map(a);
  for (const row of b.values()) addTo(sum, row);
  return sum;
}

function addTo(sums: Map<string, KeyUsageRow>, row: KeyUsageRow): void {
  const slot = slotOf(row.day, row.key_id);
  sums.set(slot, { ...row, ...plus(sums.get(slot) ?? nothing, row) });
}

function plus(a: Consumption, b: Consumption): Consumption {
  return { requests: a.requests + b.requests, tokens: a.tokens + b.tokens, usd: a.usd + b.usd };
}

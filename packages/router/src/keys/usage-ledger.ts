import type { Clock } from '../core/clock.ts';
import type { Consumption, UsageLedger } from '../core/identity.ts';
import type { Store } from '../records/tables.ts';

const dayMs = 86_400_000;
const flushMs = 1_000;
/** Days kept for lists and bills. */
const keptDays = 400;

const nothing: Consumption = { requests: 0, tokens: 0, usd: 0 };

/**
 * What each key used today, in memory and, a second later, in the database. What is written are additions, so routers
 * that share a database count together, each seeing the others' share within a second. What was not written yet is lost
 * when the process is killed; a write whose answer was lost counts twice.
 */
export class StoredUsageLedger implements UsageLedger {
  readonly #store: Store;
  readonly #clock: Clock;
  #day: number;
  /** As the database has it. */
  #stored: ReadonlyMap<string, Consumption> = new Map();
  /** Being written. */
  #writing: ReadonlyMap<string, Consumption> = new Map();
  /** To be written next. */
  #pending = new Map<string, Consumption>();
  #flushing: Promise<void> | undefined;
  #cancel: (() => void) | undefined;
  #isClosed = false;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#day = dayOf(clock.wallMs());
  }

  today(keyId: string): Consumption {
    this.#turnDay();
    return [this.#stored, this.#writing, this.#pending].reduce(
      (sum, part) => plus(sum, part.get(keyId) ?? nothing),
      nothing,
    );
  }

  add(keyId: string, used: Consumption): void {
    this.#turnDay();
    this.#pending.set(keyId, plus(this.#pending.get(keyId) ?? nothing, used));
  }

  /** Reads what earlier processes used today and goes on writing; resolves when that was tried. */
  async start(): Promise<void> {
    const { db } = this.#store;
    await this.#read().catch(() => undefined);
    await db
      .deleteFrom('key_usage')
      .where('day', '<', this.#day - keptDays)
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

  #again(): void {
    if (this.#isClosed) return;
    this.#cancel = this.#clock.schedule(flushMs, () => void this.flush().finally(() => this.#again()));
  }

  async #write(): Promise<void> {
    const day = this.#day;
    this.#writing = this.#pending;
    this.#pending = new Map();
    try {
      await this.#addRows(day, this.#writing);
    } catch {
      // Kept for the next time; a day that has ended meanwhile is not worth a place of its own.
      this.#pending = merged(this.#pending, this.#writing);
      this.#writing = new Map();
      return;
    }
    // Without an await between, so that no sum is short for a moment.
    this.#stored = merged(this.#stored, this.#writing);
    this.#writing = new Map();
    await this.#read().catch(() => undefined);
  }

  async #addRows(day: number, used: ReadonlyMap<string, Consumption>): Promise<void> {
    if (used.size === 0) return;
    const rows = Array.from(used, ([key_id, consumption]) => ({ key_id, day, ...consumption }));
    await this.#store.db
      .insertInto('key_usage')
      .values(rows)
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
    const day = this.#day;
    const rows = await this.#store.db.selectFrom('key_usage').selectAll().where('day', '=', day).execute();
    if (day !== this.#day) return;
    this.#stored = new Map(rows.map(({ key_id, requests, tokens, usd }) => [key_id, { requests, tokens, usd }]));
  }

  #turnDay(): void {
    const day = dayOf(this.#clock.wallMs());
    if (day === this.#day) return;
    this.#day = day;
    this.#stored = new Map();
    this.#writing = new Map();
    this.#pending = new Map();
  }
}

function dayOf(wallMs: number): number {
  return Math.floor(wallMs / dayMs);
}

function merged(a: ReadonlyMap<string, Consumption>, b: ReadonlyMap<string, Consumption>): Map<string, Consumption> {
  const sum = new Map(a);
  for (const [key, used] of b) sum.set(key, plus(sum.get(key) ?? nothing, used));
  return sum;
}

function plus(a: Consumption, b: Consumption): Consumption {
  return { requests: a.requests + b.requests, tokens: a.tokens + b.tokens, usd: a.usd + b.usd };
}

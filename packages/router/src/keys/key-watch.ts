import type { Clock } from '../core/clock.ts';
import { isInForce, type KeyRing, type ManagedKey } from './managed-key.ts';
import type { KeyCopy } from './key-copy.ts';
import type { KeyTable } from './key-table.ts';

export interface KeyWatchOptions {
  readonly table: Pick<KeyTable, 'list' | 'stamp'>;
  readonly copy: KeyCopy;
  readonly clock: Clock;
  /** Whether the database does not exist yet, so that no key can be in it before it was read. */
  readonly isNew?: boolean;
  /** How often changes are looked for; default 250 ms, which is enough where nobody tells of them. */
  readonly lookMs?: number;
  /** Told after each change that was seen, and when a key has expired. */
  readonly onChange?: () => void;
  /** Told when the database begins to fail and when it answers again. */
  readonly onHealth?: (isReadable: boolean) => void;
  /** Told once of each row that is no key, by its id. */
  readonly onUnreadable?: (id: string) => void;
}

/** Twice as often as a revoked key may live on, and room for a slow look. */
const lookMs = 250;
/** How long keys stay good while the database does not answer. */
const trustMs = 3_600_000;
/** So soon after a jump of the wall clock is an expiry seen. */
const longestLookAheadMs = 60_000;

/**
 * The keys in memory, kept as the database has them: looked up without waiting, refreshed off the request path. While
 * the database fails, known keys stay good for an hour; nobody comes in for want of it.
 */
export class KeyWatch implements KeyRing {
  readonly #options: KeyWatchOptions;
  #keys: ReadonlyMap<string, ManagedKey> = new Map();
  #stamp: string | undefined;
  /** Monotonic time of the last look that succeeded, so that a jump of the wall clock shuts nobody out. */
  #readMs = -Infinity;
  #isReadable = true;
  readonly #unreadable = new Set<string>();
  /** Whether it is known that no key was given out; while it is not, the router stays closed. */
  #isKnown: boolean;
  #isClosed = false;
  #looking: Promise<void> | undefined;
  #cancel: (() => void) | undefined;
  #cancelExpiry: (() => void) | undefined;

  constructor(options: KeyWatchOptions) {
    this.#options = options;
    this.#isKnown = options.isNew === true;
    const copied = options.copy.read();
    if (copied === undefined) return;
    const ageMs = Math.max(0, options.clock.wallMs() - copied.readMs);
    this.#take(copied.keys, options.clock.nowMs() - ageMs);
  }

  find(id: string): ManagedKey | undefined {
    return this.#options.clock.nowMs() - this.#readMs > trustMs ? undefined : this.#keys.get(id);
  }

  get isNeeded(): boolean {
    return this.#keys.size > 0 || !this.#isKnown;
  }

  expiring(wallMs: number): readonly (ManagedKey & { readonly expiresMs: number })[] {
    return [...this.#keys.values()].flatMap((key) => {
      const { expiresMs } = key;
      return expiresMs !== undefined && isInForce(key, wallMs) ? [{ ...key, expiresMs }] : [];
    });
  }

  /** Looks for the first time and goes on looking; resolves when the first look is over, well or not. */
  async start(): Promise<void> {
    await this.look();
  }

  /** Looks now, and once more where a look is under way: it may have seen what was before. */
  look(): Promise<void> {
    this.#looking = this.#looking === undefined ? this.#look() : this.#looking.then(() => this.#look());
    const looking = this.#looking;
    return looking.finally(() => {
      if (this.#looking === looking) this.#looking = undefined;
    });
  }

  stop(): void {
    this.#isClosed = true;
    this.#cancel?.();
    this.#cancelExpiry?.();
  }

  async #look(): Promise<void> {
    const { table, clock } = this.#options;
    try {
      const stamp = await table.stamp();
      if (stamp !== this.#stamp) {
        const keys = await table.list();
        this.#take(keys, clock.nowMs());
        this.#stamp = stamp;
        this.#sayUnreadable();
        this.#options.onChange?.();
        await this.#save();
      }
      this.#readMs = clock.nowMs();
      this.#say(true);
    } catch {
      this.#say(false);
    }
    this.#cancel?.();
    if (!this.#isClosed) this.#cancel = clock.schedule(this.#options.lookMs ?? lookMs, () => void this.look());
  }

  #take(keys: readonly ManagedKey[], readMs: number): void {
    this.#keys = new Map(keys.map((key) => [key.id, key]));
    this.#isKnown = true;
    this.#readMs = readMs;
    this.#awaitExpiry();
  }

  /** That a key expires is a change too: what runs under it ends then. Looked at anew each while, as wall time may jump. */
  #awaitExpiry(): void {
    this.#cancelExpiry?.();
    if (this.#isClosed) return;
    const { clock, onChange } = this.#options;
    const wallMs = clock.wallMs();
    const next = Math.min(
      ...[...this.#keys.values()].map(({ expiresMs = Infinity }) => expiresMs).filter((ms) => ms > wallMs),
    );
    if (next === Infinity) return;
    this.#cancelExpiry = clock.schedule(Math.min(next - wallMs, longestLookAheadMs), () => {
      if (next <= clock.wallMs()) onChange?.();
      this.#awaitExpiry();
    });
  }

  /** The copy is for bad days; that it cannot be written is one, but not for those who ask now. */
  async #save(): Promise<void> {
    const copied = { readMs: this.#options.clock.wallMs(), keys: [...this.#keys.values()] };
    await this.#options.copy.write(copied).catch(() => undefined);
  }

  #sayUnreadable(): void {
    for (const { id, isUnreadable } of this.#keys.values()) {
      if (isUnreadable !== true || this.#unreadable.has(id)) continue;
      this.#unreadable.add(id);
      this.#options.onUnreadable?.(id);
    }
  }

  #say(isReadable: boolean): void {
    if (isReadable !== this.#isReadable) this.#options.onHealth?.(isReadable);
    this.#isReadable = isReadable;
  }
}

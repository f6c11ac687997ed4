import type { Clock } from '../core/clock.ts';
import type { DeviceRecord, DeviceRegistry } from '../core/devices.ts';
import type { Logger } from '../core/logger.ts';

const retryMs = 5_000;

interface Pending {
  readonly record: DeviceRecord;
  /** The whole row, not just when it was seen. */
  readonly isWhole: boolean;
}

/** Keeps the registry's rows: read once, written in order and again where the database was away. */
export class Registrar {
  readonly #registry: DeviceRegistry;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #pending = new Map<string, Pending>();
  readonly #removed = new Map<string, DeviceRecord>();
  #isWriting = false;
  #cancelRetry: (() => void) | undefined;
  #isClosed = false;

  constructor(registry: DeviceRegistry, clock: Clock, log: Logger) {
    this.#registry = registry;
    this.#clock = clock;
    this.#log = log;
  }

  /** Everyone in the registry; waits for a database that is away. */
  async load(): Promise<readonly DeviceRecord[]> {
    for (let isFirst = true; !this.#isClosed; isFirst = false) {
      try {
        const records = await this.#registry.list();
        for (const record of records) if (record.publicKey === undefined) this.#removed.set(record.id, record);
        return records;
      } catch {
        if (isFirst) this.#log.warn('The database cannot be read: paired devices are served when it can.');
        await new Promise<void>((resolve) => (this.#cancelRetry = this.#clock.schedule(retryMs, resolve)));
      }
    }
    return [];
  }

  /** The row of a device that was removed: a key paired again keeps its name. */
  removed(id: string): DeviceRecord | undefined {
    return this.#removed.get(id);
  }

  /** The registry as it is now; what this router has yet to write goes before. Rejects while it cannot be read. */
  async read(): Promise<readonly DeviceRecord[]> {
    const records = await this.#registry.list();
    const known = records.map((stored) => {
      const own = this.#pending.get(stored.id);
      return own?.isWhole === true ? own.record : stored;
    });
    for (const record of known) {
      if (record.publicKey === undefined) this.#removed.set(record.id, record);
      else this.#removed.delete(record.id);
    }
    return known;
  }

  /** Writes a row soon. */
  save(record: DeviceRecord): void {
    if (record.publicKey === undefined) this.#removed.set(record.id, record);
    else this.#removed.delete(record.id);
    this.#pending.set(record.id, { record, isWhole: true });
    void this.#write();
  }

  /** Writes when and where it was seen, and nothing else. */
  seen(record: DeviceRecord): void {
    this.#pending.set(record.id, { record, isWhole: this.#pending.get(record.id)?.isWhole === true });
    void this.#write();
  }

  /** Writes a row; rejects where the database does not take it. */
  async saved(record: DeviceRecord): Promise<void> {
    await this.#registry.save(record);
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelRetry?.();
  }

  async #write(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    for (;;) {
      const [next] = this.#pending;
      if (next === undefined) break;
      const [id, pending] = next;
      try {
        if (pending.isWhole) await this.#registry.save(pending.record);
        else await this.#registry.seen(pending.record);
        // A row that has changed meanwhile is written again: a removal must not wait.
        if (this.#pending.get(id) === pending) this.#pending.delete(id);
      } catch {
        this.#log.warn({ device: id }, 'The database does not take what is known of a device; tried again soon.');
        break;
      }
    }
    this.#isWriting = false;
    if (this.#pending.size === 0 || this.#isClosed) return;
    this.#cancelRetry = this.#clock.schedule(retryMs, () => void this.#write());
  }
}

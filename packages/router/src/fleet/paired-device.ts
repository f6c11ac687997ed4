import type { Channel } from '@lfo/protocol';
import { DeviceBackend, type DeviceBackendOptions } from '../backends/engines/device/device-backend.ts';
import type { Clock } from '../core/clock.ts';
import type { DeviceRecord } from '../core/devices.ts';
import type { Hello } from './first-message.ts';

/** So many take-overs within the time below, while the older link was alive, are two machines with one key. */
const conflictTakeOvers = 3;
const takeOverWindowMs = 300_000;
/** One of the two alone must have called for this long before it is served again. */
const conflictQuietMs = 600_000;

interface Link {
  readonly channel: Channel;
  readonly boot: string;
  readonly address: string;
  readonly sinceMs: number;
}

export interface PairedDeviceOptions {
  readonly clock: Clock;
  readonly record: DeviceRecord;
  readonly backend: Omit<DeviceBackendOptions, 'id' | 'clock' | 'expected' | 'onLost'>;
  readonly onLost: (device: PairedDevice, code: string, livedMs: number) => void;
}

const nothing = { tools: false, jsonSchema: false, images: false, audio: false, logprobs: false };

/** One device of the registry and the link it is on, if any. */
export class PairedDevice {
  readonly backend: DeviceBackend;
  /** As the registry is to keep it. */
  record: DeviceRecord;
  isDraining = false;
  readonly #clock: Clock;
  readonly #clipped = new Map<string, number>();
  readonly #ends = new Map<string, number>();
  #link: Link | undefined;
  #last: Hello | undefined;
  #takeOverMs: number[] = [];
  #conflict: Map<string, number> | undefined;

  constructor({ clock, record, backend, onLost }: PairedDeviceOptions) {
    this.#clock = clock;
    this.record = record;
    this.backend = new DeviceBackend({
      ...backend,
      id: record.id,
      clock,
      expected: { models: [], capabilities: nothing },
      onClipped: (fields) => {
        for (const field of fields) count(this.#clipped, field);
      },
      onLost: (code) => {
        const livedMs = clock.nowMs() - (this.#link?.sinceMs ?? clock.nowMs());
        this.#ended(code);
        onLost(this, code, livedMs);
      },
    });
  }

  get id(): string {
    return this.record.id;
  }

  get link(): Pick<Link, 'address' | 'sinceMs'> | undefined {
    return this.#link;
  }

  /** What it said of itself last, also when it has gone since. */
  get hello(): Hello | undefined {
    return this.#last;
  }

  /** Two machines call with this key at the same time. */
  get isInConflict(): boolean {
    return this.#conflict !== undefined;
  }

  /** Fields of its messages that were cut or left out, counted. */
  get clipped(): ReadonlyMap<string, number> {
    return this.#clipped;
  }

  /** Links that ended, by code. */
  get ends(): ReadonlyMap<string, number> {
    return this.#ends;
  }

  /** Takes a link on which the device has introduced itself; an older one ends. */
  take(channel: Channel, hello: Hello, address: string): 'connected' | 'replaced' | 'conflict' {
    const { boot } = hello;
    const older = this.#link;
    const isTakeOver = older !== undefined && older.boot !== boot;
    if (this.#isRefused(boot, isTakeOver)) {
      this.backend.describe({ state: 'down', detail: conflictDetail });
      this.backend.attach(channel);
      // Said after the hello has been delivered, as the last word on the link.
      queueMicrotask(() => {
        this.backend.detach('duplicate_identity');
        this.#ended('duplicate_identity');
      });
      return 'conflict';
    }
    // The same process on another network: a word would be taken for its own end.
    if (older !== undefined && !isTakeOver) older.channel.close('roamed', true);
    if (older !== undefined) count(this.#ends, isTakeOver ? 'replaced' : 'roamed');
    this.#last = hello;
    this.#link = { channel, boot, address, sinceMs: this.#clock.nowMs() };
    this.backend.attach(channel);
    return isTakeOver ? 'replaced' : 'connected';
  }

  /** Ends its link with a word. */
  end(code: Parameters<DeviceBackend['detach']>[0]): void {
    const wasUp = this.#link !== undefined;
    this.backend.detach(code);
    if (wasUp) this.#ended(code);
  }

  #ended(code: string): void {
    count(this.#ends, code);
    this.#link = undefined;
  }

  #isRefused(boot: string, isTakeOver: boolean): boolean {
    const nowMs = this.#clock.nowMs();
    if (this.#conflict !== undefined) {
      this.#conflict.set(boot, nowMs);
      const others = Array.from(this.#conflict).filter(([other]) => other !== boot);
      if (others.some(([, calledMs]) => nowMs - calledMs < conflictQuietMs)) return true;
      this.#conflict = undefined;
      this.#takeOverMs = [];
    }
    if (!isTakeOver) return false;
    this.#takeOverMs = [...this.#takeOverMs.filter((atMs) => nowMs - atMs < takeOverWindowMs), nowMs];
    if (this.#takeOverMs.length < conflictTakeOvers) return false;
    this.#conflict = new Map([[boot, nowMs], ...(this.#link === undefined ? [] : [[this.#link.boot, nowMs] as const])]);
    this.end('duplicate_identity');
    return true;
  }
}

/** What an owner of two machines with one key is told. */
export const conflictDetail =
  'Two machines call with the key of this device: a data folder was copied. Stop one of them, or remove the device and pair both again.';

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

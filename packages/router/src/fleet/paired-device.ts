import type { Channel } from '@lfo/protocol';
import { DeviceBackend, type DeviceBackendOptions } from '../backends/engines/device/device-backend.ts';
import type { GreetingKind } from '../backends/engines/device/session-keeper.ts';
import type { WakeTarget } from '../backends/wake.ts';
import type { Clock } from '../core/clock.ts';
import type { DeviceRecord } from '../core/devices.ts';
import type { Hello } from './first-message.ts';

interface Link {
  readonly address: string;
  readonly sinceMs: number;
}

export interface PairedDeviceOptions {
  readonly clock: Clock;
  readonly record: DeviceRecord;
  readonly backend: Omit<
    DeviceBackendOptions,
    'id' | 'clock' | 'expected' | 'onGreeted' | 'onConflict' | 'onExpired' | 'onLost'
  >;
  /** It has introduced itself on a new link. */
  readonly onGreeted: (device: PairedDevice, how: GreetingKind | 'conflict') => void;
  readonly onLost: (device: PairedDevice, code: string, livedMs: number) => void;
}

const nothing = { tools: false, jsonSchema: false, images: false, audio: false, logprobs: false };

/** One device of the registry and the link it is on, if any. */
export class PairedDevice {
  readonly backend: DeviceBackend;
  /** As the registry is to keep it. */
  record: DeviceRecord;
  readonly #clipped = new Map<string, number>();
  readonly #ends = new Map<string, number>();
  readonly #resumes = new Map<string, number>();
  readonly #ejections = new Map<string, number>();
  #link: Link | undefined;
  /** Of the link that is about to introduce itself. */
  #address = '';
  #last: Hello | undefined;

  constructor({ clock, record, backend, onGreeted, onLost }: PairedDeviceOptions) {
    this.record = record;
    this.backend = new DeviceBackend({
      ...backend,
      id: record.id,
      clock,
      expected: { models: [], capabilities: nothing },
      onClipped: (fields) => {
        for (const field of fields) count(this.#clipped, field);
      },
      onGreeted: (hello, how) => {
        if (this.#link !== undefined && (how === 'roamed' || how === 'replaced')) count(this.#ends, how);
        if (how === 'resumed' || (how === 'roamed' && this.backend.session?.id === hello.session?.id))
          count(this.#resumes, 'resumed');
        this.#last = hello;
        this.#link = { address: this.#address, sinceMs: clock.nowMs() };
        onGreeted(this, how);
      },
      onConflict: () => {
        this.backend.describe({ state: 'down', detail: conflictDetail });
        if (this.#link !== undefined) this.#ended('duplicate_identity');
        count(this.#ends, 'duplicate_identity');
        onGreeted(this, 'conflict');
      },
      onExpired: () => count(this.#resumes, 'expired'),
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

  /** It is given nothing new. */
  get isDraining(): boolean {
    return this.record.isDraining === true;
  }

  /** How it is woken; undefined: not at all. */
  get wake(): WakeTarget | undefined {
    if (this.record.wake === undefined) return undefined;
    const { mac, broadcast = '255.255.255.255', timeoutMs = 60_000 } = this.record.wake;
    return { mac, broadcast, timeoutMs };
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
    return this.backend.isInConflict;
  }

  /** Fields of its messages that were cut or left out, counted. */
  get clipped(): ReadonlyMap<string, number> {
    return this.#clipped;
  }

  /** Links that ended, by code. */
  get ends(): ReadonlyMap<string, number> {
    return this.#ends;
  }

  /** Sessions whose device came back within the grace, and those whose did not, counted. */
  get resumes(): ReadonlyMap<string, number> {
    return this.#resumes;
  }

  /** How often it was left alone for its failures or its slowness, counted by which. */
  get ejections(): ReadonlyMap<string, number> {
    return this.#ejections;
  }

  /** It is left alone for a while. */
  ejected(why: string): void {
    count(this.#ejections, why);
  }

  /** Takes a link on which the device is about to introduce itself; from then on an older one ends. */
  take(channel: Channel, address: string): void {
    this.#address = address;
    this.backend.attach(channel);
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
}

/** What an owner of two machines with one key is told. */
export const conflictDetail =
  'Two machines call with the key of this device: a data folder was copied. Stop one of them, or remove the device and pair both again.';

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

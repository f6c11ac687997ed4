import type { Channel, KeyPair } from '@lfo/protocol';
import type { Clock } from '../core/clock.ts';
import type { DialAddress } from '../core/devices.ts';
import { BackOff, dial } from './dial.ts';
import { primitives } from './router-key.ts';

interface Dialled {
  readonly key: Uint8Array;
  readonly address: DialAddress;
  readonly backOff: BackOff;
  /** Ends the dial or the wait for it. */
  cancel: () => void;
}

export interface DiallersOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly keys: KeyPair;
  readonly onSecured: (channel: Channel, key: Uint8Array, address: DialAddress) => void;
}

/** Keeps dialling those paired devices that wait to be dialled. */
export class Diallers {
  readonly #options: DiallersOptions;
  readonly #dialled = new Map<string, Dialled>();

  constructor(options: DiallersOptions) {
    this.#options = options;
  }

  /** Dials a device at this address from now on, or with none no more. One that is connected is left alone until it is lost. */
  set(id: string, key: Uint8Array | undefined, address: DialAddress | undefined, isConnected: boolean): void {
    this.#dialled.get(id)?.cancel();
    this.#dialled.delete(id);
    if (key === undefined || address === undefined) return;
    this.#dialled.set(id, { key, address, backOff: new BackOff(this.#options.random), cancel: () => {} });
    if (!isConnected) this.#later(id, 'carrier_closed', 0);
  }

  /** Its link, or a dial of it, ended so. */
  lost(id: string, end: string, livedMs: number): void {
    this.#later(id, end, livedMs);
  }

  close(): void {
    for (const { cancel } of this.#dialled.values()) cancel();
    this.#dialled.clear();
  }

  #later(id: string, end: string, livedMs: number): void {
    const dialled = this.#dialled.get(id);
    if (dialled === undefined) return;
    dialled.cancel();
    dialled.cancel = this.#options.clock.schedule(dialled.backOff.next(end, livedMs), () => this.#dial(id, dialled));
  }

  #dial(id: string, dialled: Dialled): void {
    const { clock, keys, onSecured } = this.#options;
    const { key, address } = dialled;
    dialled.cancel = dial({
      clock,
      primitives,
      keys,
      address,
      target: { purpose: 'known', peerKey: key },
      onSecured: (channel) => {
        dialled.cancel = () => {};
        onSecured(channel, key, address);
      },
      onFailed: (end) => this.#later(id, end, 0),
    });
  }
}

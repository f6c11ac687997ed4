import { serveOver, type DeviceHost, type RouterCall } from '@lfo/device-core';
import {
  answerHandshake,
  maxRouters,
  pairingCode,
  pairingKey,
  pairingUri,
  pairingSecretBytes,
  routerId,
} from '@lfo/protocol';
import type { Carrier, Clock, Primitives } from '@lfo/protocol';
import { newRouter, type DeviceStore, type KnownRouter } from './device-store';

/** Where `ANDROID_HOST` dials by default. */
export const listenPort = 5555;
const pairingMs = 300_000;
/** So many wrong first messages end the pairing. */
const mostGuesses = 5;
/** Connections that have proven nothing yet; the oldest goes for a newer one. */
const mostUnproven = 16;

/** What the owner shows to the router's owner. */
export interface ShownPairing {
  readonly uri: string;
  readonly code: string;
  readonly untilMs: number;
}

interface OpenPairing extends ShownPairing {
  readonly psk: Uint8Array;
  guesses: number;
}

/** A connection that was accepted. */
interface Accepted {
  readonly call: RouterCall;
  /** Of the router, once it is proven. */
  routerId?: string;
  /** What the router calls this phone, once it has taken it. */
  deviceName?: string;
}

export interface RouterListenerOptions {
  readonly clock: Clock;
  readonly primitives: Primitives;
  readonly store: DeviceStore;
  readonly device: DeviceHost;
  /** Accepts connections until the returned function is called. */
  readonly listen: (port: number, onCarrier: (carrier: Carrier) => void) => () => void;
  readonly onChange: () => void;
  /** The router has removed this phone. */
  readonly onRemoved: (router: KnownRouter) => void;
}

/** Waits for routers that dial this phone (`ANDROID_HOST`, `fleet.dial`, USB). */
export class RouterListener {
  readonly #options: RouterListenerOptions;
  readonly #accepted = new Set<Accepted>();
  #close: (() => void) | undefined;
  #pairing: OpenPairing | undefined;
  #cancelExpiry: (() => void) | undefined;

  constructor(options: RouterListenerOptions) {
    this.#options = options;
  }

  /** The pairing that is open, if one is. */
  get pairing(): ShownPairing | undefined {
    return this.#pairing;
  }

  /** What a router that has dialled and is served calls this phone; undefined while it is not. */
  nameAt(id: string): string | undefined {
    for (const { routerId: found, deviceName } of this.#accepted) if (found === id && deviceName) return deviceName;
    return undefined;
  }

  start(): void {
    this.#close ??= this.#options.listen(listenPort, (carrier) => void this.#answer(carrier));
  }

  async stop(): Promise<void> {
    this.endPairing();
    this.#close?.();
    this.#close = undefined;
    await this.#end('closing', [...this.#accepted]);
  }

  /** Says goodbye for good to a router that has dialled. */
  async unpair(id: string): Promise<void> {
    await this.#end(
      'unpaired',
      [...this.#accepted].filter(({ routerId: found }) => found === id),
    );
  }

  /** Opens a pairing for five minutes and one use. */
  beginPairing(host: string): ShownPairing {
    const { clock, primitives, store } = this.#options;
    this.endPairing();
    const secret = primitives.random(pairingSecretBytes);
    const { name } = store.settings;
    this.#pairing = {
      uri: pairingUri({ role: 'device', hosts: [host], port: listenPort, key: store.keys.public, secret, name }),
      code: pairingCode(secret),
      untilMs: clock.nowMs() + pairingMs,
      psk: pairingKey(primitives, secret),
      guesses: 0,
    };
    this.#cancelExpiry = clock.schedule(pairingMs, () => this.endPairing());
    this.#options.onChange();
    return this.#pairing;
  }

  endPairing(): void {
    this.#cancelExpiry?.();
    if (this.#pairing === undefined) return;
    this.#pairing = undefined;
    this.#options.onChange();
  }

  async #end(code: 'closing' | 'unpaired', accepted: readonly Accepted[]): Promise<void> {
    for (const { call } of accepted) call.close(code);
    await Promise.all(accepted.map(({ call }) => call.ended));
  }

  async #answer(carrier: Carrier): Promise<void> {
    const { clock, primitives, store, device, onChange } = this.#options;
    const unproven = [...this.#accepted].filter(({ routerId: id }) => id === undefined);
    if (unproven.length >= mostUnproven) unproven[0]?.call.abandon();
    const call = serveOver(
      {
        carrier,
        primitives,
        clock,
        device,
        accepts: (key, pairing) => pairing === undefined || this.#isPaired(key, pairing),
        onConnected: (key) => (accepted.routerId = routerId(primitives, key)),
        onWelcome: ({ router, device: self }) => {
          accepted.deviceName = self.name;
          const known = store.routers.find(({ id }) => id === accepted.routerId);
          if (known !== undefined && known.name !== router.name) void store.keep({ ...known, name: router.name });
          onChange();
        },
      },
      answerHandshake({
        primitives,
        role: 'device',
        keys: store.keys,
        pairings: () => (this.#pairing === undefined ? [] : [{ id: this.#pairing.code, psk: this.#pairing.psk }]),
        isKnown: (key) => store.isKnown(key),
      }),
    );
    const accepted: Accepted = { call };
    this.#accepted.add(accepted);
    const code = await call.ended;
    this.#accepted.delete(accepted);
    if (code === 'pairing_refused' && this.#pairing !== undefined && ++this.#pairing.guesses >= mostGuesses)
      this.endPairing();
    if (code === 'revoked') await this.#forget(accepted.routerId);
    onChange();
  }

  /** Uses the pairing up and keeps the router; false where somebody else has, or where there are too many routers. */
  #isPaired(key: Uint8Array, pairing: string): boolean {
    const { primitives, store, onChange } = this.#options;
    if (this.#pairing?.code !== pairing) return false;
    this.endPairing();
    if (store.isKnown(key)) return true;
    if (store.routers.length >= maxRouters) return false;
    void store.keep(newRouter(primitives, key, { hosts: [], port: listenPort, name: 'Router' })).then(onChange);
    return true;
  }

  async #forget(id: string | undefined): Promise<void> {
    const { store, onRemoved } = this.#options;
    const router = store.routers.find((known) => known.id === id);
    if (router === undefined) return;
    await store.forget(router.id);
    onRemoved(router);
  }
}

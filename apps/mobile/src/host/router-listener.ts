import { serveOver, type DeviceHost } from '@lfo/device-core';
import { answerHandshake, pairingCode, pairingKey, pairingUri, pairingSecretBytes } from '@lfo/protocol';
import type { Carrier, Clock, Primitives } from '@lfo/protocol';
import { newRouter, type DeviceStore } from './device-store';

/** Where `ANDROID_HOST` dials by default. */
export const listenPort = 5555;
const pairingMs = 300_000;
/** So many wrong first messages end the pairing. */
const mostGuesses = 5;

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

export interface RouterListenerOptions {
  readonly clock: Clock;
  readonly primitives: Primitives;
  readonly store: DeviceStore;
  readonly device: DeviceHost;
  /** Accepts connections until the returned function is called. */
  readonly listen: (port: number, onCarrier: (carrier: Carrier) => void) => () => void;
  readonly onChange: () => void;
}

/** Waits for routers that dial this phone (`ANDROID_HOST`, `fleet.dial`, USB). */
export class RouterListener {
  readonly #options: RouterListenerOptions;
  readonly #calls = new Set<ReturnType<typeof serveOver>>();
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

  /** Links that are served. */
  get links(): number {
    return this.#calls.size;
  }

  start(): void {
    this.#close ??= this.#options.listen(listenPort, (carrier) => void this.#answer(carrier));
  }

  async stop(): Promise<void> {
    this.endPairing();
    this.#close?.();
    this.#close = undefined;
    const calls = [...this.#calls];
    for (const call of calls) call.close('closing');
    await Promise.all(calls.map(({ ended }) => ended));
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

  async #answer(carrier: Carrier): Promise<void> {
    const { clock, primitives, store, device, onChange } = this.#options;
    const call = serveOver(
      {
        carrier,
        primitives,
        clock,
        device,
        onConnected: (key) => {
          if (store.isKnown(key)) return;
          this.endPairing();
          void store.keep(newRouter(primitives, key, { hosts: [], port: listenPort, name: 'Router' })).then(onChange);
        },
        onWelcome: onChange,
      },
      answerHandshake({
        primitives,
        role: 'device',
        keys: store.keys,
        pairings: () => (this.#pairing === undefined ? [] : [{ id: 'shown', psk: this.#pairing.psk }]),
        isKnown: (key) => store.isKnown(key),
      }),
    );
    this.#calls.add(call);
    const code = await call.ended;
    this.#calls.delete(call);
    if (code === 'pairing_refused' && this.#pairing !== undefined && ++this.#pairing.guesses >= mostGuesses)
      this.endPairing();
    onChange();
  }
}

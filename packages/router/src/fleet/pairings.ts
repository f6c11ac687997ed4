import { pairingKey, pairingSecretBytes, type Primitives } from '@lfo/protocol';
import type { Clock } from '../core/clock.ts';
import type { Pairing, PairingState } from '../core/devices.ts';
import { LfoError } from '../core/errors.ts';

/** Most pairings open at once. */
export const maxOpenPairings = 4;
/** Wrong first messages, from wherever, that end all pairings open then. */
export const maxGuesses = 5;
/** Ended ones are remembered, so that whoever waits for one learns its end. */
const maxRemembered = 64;

interface Entry {
  readonly id: string;
  readonly psk: Uint8Array | undefined;
  readonly expiresMs: number;
  wrong: number;
  state: PairingState;
  device: string | undefined;
  why: string | undefined;
  cancel: () => void;
}

export interface PairingsOptions {
  readonly clock: Clock;
  readonly primitives: Primitives;
  readonly newId: () => string;
  /** Told of each end, for counters and the log. */
  readonly onEnd: (pairing: Pairing) => void;
}

/** Invitations to pair. Their secrets are in memory only: a restart ends them. */
export class Pairings {
  readonly #options: PairingsOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: PairingsOptions) {
    this.#options = options;
  }

  /**
   * Opens one for a device that will dial, with its secret.
   * @throws LfoError when too many are open
   */
  open(lifetimeMs: number): { readonly pairing: Pairing; readonly secret: Uint8Array } {
    const { primitives } = this.#options;
    const secret = primitives.random(pairingSecretBytes);
    const entry = this.#add(lifetimeMs, pairingKey(primitives, secret));
    return { pairing: viewOf(entry), secret };
  }

  /** Opens one for a device that the router dials; `used` or `failed` ends it. */
  openDial(lifetimeMs: number): Pairing {
    return viewOf(this.#add(lifetimeMs, undefined));
  }

  find(id: string): Pairing | undefined {
    const entry = this.#entries.get(id);
    return entry === undefined ? undefined : viewOf(entry);
  }

  /** Keys of those that a dialling device may use now. */
  keys(): readonly { readonly id: string; readonly psk: Uint8Array }[] {
    return this.#open().flatMap(({ id, psk }) => (psk === undefined ? [] : [{ id, psk }]));
  }

  get hasOpen(): boolean {
    return this.#open().length > 0;
  }

  /** Uses one up; false where it is over. */
  use(id: string, device: string): boolean {
    return this.#end(id, 'used', { device });
  }

  fail(id: string, why: string): boolean {
    return this.#end(id, 'failed', { why });
  }

  cancel(id: string): boolean {
    return this.#end(id, 'cancelled');
  }

  /** A first message with a wrong secret; the fifth ends all that are open. */
  guessed(): void {
    const open = this.#open().filter(({ psk }) => psk !== undefined);
    for (const entry of open) entry.wrong++;
    for (const entry of open) if (entry.wrong >= maxGuesses) for (const each of open) this.#end(each.id, 'locked');
  }

  close(): void {
    for (const { id } of this.#open()) this.#end(id, 'cancelled');
  }

  #open(): Entry[] {
    return Array.from(this.#entries.values()).filter(({ state }) => state === 'open');
  }

  #add(lifetimeMs: number, psk: Uint8Array | undefined): Entry {
    const { clock, newId } = this.#options;
    if (this.#open().length >= maxOpenPairings) {
      throw new LfoError(`${maxOpenPairings} pairings are open already: use or cancel one first.`, {
        code: 'too_many_pairings',
        status: 429,
        retryable: true,
      });
    }
    const id = newId();
    const cancel = clock.schedule(lifetimeMs, () => this.#end(id, 'expired'));
    const expiresMs = Math.round(clock.wallMs() + lifetimeMs);
    const entry: Entry = { id, psk, expiresMs, wrong: 0, state: 'open', device: undefined, why: undefined, cancel };
    this.#entries.set(id, entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= maxRemembered) break;
      this.#entries.delete(oldest);
    }
    return entry;
  }

  #end(id: string, state: PairingState, { device, why }: { device?: string; why?: string } = {}): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.state !== 'open') return false;
    entry.cancel();
    entry.state = state;
    entry.device = device;
    entry.why = why;
    this.#options.onEnd(viewOf(entry));
    return true;
  }
}

function viewOf({ id, expiresMs, wrong, state, device, why }: Entry): Pairing {
  return {
    id,
    expiresMs,
    wrong,
    state,
    ...(device === undefined ? {} : { device }),
    ...(why === undefined ? {} : { why }),
  };
}

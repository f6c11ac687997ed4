import { deviceId, pairingCode, pairingKey, pairingUri } from '@lfo/protocol';
import type { Channel, KeyPair } from '@lfo/protocol';
import type { FleetConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { DialAddress, Pairing, PairingRegistry } from '../core/devices.ts';
import { LfoError } from '../core/errors.ts';
import { randomToken } from '../core/id.ts';
import type { Logger } from '../core/logger.ts';
import { dial } from './dial.ts';
import type { FleetPort } from './fleet-port.ts';
import { Pairings } from './pairings.ts';
import { primitives } from './router-key.ts';

export interface InvitationsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Read or made when they are first needed. */
  readonly keys: () => KeyPair;
  readonly config: Pick<FleetConfig, 'listen'>;
  /** Where devices that dial come in. */
  readonly port: () => FleetPort;
  /** Where other routers read how pairings stand; absent: there are none. */
  readonly registry?: PairingRegistry;
  /** Keeps a device that was dialled and has proven its key; resolves once it is stored. */
  readonly keep: (key: Uint8Array, address: DialAddress) => Promise<void>;
  /** Serves it from here on. */
  readonly onDialled: (channel: Channel, key: Uint8Array, address: DialAddress) => void;
}

/** An invitation as its owner sees it, with its secret. */
export interface ShownPairing {
  readonly pairing: Pairing;
  readonly uri: string;
  readonly code: string;
}

/** A device to dial and pair with. */
export interface DialTarget {
  readonly addresses: readonly DialAddress[];
  readonly secret: Uint8Array;
  /** As shown with the secret. */
  readonly key?: Uint8Array;
}

/** How devices come to be paired: they are shown a code and dial, or show one and are dialled. */
export class Invitations {
  readonly pairings: Pairings;
  readonly #options: InvitationsOptions;
  readonly #results = new Map<string, number>();

  constructor(options: InvitationsOptions) {
    this.#options = options;
    const { clock, log, port } = options;
    this.pairings = new Pairings({
      clock,
      primitives,
      newId: () => `pair-${randomToken(9)}`,
      onEnd: (pairing) => {
        const { state, wrong } = pairing;
        this.#share(pairing);
        port().setPairing(this.pairings.keys().length > 0);
        this.#results.set(state, (this.#results.get(state) ?? 0) + 1);
        if (state === 'locked') log.warn({ wrong }, 'Too many wrong codes: open pairings have ended. Start another.');
      },
    });
  }

  /** How many have ended, by how. */
  get results(): ReadonlyMap<string, number> {
    return this.#results;
  }

  /** Opens an invitation for a device that dials, and the port if it is not open yet. @throws LfoError */
  async invite(lifetimeMs: number): Promise<ShownPairing> {
    const { config, keys } = this.#options;
    if (config.listen === 'off') {
      throw new LfoError(
        'Devices cannot dial this router: fleet.listen is off. Set it to auto, or let the router dial.',
        {
          code: 'fleet_listen_off',
          status: 409,
        },
      );
    }
    const port = this.#options.port();
    await port.open();
    const { pairing, secret } = this.pairings.open(lifetimeMs);
    this.#share(pairing);
    port.setPairing(true);
    const uri = pairingUri({
      role: 'router',
      hosts: port.hosts,
      port: port.number ?? 0,
      key: keys().public,
      secret,
      name: port.name,
    });
    return { pairing, uri, code: pairingCode(secret) };
  }

  /** Dials a device that shows a code, and pairs with it. The pairing's state says how it went. @throws LfoError */
  inviteByDial({ addresses, secret, key }: DialTarget): Pairing {
    const pairing = this.pairings.openDial(dialLifetimeMs);
    this.#share(pairing);
    const psk = pairingKey(primitives, secret);
    const attempt = ([address, ...others]: readonly DialAddress[]): void => {
      if (address === undefined || this.pairings.find(pairing.id)?.state !== 'open') return;
      dial({
        clock: this.#options.clock,
        primitives,
        keys: this.#options.keys(),
        address,
        target: { purpose: 'pair', psk, ...(key === undefined ? {} : { expectedKey: key }) },
        keepKey: (peerKey) => this.#options.keep(peerKey, address),
        onSecured: (channel, { peerKey }) => {
          this.pairings.use(pairing.id, deviceId(primitives, peerKey));
          this.#options.onDialled(channel, peerKey, address);
        },
        onFailed: (end) => {
          if (end === 'unreachable' && others.length > 0) attempt(others);
          else this.pairings.fail(pairing.id, end);
        },
      });
    };
    attempt(addresses);
    return pairing;
  }

  /** How a pairing stands, begun here or at another router; undefined: nobody knows of it. */
  async find(id: string): Promise<Pairing | undefined> {
    return this.pairings.find(id) ?? (await this.#options.registry?.find(id).catch(() => undefined));
  }

  /** Whoever asks another router is told. A database that is away costs that alone. */
  #share(pairing: Pairing): void {
    this.#options.registry?.save(pairing).catch(() => undefined);
  }
}

/** Time a dialled pairing may take, all its addresses together. */
const dialLifetimeMs = 60_000;

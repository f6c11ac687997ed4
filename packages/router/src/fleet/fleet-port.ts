import { hostname } from 'node:os';
import { keyText, type KeyPair, maxPairingHosts, routerId } from '@lfo/protocol';
import { hostAndPort } from '../config/addresses.ts';
import type { FleetConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { FleetRouter } from '../core/devices.ts';
import type { Logger } from '../core/logger.ts';
import { Advertiser } from './advertiser.ts';
import type { FleetListener } from './listener.ts';
import { ownAddresses } from './own-addresses.ts';
import { primitives } from './router-key.ts';

export interface FleetPortOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly keys: () => KeyPair;
  readonly config: Pick<FleetConfig, 'name' | 'listen' | 'advertise' | 'plaintext'>;
  readonly listener: FleetListener;
}

/** Where devices find this router: its name, its port, which is opened when it is first wanted, and what is announced. */
export class FleetPort {
  readonly #options: FleetPortOptions;
  #number: number | undefined;
  #opening: Promise<void> | undefined;
  #advertiser: Advertiser | undefined;
  #isStopped = false;

  constructor(options: FleetPortOptions) {
    this.#options = options;
  }

  /** What devices call this router. */
  get name(): string {
    return Array.from(this.#options.config.name ?? hostname())
      .slice(0, 64)
      .join('');
  }

  /** Absent while it is not open. */
  get number(): number | undefined {
    return this.#number;
  }

  /** Addresses of this router, as many as are named at once. */
  get hosts(): readonly string[] {
    return ownAddresses(hostAndPort(this.#options.config.listen)?.host).slice(0, maxPairingHosts);
  }

  /** Where devices can dial this router; undefined while they cannot. */
  get address(): FleetRouter | undefined {
    if (this.#number === undefined) return undefined;
    return { name: this.name, key: keyText(this.#options.keys().public), hosts: this.hosts, port: this.#number };
  }

  /** Listens, and announces that, unless it does already. Rejects where the port cannot be had; the next call tries again. */
  open(): Promise<void> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  /** Whether a code is good now. */
  setPairing(isPairing: boolean): void {
    this.#advertiser?.setPairing(isPairing);
  }

  /** Takes nobody new; links that are up stay. */
  stop(): void {
    this.#isStopped = true;
    this.#advertiser?.stop();
    this.#options.listener.stop();
  }

  async #open(): Promise<void> {
    const { clock, config, log, keys, listener } = this.#options;
    const { host, port } = hostAndPort(config.listen) ?? { host: undefined, port: usualPort };
    const bound = await listener.listen(host, port);
    this.#number = bound.port;
    const at = { port: bound.port, ...(bound.wasTaken ? { wanted: port } : {}) };
    log.info(at, 'Devices can dial this router; "fleet.listen: off" closes the port.');
    if (config.plaintext) log.warn('fleet.plaintext: programs of this machine join as devices without a key.');
    if (!config.advertise || this.#isStopped) return;
    const router = { id: routerId(primitives, keys().public), name: this.name };
    this.#advertiser = new Advertiser({ clock, log, router, port: bound.port, listenHost: host });
  }
}

const usualPort = 4870;

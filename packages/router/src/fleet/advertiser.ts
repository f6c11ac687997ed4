import { Bonjour } from 'bonjour-service';
import { advertisedType, type Advertisement, advertisementText } from '@lfo/protocol';
import type { Clock } from '../core/clock.ts';
import { codeOf } from '../core/error-code.ts';
import type { Logger } from '../core/logger.ts';
import { announcedAddresses } from './own-addresses.ts';

/** How often this machine's addresses are looked at again: laptops change networks. */
const lookMs = 30_000;

export interface AdvertiserOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly router: Omit<Advertisement, 'isPairing'>;
  readonly port: number;
  /** The one address it listens on; absent: all of this machine. */
  readonly listenHost: string | undefined;
}

/**
 * Announces the port for devices by multicast DNS, on interfaces with a private address alone: nothing leaves the
 * user's own network. Where that is not possible devices are told the address, so a failure is logged once.
 */
export class Advertiser {
  readonly #options: AdvertiserOptions;
  readonly #announced = new Map<string, Bonjour>();
  #isPairing = false;
  #isStopped = false;
  #hasFailed = false;
  #cancelLook: () => void = () => {};

  constructor(options: AdvertiserOptions) {
    this.#options = options;
    this.#look();
  }

  /** Whether a code is good now: devices that are given a code alone look for such a router. */
  setPairing(isPairing: boolean): void {
    if (this.#isStopped || isPairing === this.#isPairing) return;
    this.#isPairing = isPairing;
    for (const [address, responder] of this.#announced) {
      responder.unpublishAll(() => this.#publish(address, responder));
    }
  }

  /** Takes the announcements back. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelLook();
    for (const responder of this.#announced.values()) responder.unpublishAll(() => responder.destroy());
    this.#announced.clear();
  }

  #look(): void {
    const wanted = announcedAddresses(this.#options.listenHost);
    for (const [address, responder] of this.#announced) {
      if (wanted.includes(address)) continue;
      this.#announced.delete(address);
      responder.destroy();
    }
    for (const address of wanted) if (!this.#announced.has(address)) this.#announce(address);
    this.#cancelLook = this.#options.clock.schedule(lookMs, () => this.#look());
  }

  #announce(address: string): void {
    const responder = multicastOn(address, (error) => this.#failed(address, error));
    this.#announced.set(address, responder);
    this.#publish(address, responder);
  }

  #publish(address: string, responder: Bonjour): void {
    if (this.#isStopped || this.#announced.get(address) !== responder) return;
    const { router, port } = this.#options;
    responder.publish({
      name: router.name,
      type: advertisedType,
      port,
      // One name for one key: two routers of one machine are two services.
      host: `${router.id}.local`,
      // The id makes the instance unique: there is nobody to ask.
      probe: false,
      txt: advertisementText({ ...router, isPairing: this.#isPairing }),
    });
  }

  #failed(address: string, error: unknown): void {
    this.#announced.get(address)?.destroy();
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    const code = codeOf(error) ?? 'internal';
    this.#options.log.warn({ code }, 'The router cannot be announced by mDNS: devices are told its address.');
  }
}

/** Speaks mDNS on the interface with this address. Bound to all, since what is sent to a group reaches no other socket. */
function multicastOn(address: string, onError: (error: unknown) => void): Bonjour {
  const options = { port: 5353, interface: address, bind: '0.0.0.0' };
  return new Bonjour(options, onError);
}

import { setTimeout as delay } from 'node:timers/promises';
import { type DeviceHost, type OtherRouter, Redialling } from '@lfo/device-core';
import { keyText, maxPairingHosts, maxRouters, readKeyText } from '@lfo/protocol';
import { systemClock } from '../clock.ts';
import type { DeviceFolder, FurtherRouter } from './device-folder.ts';
import { dial } from './dial.ts';
import type { Say } from './say.ts';

export interface FurtherRoutersOptions {
  readonly folder: DeviceFolder;
  readonly device: DeviceHost;
  readonly say: Say;
  /** Aborts when the device is to end. */
  readonly signal: AbortSignal;
}

/**
 * The other routers of the owner who paired this device: dialled as known, each with a key and a link of its own, from
 * when one of them tells of them, and again after a restart.
 */
export class FurtherRouters {
  readonly #options: FurtherRoutersOptions;
  readonly #served = new Map<string, { router: FurtherRouter; readonly ending: AbortController }>();

  constructor(options: FurtherRoutersOptions) {
    this.#options = options;
  }

  /** Dials those that are known from before. */
  start(): void {
    for (const router of this.#options.folder.further) this.#serve(router);
  }

  /** What a router says of the others: new ones are dialled, and those at another address there. */
  told(routers: readonly OtherRouter[]): void {
    const { folder } = this.#options;
    const own = folder.router === undefined ? '' : keyText(folder.router.key);
    const read = routers.flatMap(({ key: text, hosts, port }): FurtherRouter[] => {
      const key = readKeyText(text);
      const isUsable = key !== undefined && text !== own && hosts.length > 0 && port > 0 && port < 65_536;
      return isUsable ? [{ key, hosts: hosts.slice(0, maxPairingHosts), port }] : [];
    });
    for (const router of read) {
      const served = this.#served.get(keyText(router.key));
      if (served !== undefined) served.router = router;
      else if (this.#served.size < maxRouters - 1) this.#serve(router);
    }
    this.#keep();
  }

  /** The owner has removed this device. */
  forget(): void {
    for (const { ending } of this.#served.values()) ending.abort();
    this.#served.clear();
    this.#keep();
  }

  #keep(): void {
    this.#options.folder.keepFurther(Array.from(this.#served.values(), ({ router }) => router));
  }

  #serve(router: FurtherRouter): void {
    const ending = new AbortController();
    const id = keyText(router.key);
    this.#served.set(id, { router, ending });
    void this.#keepDialling(id, AbortSignal.any([ending.signal, this.#options.signal]));
  }

  async #keepDialling(id: string, signal: AbortSignal): Promise<void> {
    const { folder, device, say } = this.#options;
    const redialling = new Redialling(Math.random);
    for (let turn = 0; !signal.aborted; turn++) {
      const router = this.#served.get(id)?.router;
      if (router === undefined) return;
      const { key, hosts, port } = router;
      const host = hosts[turn % hosts.length] ?? '';
      const startedMs = systemClock.nowMs();
      let isConnected = false;
      const code = await dial({
        host,
        port,
        keys: folder.keys,
        target: { purpose: 'known', peerKey: key },
        device,
        onRouters: (routers) => this.told(routers),
        onConnected() {
          isConnected = true;
          say('connected', `Serving ${host}:${port} too.`, { host, port });
        },
        signal,
      });
      if (signal.aborted) return;
      // An address of several that is not reached from here.
      if (code === 'unreachable' && turn % hosts.length < hosts.length - 1) continue;
      const again = redialling.after(code, isConnected ? systemClock.nowMs() - startedMs : 0);
      if (isConnected) say('lost', `The link to ${host}:${port} has ended (${code}).`, { code });
      if (again.type === 'never') {
        this.#served.delete(id);
        return this.#keep();
      }
      // A router that has heard of this device from the others only just now.
      const afterMs = code === 'unknown_key' && turn < freshTurns ? freshMs : again.afterMs;
      await delay(afterMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

const freshTurns = 5;
const freshMs = 1_000;

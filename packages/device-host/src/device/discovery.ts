import { isIP } from 'node:net';
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os';
import { advertisedType, type Advertisement, maxPairingHosts, readAdvertisement } from '@lfo/protocol';
import { Bonjour } from 'bonjour-service';
import { systemClock } from '../clock.ts';

/** How long answers are waited for. */
const lookMs = 2_000;
/** One lost packet is usual on wireless networks. */
const askAgainMs = 700;

/** A router that announces itself; whether it is the one that is meant its key or its code proves. */
export interface FoundRouter extends Advertisement {
  /** Where it can be dialled, the address that the announcement came from first. */
  readonly hosts: readonly [string, ...string[]];
  readonly port: number;
}

/** Asks the networks of this machine for routers by multicast DNS, for 2 s or until one is the wanted. */
export function findRouters(
  signal: AbortSignal,
  isWanted: (router: FoundRouter) => boolean,
): Promise<readonly FoundRouter[]> {
  const found = new Map<string, FoundRouter>();
  return new Promise((resolve) => {
    const finish = (): void => {
      for (const cancel of cancels) cancel();
      signal.removeEventListener('abort', finish);
      for (const { responder } of asked) responder.destroy();
      resolve([...found.values()]);
    };
    const take = (service: Announced): void => {
      const router = routerOf(service);
      if (router === undefined) return;
      found.set(router.id, router);
      if (isWanted(router)) finish();
    };
    const asked = ownInterfaces().map(({ address }) => {
      const options = { port: 5353, interface: address, bind: '0.0.0.0' };
      // An interface that cannot be asked finds nobody.
      const responder = new Bonjour(options, () => undefined);
      const browser = responder.find({ type: advertisedType, protocol: 'tcp' });
      browser.on('up', take).on('txt-update', take);
      return { responder, browser };
    });
    const cancels = [
      systemClock.schedule(askAgainMs, () => asked.forEach(({ browser }) => browser.update())),
      waited(lookMs, finish),
    ];
    signal.addEventListener('abort', finish, { once: true });
    // Without a network there is nobody to wait for.
    if (signal.aborted || asked.length === 0) finish();
  });
}

/** Keeps the process alive, as the machine's clock does not: sockets that could not be had would let it end. */
function waited(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
}

/** What the packets of anybody on the network were read as. */
interface Announced {
  readonly port?: unknown;
  readonly txt?: unknown;
  readonly addresses?: unknown;
  readonly referer?: { readonly address?: unknown };
}

function routerOf({ port, txt, addresses, referer }: Announced): FoundRouter | undefined {
  const said = readAdvertisement(typeof txt === 'object' && txt !== null ? { ...txt } : {});
  const hosts = [referer?.address, ...(Array.isArray(addresses) ? addresses : [])].filter(isNearby);
  const [host, ...others] = [...new Set(hosts)].slice(0, maxPairingHosts);
  if (said === undefined || host === undefined || typeof port !== 'number' || port < 1 || port > 65_535)
    return undefined;
  return { ...said, hosts: [host, ...others], port };
}

/** An announcement sends a device nowhere but to its own network. */
function isNearby(address: unknown): address is string {
  if (typeof address !== 'string') return false;
  const family = isIP(address);
  if (family === 4)
    return /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)/.test(
      address,
    );
  return family === 6 && /^f[cd]/i.test(address);
}

/** Of the interface in the user's own network; by it the machine can be woken. */
export function hardwareAddress(): string | undefined {
  const [own] = ownInterfaces();
  return own === undefined || /^(00:)+00$/.test(own.mac) ? undefined : own.mac;
}

/** Of IPv4, one an interface, private ones alone: nobody else is asked. */
function ownInterfaces(): readonly NetworkInterfaceInfo[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => {
    const own = addresses?.find(({ family, internal, address }) => family === 'IPv4' && !internal && isNearby(address));
    return own === undefined ? [] : [own];
  });
}

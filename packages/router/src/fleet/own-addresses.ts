import { networkInterfaces } from 'node:os';
import { privateInterfaces } from '../backends/private-interfaces.ts';

/** Addresses of this machine that a device may reach, private ones first; just the one it listens on where it is one. */
export function ownAddresses(listenHost?: string): readonly string[] {
  if (listenHost !== undefined && !isEveryAddress(listenHost)) return [listenHost];
  const found = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !/^fe80:/i.test(address));
  const rank = ({ address, family }: { address: string; family: string }): number =>
    family === 'IPv4'
      ? /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)/.test(address)
        ? 0
        : 2
      : /^f[cd]/i.test(address)
        ? 1
        : 3;
  const hosts = found.toSorted((one, other) => rank(one) - rank(other)).map(({ address }) => address);
  return hosts.length === 0 ? ['127.0.0.1'] : [...new Set(hosts)];
}

/** Addresses on which this router may be announced. */
export function announcedAddresses(listenHost?: string): readonly string[] {
  const own = privateInterfaces();
  return listenHost === undefined || isEveryAddress(listenHost) ? own : own.filter((address) => address === listenHost);
}

function isEveryAddress(host: string): boolean {
  return ['0.0.0.0', '::', '[::]'].includes(host);
}

import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { callbackify } from 'node:util';

/** Every address of a name, the preferred first; rejects where there is none. */
export type AddressesOf = (hostname: string) => Promise<readonly LookupAddress[]>;

/** As the system does it. */
export const systemLookup: AddressesOf = (hostname) => lookup(hostname, { all: true });

/**
 * Asks for a name once at a time, however many connections wait for it: the system's resolver cannot be interrupted
 * and has four threads for everybody, which one silent name server would occupy for as long as requests come.
 */
export function sharedLookup(ask: AddressesOf): AddressesOf {
  const running = new Map<string, Promise<readonly LookupAddress[]>>();
  return (hostname) => {
    const shared = running.get(hostname);
    if (shared !== undefined) return shared;
    const asked = ask(hostname).finally(() => running.delete(hostname));
    running.set(hostname, asked);
    return asked;
  };
}

/** In the form sockets want. */
export function asLookupFunction(addressesOf: AddressesOf): LookupFunction {
  const ask = callbackify(addressesOf);
  return (hostname, options, callback) =>
    ask(hostname, (error: NodeJS.ErrnoException | null, addresses) => {
      if (error !== null) return callback(error, '');
      if (options.all === true) return callback(null, [...addresses]);
      callback(null, addresses[0]?.address ?? '', addresses[0]?.family);
    });
}

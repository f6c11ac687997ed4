import { Resolver, type LookupAddress, type LookupOptions } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIP, type LookupFunction } from 'node:net';
import { platform } from 'node:os';
import { localAddressTest } from './local-address.ts';

/** The name leads out of the user's own network, and this client must not. */
export class ForeignAddressError extends Error {
  override readonly name = 'ForeignAddressError';
}

/** The name could only be asked for outside the user's own network. */
export class ForeignResolverError extends Error {
  override readonly name = 'ForeignResolverError';
}

/** Where names come from. */
export interface NameSources {
  /** Name servers the system asks at present, as `address` or `address:port`. */
  readonly resolvers: () => readonly string[];
  readonly ask: (hostname: string, options: LookupOptions) => Promise<readonly LookupAddress[]>;
  /** Text of the system's hosts file. */
  readonly hosts: () => Promise<string>;
}

const systemNames: NameSources = {
  resolvers: () => new Resolver().getServers(),
  ask: (hostname, options) => lookup(hostname, { ...options, all: true }),
  hosts: () => readFile(platform() === 'win32' ? 'C:\\Windows\\System32\\drivers\\etc\\hosts' : '/etc/hosts', 'utf8'),
};

/**
 * Resolves names of the user's own network without a packet beyond it: a question to a public name server would be
 * one, so where the system uses such a server only its hosts file is read. Fails if even one address is not local: a
 * name cannot be half local.
 */
export function localLookup(names: NameSources = systemNames): LookupFunction {
  const isLocal = localAddressTest();

  const addressesOf = async (hostname: string, options: LookupOptions): Promise<readonly LookupAddress[]> => {
    // RFC 6761: never a question for a name server.
    if (/(^|\.)localhost\.?$/i.test(hostname)) return loopback;
    if (names.resolvers().every((server) => isLocal(addressIn(server)))) return await names.ask(hostname, options);
    const listed = listedIn(await names.hosts(), hostname.toLowerCase());
    if (listed.length === 0) throw new ForeignResolverError();
    return listed;
  };

  return (hostname, options, callback) => {
    addressesOf(hostname, options).then(
      (addresses) => {
        const [first] = addresses;
        if (first === undefined || !addresses.every(({ address }) => isLocal(address))) {
          callback(new ForeignAddressError(), '');
        } else if (options.all === true) callback(null, [...addresses]);
        else callback(null, first.address, first.family);
      },
      (error: unknown) => callback(error instanceof Error ? error : new ForeignResolverError(), ''),
    );
  };
}

const loopback: readonly LookupAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
];

/** `10.0.0.1`, `10.0.0.1:5353`, `::1` and `[::1]:5353` alike. */
function addressIn(server: string): string {
  return isIP(server) === 0 ? server.replace(/^\[?(.*?)\]?:\d+$/, '$1') : server;
}

/** Entries of a hosts file for one name. */
function listedIn(text: string, name: string): readonly LookupAddress[] {
  return text.split('\n').flatMap((line) => {
    const [address = '', ...aliases] = line.replace(/#.*/, '').trim().toLowerCase().split(/\s+/);
    const family = isIP(address.split('%', 1)[0] ?? '');
    return family !== 0 && aliases.includes(name) ? [{ address, family }] : [];
  });
}

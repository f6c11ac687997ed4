import { Resolver, type LookupAddress } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { platform } from 'node:os';
import { localAddressTest } from './local-address.ts';
import { type AddressesOf, systemLookup } from './shared-lookup.ts';

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
  /** Asks them. */
  readonly ask: AddressesOf;
  /** Text of the system's hosts file. */
  readonly hosts: () => Promise<string>;
}

const systemNames: NameSources = {
  resolvers: () => new Resolver().getServers(),
  ask: systemLookup,
  hosts: () => readFile(platform() === 'win32' ? 'C:\\Windows\\System32\\drivers\\etc\\hosts' : '/etc/hosts', 'utf8'),
};

/**
 * Resolves names of the user's own network without a packet beyond it: a question to a public name server would be
 * one, so where the system uses such a server only its hosts file is read. Fails if even one address is not local: a
 * name cannot be half local.
 */
export function localLookup(names: NameSources = systemNames): AddressesOf {
  const isLocal = localAddressTest();

  const found = async (hostname: string): Promise<readonly LookupAddress[]> => {
    if (names.resolvers().every((server) => isLocal(addressIn(server)))) return await names.ask(hostname);
    const listed = listedIn(await names.hosts(), hostname.toLowerCase());
    if (listed.length === 0) throw new ForeignResolverError();
    return listed;
  };

  return async (hostname) => {
    // RFC 6761: neither is ever a question for a name server.
    if (/(^|\.)localhost\.?$/i.test(hostname)) return loopback;
    if (/(^|\.)invalid\.?$/i.test(hostname)) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
    const addresses = await found(hostname);
    if (addresses.length > 0 && addresses.every(({ address }) => isLocal(address))) return addresses;
    throw new ForeignAddressError();
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

import { BlockList, isIP } from 'node:net';

/** Whether an address to listen on can be reached from this machine alone. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  return bare === 'localhost' || bare === '::1' || /^127(\.\d{1,3}){3}$/.test(bare);
}

/**
 * Whether a host name or address is evidently inside the user's own network: loopback, private, link-local and
 * shared (RFC 6598, used by overlay networks) addresses, bare names, and the suffixes reserved for such use.
 */
export function isPrivateHost(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  const family = isIP(bare);
  if (family !== 0) return privateRanges().check(bare, family === 6 ? 'ipv6' : 'ipv4');
  return isLoopback(bare) || !bare.includes('.') || /\.(local|lan|home|internal|localhost|home\.arpa)$/.test(bare);
}

/** Where a packet that wakes a machine may go: the user's own network. */
export function isPrivateBroadcast(address: string): boolean {
  return address === '255.255.255.255' || (isIP(address) === 4 && isPrivateHost(address));
}

function privateRanges(): BlockList {
  const list = new BlockList();
  list.addSubnet('127.0.0.0', 8);
  list.addSubnet('10.0.0.0', 8);
  list.addSubnet('172.16.0.0', 12);
  list.addSubnet('192.168.0.0', 16);
  list.addSubnet('169.254.0.0', 16);
  list.addSubnet('100.64.0.0', 10);
  list.addAddress('::1', 'ipv6');
  list.addSubnet('fc00::', 7, 'ipv6');
  list.addSubnet('fe80::', 10, 'ipv6');
  return list;
}

/** `host:port` with IPv6 in brackets. */
export function hostAndPort(text: string): { readonly host: string; readonly port: number } | undefined {
  const [, host = '', digits = ''] = /^(\[[0-9A-Fa-f:.%]+\]|[^\s:]+):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  return host === '' || port > 65_535 ? undefined : { host: host.replace(/^\[|\]$/g, ''), port };
}

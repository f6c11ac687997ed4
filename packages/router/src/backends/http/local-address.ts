import { BlockList, isIP } from 'node:net';

/** IPv4 ranges that stay on the machine or the user's own network. */
const ipv4Ranges = [
  // Unspecified: the kernel connects it to loopback.
  ['0.0.0.0', 32],
  ['127.0.0.0', 8],
  // RFC 1918
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  // RFC 6598, carrier-grade NAT: also used by mesh VPNs.
  ['100.64.0.0', 10],
  // RFC 3927
  ['169.254.0.0', 16],
] as const;

const ipv6Ranges = [
  ['::', 128],
  ['::1', 128],
  // RFC 4193
  ['fc00::', 7],
  // RFC 4291
  ['fe80::', 10],
] as const;

/**
 * Makes the test of whether an IP address (IPv4, IPv6, IPv4-mapped IPv6, zone allowed) is loopback, private, shared,
 * link-local or unique-local. Anything else, names included, is not.
 */
export function localAddressTest(): (address: string) => boolean {
  const local = new BlockList();
  for (const [network, prefix] of ipv4Ranges) local.addSubnet(network, prefix, 'ipv4');
  for (const [network, prefix] of ipv6Ranges) local.addSubnet(network, prefix, 'ipv6');
  return (address) => {
    const bare = address.split('%', 1)[0] ?? '';
    const family = isIP(bare);
    return family !== 0 && local.check(bare, family === 4 ? 'ipv4' : 'ipv6');
  };
}

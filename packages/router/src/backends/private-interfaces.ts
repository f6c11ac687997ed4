import { networkInterfaces } from 'node:os';
import { isPrivateHost } from '../config/addresses.ts';

/** IPv4 addresses of this machine inside the user's own networks, each interface's first. What is sent to all goes there alone. */
export function privateInterfaces(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => {
    const own = addresses?.find(
      ({ family, internal, address }) => family === 'IPv4' && !internal && isPrivateHost(address),
    );
    return own === undefined ? [] : [own.address];
  });
}

import Zeroconf from 'react-native-zeroconf';
import type { FoundRouter } from '../screens/phone';

/** Listens for routers that say on the local network that they are there, until the returned function is called. */
export function discoverRouters(onFound: (routers: readonly FoundRouter[]) => void): () => void {
  const zeroconf = new Zeroconf();
  const found = new Map<string, FoundRouter>();
  zeroconf.on('resolved', ({ name, addresses, host, port, txt }) => {
    const at = addresses?.find((address: string) => /^[\d.]+$/.test(address)) ?? addresses?.[0] ?? host;
    if (at === undefined) return;
    const { n, pair } = txt;
    found.set(name, {
      name: typeof n === 'string' && n !== '' ? n.slice(0, 64) : name,
      address: `${at.includes(':') ? `[${at}]` : at}:${port}`,
      isPairing: pair === '1',
    });
    onFound([...found.values()]);
  });
  zeroconf.on('remove', (name) => {
    found.delete(name);
    onFound([...found.values()]);
  });
  zeroconf.on('error', () => {});
  zeroconf.scan('lfo', 'tcp', 'local.');
  return () => {
    zeroconf.stop();
    zeroconf.removeDeviceListeners();
  };
}

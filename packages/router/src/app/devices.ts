import type { KeyPair } from '@lfo/protocol';
import { Devices, type FleetMembers } from '../fleet/devices.ts';
import type { Wakes } from '../backends/wake.ts';
import { openRouterKey } from '../fleet/router-key.ts';
import { PairingTable } from '../records/pairing-table.ts';
import { DeviceTable } from '../records/device-table.ts';
import type { RouterPeers } from '../records/open-peers.ts';
import type { Records } from '../records/open-records.ts';
import type { AppOptions, HostProcess } from './running-app.ts';

/** The paired devices of this router, not yet listening or dialling. */
export function openDevices(
  { config, clock, logger: log }: AppOptions,
  records: Records,
  members: FleetMembers,
  {
    random,
    build,
    peers,
    wakes,
  }: Pick<HostProcess, 'random' | 'build'> & { readonly peers: RouterPeers; readonly wakes: Wakes },
): Devices {
  const { dataDir, fleet } = config.current();
  let keys: KeyPair | undefined;
  return new Devices({
    clock,
    log,
    registry: new DeviceTable(records.store),
    keys: () => (keys ??= openRouterKey(dataDir)),
    config: fleet,
    members,
    random,
    wakes,
    version: build?.version ?? 'unknown',
    ...(peers.store === undefined ? {} : { pairingRegistry: new PairingTable(records.store) }),
    peers: {
      others: () => peers.fleets(),
      onOthers: (run) => peers.onFleets(run),
      onDevices: (run) => peers.follow('devices', run),
    },
  });
}

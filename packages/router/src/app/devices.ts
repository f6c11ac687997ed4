import type { KeyPair } from '@lfo/protocol';
import { Devices, type FleetMembers } from '../fleet/devices.ts';
import type { Wakes } from '../backends/wake.ts';
import { openRouterKey } from '../fleet/router-key.ts';
import { DeviceTable } from '../records/device-table.ts';
import type { Records } from '../records/open-records.ts';
import type { AppOptions, HostProcess } from './running-app.ts';

/** The paired devices of this router, not yet listening or dialling. */
export function openDevices(
  { config, clock, logger: log }: AppOptions,
  records: Records,
  members: FleetMembers,
  { random, build, wakes }: Pick<HostProcess, 'random' | 'build'> & { readonly wakes: Wakes },
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
  });
}

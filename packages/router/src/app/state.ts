import type { ConfigHandle } from '../config/handle.ts';
import { openPeers, type RouterPeers } from '../records/open-peers.ts';
import { openRecords, type Records } from '../records/open-records.ts';
import type { RouterState } from '../records/peers.ts';
import type { AppOptions, HostProcess } from './running-app.ts';
import type { Shutdown } from './shutdown.ts';
import { openSignatures, type Signatures } from './signatures.ts';

/** What outlives a request, and is shared with the routers beside this one. */
export interface State {
  readonly peers: RouterPeers;
  readonly records: Records;
  readonly signatures: Signatures;
  /** Ends the keys, which use the records' database; set once there are some. */
  closeKeys: () => Promise<void>;
}

/**
 * @param own the configuration without what is changed in the dashboard
 * @param load requests that run here, those of them that wait for a backend, and where devices dial
 */
export function openState(
  options: AppOptions,
  own: ConfigHandle,
  host: HostProcess,
  shutdown: Shutdown,
  load: () => Omit<RouterState, 'state'>,
): State {
  const { clock, logger: log } = options;
  const peers = openPeers(own, {
    clock,
    log,
    random: host.random,
    version: (host.build ?? unknownBuild).version,
    look: () => ({ state: shutdown.hasBegun ? 'draining' : 'ready', ...load() }),
  });
  shutdown.add('backends', 'peers', () => peers.close());
  const records = openRecords({ ...options, router: () => peers.name, peers });
  const state: State = {
    peers,
    records,
    signatures: openSignatures(records.signatures, log),
    closeKeys: async () => {},
  };
  shutdown.add('deliveries', 'records and keys', () => records.close(state.closeKeys()));
  return state;
}

export const unknownBuild = { version: 'unknown', node: 'unknown' };

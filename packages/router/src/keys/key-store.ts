import { systemClock } from '../core/clock.ts';
import type { LfoConfig } from '../config/config.ts';
import { createDataFolder, keyCopyIn } from '../config/data-folder.ts';
import { KeyCopy } from './key-copy.ts';
import { type KeyChange, KeyTable } from './key-table.ts';
import { type KeyUse, keyUse } from './key-use.ts';
import type { ManagedKey } from './managed-key.ts';
import type { Store } from '../records/tables.ts';
import { isNewStore, openStore } from '../records/store/open-store.ts';

export type { KeyChange, KeyUse };

/** Keys as commands see and change them. */
export interface KeyStore {
  create(order: NewKey): Promise<{ readonly text: string; readonly key: ManagedKey }>;
  list(): Promise<readonly ManagedKey[]>;
  /** What each has used, by id. */
  use(): Promise<ReadonlyMap<string, KeyUse>>;
  /** Changes keys in force; resolves with them, none where there is none of that id or name. */
  change(idOrName: string, change: KeyChange): Promise<readonly ManagedKey[]>;
  revoke(idOrName: string): Promise<readonly string[]>;
  forgetRevoked(): Promise<number>;
  close(): Promise<void>;
}

export type NewKey = Pick<ManagedKey, 'name' | 'scopes' | 'tiers' | 'models' | 'limits' | 'expiresMs'>;

/** Opens the database of this configuration for its keys; a router that runs sees each change within a second. */
export function openKeyStore(config: LfoConfig): KeyStore {
  const keys = keyStoreOver(openStore(config), config.dataDir);
  // Nothing is made by looking.
  return {
    ...keys,
    list: async () => (isNewStore(config) ? [] : keys.list()),
    use: async () => (isNewStore(config) ? new Map<string, KeyUse>() : keys.use()),
  };
}

/** The same over a database that is open already; closing it closes that. */
export function keyStoreOver(store: Store, dataDir: string): KeyStore {
  const table = new KeyTable(store);
  const copy = new KeyCopy(keyCopyIn(dataDir));
  /** The copy says to a router that starts on this machine that there are keys. */
  const copying = async <T>(result: T): Promise<T> => {
    // The database has it already, and a new key is shown only now: a folder that is full must not swallow it.
    try {
      createDataFolder(dataDir);
      await copy.write({ readMs: systemClock.wallMs(), keys: await table.list() });
    } catch {}
    return result;
  };
  return {
    create: async (order) => copying(await table.create(order, systemClock.wallMs())),
    list: () => table.list(),
    use: () => keyUse(store, systemClock.wallMs()),
    change: async (idOrName, change) => copying(await table.change(idOrName, change)),
    revoke: async (idOrName) => copying(await table.revoke(idOrName, systemClock.wallMs())),
    forgetRevoked: async () => copying(await table.forgetRevoked()),
    close: () => store.close(),
  };
}

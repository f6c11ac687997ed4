import type { KeyDesk } from './cli/keys.ts';
import { systemClock } from './core/clock.ts';
import type { LfoConfig } from './core/config/config.ts';
import { createDataFolder, keyCopyIn } from './core/data-folder.ts';
import { KeyCopy } from './records/keys/key-copy.ts';
import { KeyTable } from './records/keys/key-table.ts';
import { openStore } from './records/store/open-store.ts';

/** Opens the database of this configuration for its keys; a router that runs sees each change within a second. */
export function openKeyDesk(config: LfoConfig): KeyDesk {
  createDataFolder(config.dataDir);
  const store = openStore(config);
  const table = new KeyTable(store);
  const copy = new KeyCopy(keyCopyIn(config.dataDir));
  /** The copy says to a router that starts on this machine that there are keys. */
  const copying = async <T>(result: T): Promise<T> => {
    // The database has it already, and a new key is shown only now: a folder that is full must not swallow it.
    await copy.write({ readMs: systemClock.wallMs(), keys: await table.list() }).catch(() => undefined);
    return result;
  };
  return {
    create: async (order) => copying(await table.create(order, systemClock.wallMs())),
    list: () => table.list(),
    revoke: async (idOrName) => copying(await table.revoke(idOrName, systemClock.wallMs())),
    forgetRevoked: async () => copying(await table.forgetRevoked()),
    close: () => store.close(),
  };
}

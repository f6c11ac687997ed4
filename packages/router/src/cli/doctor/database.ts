import { statSync } from 'node:fs';

import type { LfoConfig } from '../../config/config.ts';
import { LfoError } from '../../core/errors.ts';
import type { KeyStore } from '../../keys/key-store.ts';
import { advised, broken, passed, type Check } from './check.ts';

/** Whether the database can be used, and whether a key in it has a scope without effect. */
export async function checkDatabase(
  config: LfoConfig,
  openKeys: (config: LfoConfig) => Promise<KeyStore>,
): Promise<Check> {
  const name = 'database';
  const { databaseUrl, dataDir } = config;
  // Nothing is made by looking.
  if (databaseUrl === undefined && statSync(dataDir, { throwIfNoEntry: false }) === undefined) {
    return passed(name, 'SQLite, will be made at the first start');
  }
  try {
    const store = await openKeys(config);
    try {
      const keys = await store.list();
      const inert = keys.filter(({ scopes, revokedMs }) => scopes.includes('device') && revokedMs === undefined);
      const count = `${keys.length} ${keys.length === 1 ? 'key' : 'keys'}`;
      const unreadable = keys.filter(({ isUnreadable }) => isUnreadable);
      if (unreadable.length > 0) {
        const ids = unreadable.map(({ id }) => id).join(', ');
        return advised(name, `${count}, unreadable: ${ids}`, 'remove each with "lfo keys revoke --forget ID"');
      }
      const note =
        inert.length === 0 ? '' : `; the scope device of ${inert.length} opens nothing: devices join by pairing`;
      return passed(name, `${databaseUrl === undefined ? 'SQLite' : 'PostgreSQL'}, ${count}${note}`);
    } finally {
      await store.close();
    }
  } catch (error) {
    if (!(error instanceof LfoError)) throw error;
    return broken(name, error.message, 'end what has locked it, or correct DATABASE_URL or LFO_DATA_DIR');
  }
}

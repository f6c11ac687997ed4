import { join } from 'node:path';
import type { LfoConfig } from '../../config/config.ts';
import type { Store } from '../tables.ts';
import { PostgresStore } from './postgres-store.ts';
import { SqliteStore } from './sqlite-store.ts';

/** The database that the configuration names: PostgreSQL, or the SQLite file in the data folder. Nothing is opened yet. */
export function openStore({ databaseUrl, dataDir }: Pick<LfoConfig, 'databaseUrl' | 'dataDir'>): Store {
  return databaseUrl === undefined ? new SqliteStore(join(dataDir, 'lfo.db')) : new PostgresStore(databaseUrl);
}

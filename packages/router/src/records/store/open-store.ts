import { statSync } from 'node:fs';
import { join } from 'node:path';

import type { LfoConfig } from '../../config/config.ts';
import type { Store } from '../tables.ts';
import { PostgresStore } from './postgres-store.ts';
import { SqliteStore } from './sqlite-store.ts';

/** The database that the configuration names: PostgreSQL, or the SQLite file in the data folder. Nothing is opened yet. */
export function openStore({
  databaseUrl,
  databaseMigrate,
  dataDir,
}: Pick<LfoConfig, 'databaseUrl' | 'databaseMigrate' | 'dataDir'>): Store {
  if (databaseUrl === undefined) return new SqliteStore(fileIn(dataDir));
  return new PostgresStore(databaseUrl, { migrates: databaseMigrate === 'auto' });
}

/** Whether the database is a file that does not exist yet or is empty: nothing can have been kept in it. */
export function isNewStore({ databaseUrl, dataDir }: Pick<LfoConfig, 'databaseUrl' | 'dataDir'>): boolean {
  if (databaseUrl !== undefined) return false;
  return (statSync(fileIn(dataDir), { throwIfNoEntry: false })?.size ?? 0) === 0;
}

function fileIn(dataDir: string): string {
  return join(dataDir, 'lfo.db');
}

import type { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import { requests } from './migrations/001-requests.ts';
import { signatures } from './migrations/002-signatures.ts';
import { feedback } from './migrations/003-feedback.ts';
import { keys } from './migrations/004-keys.ts';
import { rollups } from './migrations/005-rollups.ts';
import { filters } from './migrations/006-filters.ts';
import { captures } from './migrations/007-captures.ts';
import { recordGaps } from './migrations/008-record-gaps.ts';
import { boundedLooks } from './migrations/009-bounded-looks.ts';

/** Every step of the schema in order; a released one is never edited. */
const migrations = {
  '001-requests': requests,
  '002-signatures': signatures,
  '003-feedback': feedback,
  '004-keys': keys,
  '005-rollups': rollups,
  '006-filters': filters,
  '007-captures': captures,
  '008-record-gaps': recordGaps,
  '009-bounded-looks': boundedLooks,
};

/** Brings a database up to date; of several routers that start at once, one does the work and the others wait. */
export async function migrate<T>(db: Kysely<T>): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
}

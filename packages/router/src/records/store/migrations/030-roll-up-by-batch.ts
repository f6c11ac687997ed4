import type { Kysely } from 'kysely';
import { letBatchesRollUp } from '../roll-up-triggers.ts';

/** A batch of requests is rolled up at once instead of row by row: half of the database thread's work. */
export async function rollUpByBatch<T>(db: Kysely<T>): Promise<void> {
  await letBatchesRollUp(db);
}

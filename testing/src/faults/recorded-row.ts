import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import type { Answer, TestRouter } from '../router.ts';

/** The row the router has written about one answer; waits for the batch it leaves in. */
export async function recordedRow(
  router: Pick<TestRouter, 'folder'>,
  of: Pick<Answer, 'headers'> | { readonly errorCode: string },
): Promise<Readonly<Record<string, unknown>>> {
  const file = join(router.folder, 'data', 'lfo.db');
  const [column, value] = 'errorCode' in of ? ['error_code', of.errorCode] : ['id', String(of.headers['x-request-id'])];
  for (const giveUpMs = performance.now() + 10_000; performance.now() < giveUpMs;) {
    if (existsSync(file)) {
      const database = new DatabaseSync(file, { readOnly: true });
      try {
        const row = database.prepare(`SELECT * FROM requests WHERE ${column} = ?`).get(value);
        if (row !== undefined) return row;
      } catch {
        // The table is not there yet, or the writer has it.
      } finally {
        database.close();
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`No row with ${column} ${value} was written.`);
}

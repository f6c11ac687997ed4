import { readFileSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import * as z from 'zod';

import { randomToken } from '../core/id.ts';
import { type ManagedKey, storedKey } from './managed-key.ts';

const copy = z.object({ readMs: z.number(), keys: z.array(storedKey) });

/** The keys as they were last read from the database. */
export interface CopiedKeys {
  /** Unix milliseconds. */
  readonly readMs: number;
  readonly keys: readonly ManagedKey[];
}

/**
 * What the database said last, in a file (0600, digests only): a router that starts while the database is away knows
 * whom to let in, and above all that it must not let in everybody.
 */
export class KeyCopy {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** Blocks on one small file; `undefined` where there is none that can be read. */
  read(): CopiedKeys | undefined {
    try {
      return copy.parse(JSON.parse(readFileSync(this.#file, 'utf8')));
    } catch {
      return undefined;
    }
  }

  /**
   * Replaces the file whole, or removes it where there are no keys; several processes may do so at once. Rejects where
   * the folder cannot be written.
   */
  async write(copied: CopiedKeys): Promise<void> {
    if (copied.keys.length === 0) return rm(this.#file, { force: true });
    const draft = `${this.#file}.${randomToken(6)}`;
    try {
      await writeFile(draft, JSON.stringify(copied), { mode: 0o600 });
      await rename(draft, this.#file);
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  }
}

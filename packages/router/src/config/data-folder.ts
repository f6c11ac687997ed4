import { chmodSync, closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '../../bin/make-folder.js';
import { codeOf } from '../core/error-code.ts';
import { LfoError } from '../core/errors.ts';

/**
 * Makes the data folder if it is missing, for its owner alone (0700); a folder that exists is left as it is.
 * @throws LfoError where it cannot be made
 */
export function createDataFolder(path: string): void {
  if (existsSync(path)) return;
  try {
    makeFolder(path);
    chmodSync(path, 0o700);
  } catch (error) {
    const code = codeOf(error) ?? 'unknown';
    throw new LfoError(
      `The data folder ${path} cannot be made (${code}): name one that you may write to by LFO_DATA_DIR or data_dir.`,
      { code: 'data_folder_unavailable', status: 500, cause: error },
    );
  }
}

/** Makes a file for its owner alone (0600) before anything is written to it, and narrows one that was wider. */
export function createPrivateFile(path: string): void {
  closeSync(openSync(path, 'a', 0o600));
  chmodSync(path, 0o600);
}

/** File of the keys as the database had them last; there is none as long as there are no keys. */
export function keyCopyIn(dataDir: string): string {
  return join(dataDir, 'keys.json');
}

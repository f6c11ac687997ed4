import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';

/** Makes the data folder if it is missing, for its owner alone (0700); a folder that exists is left as it is. */
export function createDataFolder(path: string): void {
  if (existsSync(path)) return;
  mkdirSync(path, { recursive: true, mode: 0o700 });
  chmodSync(path, 0o700);
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

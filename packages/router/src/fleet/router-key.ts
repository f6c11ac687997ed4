import * as crypto from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keyPair, keyText, nodePrimitives, readKeyText, type KeyPair, type Primitives } from '@lfo/protocol';
import { makeFolder } from '../../bin/make-folder.js';
import { createDataFolder } from '../config/data-folder.ts';
import { codeOf } from '../core/error-code.ts';
import { LfoError } from '../core/errors.ts';

/** Noise by OpenSSL. */
export const primitives: Primitives = nodePrimitives(crypto);

/** File of the router's secret key: whoever has it is this router to every paired device. */
export function routerKeyFile(dataDir: string): string {
  return join(dataDir, 'fleet', 'router.key');
}

/**
 * Reads the router's key pair, made at the first call: 0600 in a folder 0700.
 * @throws LfoError where the file holds no key
 */
export function openRouterKey(dataDir: string): KeyPair {
  const file = routerKeyFile(dataDir);
  if (!existsSync(file)) writeNew(dataDir, file);
  const secret = readKeyText(readFileSync(file, 'utf8'));
  if (secret === undefined) {
    throw new LfoError(
      'The file fleet/router.key in the data folder holds no key: put the copy of it back that "lfo db backup" made, or delete it and pair every device again.',
      { code: 'router_key_unreadable', status: 500 },
    );
  }
  chmodSync(file, 0o600);
  return keyPair(primitives, secret);
}

function writeNew(dataDir: string, file: string): void {
  createDataFolder(dataDir);
  const folder = join(dataDir, 'fleet');
  makeFolder(folder);
  chmodSync(folder, 0o700);
  try {
    writeFileSync(file, `${keyText(primitives.random(32))}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    // Another router of this folder was quicker: its key is ours.
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stampOf } from '../../bin/bundle-stamp.js';
import { LfoError } from '../core/errors.ts';

/** The folder of the router's package: of a clone, or as installed. */
const ownFolder = fileURLToPath(new URL('../../', import.meta.url));

/** What making it in a clone takes from the process that asks for it. */
export interface PackingHost {
  readonly execPath: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Reads it once: what is given out fits the router that runs, whatever becomes of its sources. */
export function devicePackageReader(host: PackingHost): () => Promise<Buffer> {
  let reading: Promise<Buffer> | undefined;
  return () =>
    (reading ??= devicePackage(host).catch((error: unknown) => {
      reading = undefined;
      throw error;
    }));
}

/**
 * The device host as one file for npm: it lies in LFO's own package; a clone makes it when it is first asked for and
 * after its sources have changed, in some seconds.
 * @throws LfoError `device_package` where a clone cannot make it
 */
export async function devicePackage(host: PackingHost): Promise<Buffer> {
  const file = join(ownFolder, 'dist/device.tgz');
  if (!existsSync(join(ownFolder, 'src'))) return await readFile(file);
  const clone = join(ownFolder, '../..');
  const stampFile = `${file}.stamp`;
  const stamp = stampOf(clone);
  const made = await readFile(stampFile, 'utf8').catch(() => undefined);
  if (made !== stamp) {
    const fresh = `${file}.${process.pid}`;
    await make(host, join(clone, 'scripts/pack.ts'), fresh);
    await rm(stampFile, { force: true });
    await rename(fresh, file);
    await writeFile(stampFile, stamp);
  }
  return await readFile(file);
}

function make({ execPath, env }: PackingHost, script: string, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(execPath, [script, 'device', file], { env: { ...env } }, (error, _stdout, stderr) => {
      if (error === null) return resolve();
      const why = stderr.split('\n').find((line) => /^\w*Error/.test(line));
      const message = `The device host could not be packed: ${why ?? error.message} Run npm ci, without --omit=dev.`;
      reject(new LfoError(message, { code: 'device_package', status: 500, cause: error }));
    });
  });
}

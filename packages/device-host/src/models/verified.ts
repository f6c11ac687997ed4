import { createHash } from 'node:crypto';
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { bytesOf } from './growing-file.ts';
import { errnoOf } from './model-error.ts';

const stamp = z.object({ size: z.number(), mtimeMs: z.number(), sha256: z.string() });

/** What is known of a file that was hashed once. */
export interface Verified {
  readonly sha256: string;
  /** Size and time are still those of the hashing: no need to hash again. */
  readonly isUnchanged: boolean;
}

/** Where the record of a model file is kept. */
export function stampPath(path: string): string {
  return `${path}.verified.json`;
}

/** Undefined when the file is not there or was never hashed. */
export async function readVerified(path: string): Promise<Verified | undefined> {
  try {
    const [stats, text] = await Promise.all([stat(path), readFile(stampPath(path), 'utf8')]);
    const { size, mtimeMs, sha256 } = stamp.parse(JSON.parse(text));
    return { sha256, isUnchanged: stats.size === size && stats.mtimeMs === mtimeMs };
  } catch {
    // An unreadable record is worth no more than none: the file is hashed again.
    return undefined;
  }
}

/** Remembers the hash; a folder that cannot be written costs a hash at every start, nothing else. */
export async function writeVerified(path: string, sha256: string): Promise<void> {
  const { size, mtimeMs } = await stat(path);
  const temporary = `${stampPath(path)}.tmp`;
  try {
    await writeFile(temporary, `${JSON.stringify({ size, mtimeMs, sha256 })}\n`, { mode: 0o600 });
    await rename(temporary, stampPath(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    if (!['EACCES', 'EPERM', 'EROFS', 'ENOSPC'].includes(errnoOf(error) ?? '')) throw error;
  }
}

/** SHA-256 of a whole file in hex; about 2 s a gigabyte. */
export async function hashFile(path: string, onBytes: (done: number) => void, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  let done = 0;
  for await (const chunk of bytesOf(path, signal)) {
    hash.update(chunk);
    done += chunk.length;
    onBytes(done);
  }
  return hash.digest('hex');
}

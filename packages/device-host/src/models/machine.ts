import { statfs } from 'node:fs/promises';
import { hostname } from 'node:os';
import { env, kill, pid, platform } from 'node:process';
import type { Clock } from '@lfo/protocol';
import { waitingClock } from '../clock.ts';
import { errnoOf, ModelError } from './model-error.ts';

/** What fetching a model needs of the machine; tests bring their own. */
export interface Machine {
  /** Its timers keep the process alive: while one waits for another's download, nothing else does. */
  readonly clock: Clock;
  /** Command that starts Python 3. */
  readonly python: string;
  /** Handed on to Python, which finds its package index there. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly hostname: string;
  readonly pid: number;
  isAlive(pid: number): boolean;
  /** Bytes an ordinary user may still write there. */
  freeBytes(folder: string): Promise<number>;
  /** The hub counts as unreachable when it has not answered by then. */
  readonly hubAnswerMs: number;
  /** A download that brings nothing for this long is cut and resumed. */
  readonly stallMs: number;
  /** A lock that has not moved for this long belongs to nobody any more. */
  readonly staleLockMs: number;
}

/** The machine we run on. */
export function thisMachine(): Machine {
  return {
    clock: waitingClock,
    python: platform === 'win32' ? 'python' : 'python3',
    environment: env,
    hostname: hostname(),
    pid,
    isAlive,
    async freeBytes(folder) {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    },
    hubAnswerMs: 4500,
    stallMs: 30_000,
    staleLockMs: 15_000,
  };
}

function isAlive(other: number): boolean {
  try {
    kill(other, 0);
    return true;
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    return errnoOf(error) === 'EPERM';
  }
}

/** Kept free for everything else that writes there. */
const marginBytes = 64 << 20;

/** @throws ModelError `no_space` when the folder's disk has less than `bytes` and a margin left */
export async function requireSpace(folder: string, bytes: number, machine: Machine): Promise<void> {
  const free = await machine.freeBytes(folder);
  if (free >= bytes + marginBytes) return;
  throw new ModelError(
    'no_space',
    `Not enough disk space: ${megabytes(bytes + marginBytes)} needed, ${megabytes(free)} free in the models folder. ` +
      'Make room, or choose another folder or a smaller model.',
  );
}

/** `491 MB` */
export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6).toLocaleString('en-US')} MB`;
}

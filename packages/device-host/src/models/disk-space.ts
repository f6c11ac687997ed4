import { ModelError } from './model-error.ts';
import type { Machine } from './machine.ts';

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

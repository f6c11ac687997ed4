import { watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Clock } from '../core/clock.ts';

/** Editors write a file in several steps. */
const settleMs = 100;

/**
 * Calls back once the file has changed and been left alone for 100 ms. Watches the folder, because editors replace
 * the file. The returned function stops it; a folder that cannot be watched is silently not watched.
 */
export function watchFile(file: string, clock: Clock, onChange: () => void): () => void {
  let cancel = (): void => {};
  const name = basename(file);
  const settle = (): void => {
    cancel();
    cancel = clock.schedule(settleMs, onChange);
  };
  try {
    const watcher = watch(dirname(file), { persistent: false }, (_event, changed) => {
      if (changed === null || changed === name) settle();
    });
    watcher.on('error', () => watcher.close());
    return () => {
      cancel();
      watcher.close();
    };
  } catch {
    return () => {};
  }
}

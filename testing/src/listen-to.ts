import type { ChildProcess } from 'node:child_process';

/** What a process says, on both of its outputs where they are piped. */
export interface Heard {
  /** Everything so far. */
  readonly text: () => string;
  /** Resolves once it has said this; rejects when it ends before, or has not said it in time. */
  readonly until: (pattern: RegExp, withinMs?: number) => Promise<RegExpExecArray>;
}

/** Listens to it from now on. */
export function listenTo(child: ChildProcess): Heard {
  let text = '';
  const looks = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      for (const look of looks) look();
    });
  }
  const closed = new Promise((resolve) => child.once('close', resolve));
  return {
    text: () => text,
    async until(pattern, withinMs) {
      const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
      const fail = (why: string): void => reject(new Error(`${why} it said ${pattern}: ${text}`));
      const look = (): void => {
        const found = pattern.exec(text);
        if (found !== null) resolve(found);
      };
      looks.add(look);
      look();
      void closed.then(() => fail('It ended before'));
      const timer = withinMs === undefined ? undefined : setTimeout(() => fail('Time was over before'), withinMs);
      try {
        return await promise;
      } finally {
        clearTimeout(timer);
        looks.delete(look);
      }
    },
  };
}

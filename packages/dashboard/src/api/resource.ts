import { useEffect, useRef, useState } from 'preact/hooks';
import { ask } from './client.ts';

/** Something asked of the router: what is known of it, and why it is not. */
export interface Resource<T> {
  /** The latest answer; stays while a newer one is on its way. */
  readonly value: T | undefined;
  readonly error: Error | undefined;
  readonly reload: () => void;
}

/** Asks once and again every `everyMs`, while the page can be seen. */
export function useResource<T>(path: string, everyMs?: number): Resource<T> {
  const [state, setState] = useState<{ path: string; value?: T; error?: Error }>({ path });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    const load = async (): Promise<void> => {
      try {
        const value = await ask<T>(path, { signal: abort.signal });
        if (!abort.signal.aborted) setState({ path, value });
      } catch (error) {
        if (abort.signal.aborted || !(error instanceof Error)) return;
        setState((before) => (before.path === path ? { ...before, error } : { path, error }));
      }
    };
    void load();
    const timer = everyMs === undefined ? undefined : setInterval(() => document.hidden || void load(), everyMs);
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, [path, everyMs, turn]);
  const isCurrent = state.path === path;
  return {
    value: isCurrent ? state.value : undefined,
    error: isCurrent ? state.error : undefined,
    reload: () => setTurn((before) => before + 1),
  };
}

/** What was known last, while nothing is: for a resource whose path moves with the time. */
export function useLatest<T>(value: T | undefined): T | undefined {
  const latest = useRef(value);
  latest.current = value ?? latest.current;
  return latest.current;
}

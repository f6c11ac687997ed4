import type { Backend } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';

/** Pause between two looks at a backend that answered. */
const readyPauseMs = 15_000;
/** And at one that did not: it should be back in the fleet soon after it is back. */
const downPauseMs = 2000;

/** How often engines are asked how busy they are. */
const loadMs = 2000;

/** Asks those that say it how busy they are. Never give it a cloud backend. */
export function keepReadingLoad(backends: readonly Backend[], clock: Clock): () => void {
  const ending = new AbortController();
  const cancels = new Map<string, () => void>();
  for (const backend of backends) void look(backend);
  return () => {
    ending.abort(new Error('stopped'));
    for (const cancel of cancels.values()) cancel();
  };

  async function look(backend: Backend): Promise<void> {
    await backend.readLoad?.(ending.signal);
    if (ending.signal.aborted) return;
    cancels.set(
      backend.id,
      clock.schedule(loadMs, () => void look(backend)),
    );
  }
}

/** Looks that go on until they are stopped. */
export interface Probing {
  /** Whether each has been looked at once. */
  readonly hasLooked: () => boolean;
  readonly stop: () => void;
}

/**
 * Looks at local servers now and then, so that one that is down is not tried by requests, and learns its models and
 * context. Never give it a cloud backend: nothing is sent there but requests.
 */
export function keepProbing(backends: readonly Backend[], clock: Clock): Probing {
  const ending = new AbortController();
  const unseen = new Set(backends);
  const cancels = new Map<string, () => void>();
  for (const backend of backends) void look(backend);
  return {
    hasLooked: () => unseen.size === 0,
    stop: () => {
      ending.abort(new Error('stopped'));
      for (const cancel of cancels.values()) cancel();
    },
  };

  async function look(backend: Backend): Promise<void> {
    let pauseMs = downPauseMs;
    try {
      const { state } = await backend.probe(ending.signal);
      if (state === 'ready') pauseMs = readyPauseMs;
    } catch {
      // What it found is in the backend's status; a probe that throws was stopped, or is tried again.
    }
    unseen.delete(backend);
    if (!ending.signal.aborted)
      cancels.set(
        backend.id,
        clock.schedule(pauseMs, () => void look(backend)),
      );
  }
}

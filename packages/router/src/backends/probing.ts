import type { Backend } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';

/** Pause between two looks at a backend that answered. */
const readyPauseMs = 15_000;
/** And at one that did not: it should be back in the fleet soon after it is back. */
const downPauseMs = 2000;

/** How often engines are asked how busy they are. */
const loadMs = 2000;

/** Looks that go on until they are stopped. */
export interface Probing {
  /** Looks at these from now on, and at no others. */
  follow(backends: readonly Backend[]): void;
  /** Whether each has been looked at once. */
  readonly hasLooked: () => boolean;
  readonly stop: () => void;
}

/**
 * Looks at local servers now and then, so that one that is down is not tried by requests, and learns its models and
 * context. Never give it a cloud backend: nothing is sent there but requests.
 */
export function keepProbing(backends: readonly Backend[], clock: Clock): Probing {
  return keepLooking(backends, clock, async (backend, signal) => {
    const { state } = await backend.probe(signal);
    return state === 'ready' ? readyPauseMs : downPauseMs;
  });
}

/** Asks those that say it how busy they are. Never give it a cloud backend. */
export function keepReadingLoad(backends: readonly Backend[], clock: Clock): Probing {
  return keepLooking(backends, clock, async (backend, signal) => {
    await backend.readLoad?.(signal);
    return loadMs;
  });
}

/** @param look answers how long until the next look; one that throws was stopped, or is tried again soon */
function keepLooking(
  first: readonly Backend[],
  clock: Clock,
  look: (backend: Backend, signal: AbortSignal) => Promise<number>,
): Probing {
  const looks = new Map<Backend, Look>();
  const follow = (backends: readonly Backend[]): void => {
    for (const [backend, { stop }] of looks) {
      if (backends.includes(backend)) continue;
      stop();
      looks.delete(backend);
    }
    for (const backend of backends) {
      if (!looks.has(backend))
        looks.set(
          backend,
          beginLooking((signal) => look(backend, signal), clock),
        );
    }
  };
  follow(first);
  return {
    follow,
    hasLooked: () => looks.values().every(({ hasLooked }) => hasLooked()),
    stop: () => follow([]),
  };
}

type Look = Pick<Probing, 'hasLooked' | 'stop'>;

function beginLooking(look: (signal: AbortSignal) => Promise<number>, clock: Clock): Look {
  const ending = new AbortController();
  let hasLooked = false;
  let cancel = (): void => {};
  const again = async (): Promise<void> => {
    // What was found is in the backend's status.
    const pauseMs = await look(ending.signal).catch(() => downPauseMs);
    hasLooked = true;
    if (!ending.signal.aborted) cancel = clock.schedule(pauseMs, () => void again());
  };
  void again();
  return {
    hasLooked: () => hasLooked,
    stop: () => {
      ending.abort(new Error('stopped'));
      cancel();
    },
  };
}

import type { Cancellation } from './abort.ts';

/** The only source of time. `nowMs` is monotonic and for durations; `wallMs` is for records and headers alone. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never runs backwards. */
  nowMs(): number;
  /** Milliseconds since the Unix epoch; may jump. */
  wallMs(): number;
  /** Calls once after `delayMs`; the returned function cancels and is idempotent. Never keeps the process alive. */
  schedule(delayMs: number, run: () => void): () => void;
}

/** Longer ones Node fires at once. */
const maxTimerMs = 2 ** 31 - 1;

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  schedule(delayMs, run) {
    const dueMs = performance.now() + delayMs;
    let timer = setTimeout(fire, Math.min(delayMs, maxTimerMs)).unref();
    // Node counts in whole milliseconds and fires up to one early: what was to be over by then is not.
    function fire(): void {
      const leftMs = dueMs - performance.now();
      if (leftMs > 0) timer = setTimeout(fire, Math.min(leftMs, maxTimerMs)).unref();
      else run();
    }
    return () => clearTimeout(timer);
  },
};

/**
 * Keeps the process alive until the returned function is called. The clock's own timers do not, and a command that waits
 * for one alone would end in the middle with Node's exit code 13.
 */
export function holdProcess(): () => void {
  const timer = setInterval(() => {}, maxTimerMs);
  return () => clearInterval(timer);
}

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it aborts. */
export function sleep(clock: Clock, delayMs: number, signal: Cancellation): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = (): void => {
      cancel();
      reject(signal.reason);
    };
    const cancel = clock.schedule(delayMs, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

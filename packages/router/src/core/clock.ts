/** The only source of time. `nowMs` is monotonic and for durations; `wallMs` is for records and headers alone. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never runs backwards. */
  nowMs(): number;
  /** Milliseconds since the Unix epoch; may jump. */
  wallMs(): number;
  /** Calls once after `delayMs`; the returned function cancels and is idempotent. Never keeps the process alive. */
  schedule(delayMs: number, run: () => void): () => void;
}

/** The longest delay a timer of Node holds, some 24.8 days; a longer one would fire at once. */
export const longestTimerMs = 2 ** 31 - 1;

/** The machine's own clock; a longer delay than a timer holds is shortened to that. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  schedule(delayMs, run) {
    const timer = setTimeout(run, Math.min(delayMs, longestTimerMs));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it aborts. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
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

/** The only source of time in the device host; durations alone, so it need not know the date. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never runs backwards. */
  nowMs(): number;
  /** Calls once after `delayMs`; the returned function cancels and is idempotent. Never keeps the process alive. */
  schedule(delayMs: number, run: () => void): () => void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  schedule(delayMs, run) {
    const timer = setTimeout(run, delayMs);
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

/** Calls every `periodMs` until the returned function is called. */
export function every(clock: Clock, periodMs: number, run: () => void): () => void {
  const again = (): void => {
    cancel = clock.schedule(periodMs, again);
    run();
  };
  let cancel = clock.schedule(periodMs, again);
  return () => cancel();
}

/** The same, but its timers keep the process alive: for a command that waits where nothing else would hold it. */
export const waitingClock: Clock = {
  ...systemClock,
  schedule(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

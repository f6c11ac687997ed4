/** Time as the protocol needs it; injected, so that tests own it. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never runs backwards. */
  nowMs(): number;
  /** Calls once after `delayMs`; the returned function cancels and is idempotent. */
  schedule(delayMs: number, run: () => void): () => void;
}

import type { RetryConfig } from '../config/config.ts';
import type { BackendError, BackendFault } from '../core/errors.ts';

/**
 * The one place that knows whether and when a failed call is worth another. Further calls are paid from a bucket that
 * every request fills a little, so that a broken upstream sees at most `budgetRatio` more calls than there are requests.
 */
export class RetryBudget {
  readonly #config: RetryConfig;
  /** 0..1, uniform. */
  readonly #random: () => number;
  /** Calls granted at once after a quiet time. */
  readonly #burst: number;
  /** What a request adds: a little less than the ratio, so that over 1,000 requests the burst is paid for too. */
  readonly #share: number;
  #tokens: number;

  constructor(config: RetryConfig, random: () => number) {
    this.#config = config;
    this.#random = random;
    this.#burst = config.budgetRatio * burstRequests;
    this.#share = config.budgetRatio * (1 - burstRequests / 1000);
    this.#tokens = this.#burst;
  }

  /** A new request: adds its share. */
  requestStarted(): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + this.#share);
  }

  /** Whether no further call would be granted to anyone: clients should not retry on their own either. */
  get isSpent(): boolean {
    return this.#tokens < 1;
  }

  /**
   * Milliseconds to wait before a further call, or `undefined` for none; what is granted is spent.
   * @param retriesSoFar of this request, all backends together
   * @param sameBackend whether the call would go to the backend that has just failed
   */
  delayBeforeRetry(error: BackendError, retriesSoFar: number, sameBackend: boolean): number | undefined {
    const { maxRetries, maxRetryAfterMs } = this.#config;
    if (retriesSoFar >= maxRetries || this.isSpent) return undefined;
    let delayMs = 0;
    if (sameBackend) {
      if (!error.retryable || retriesSoFar >= triesAtSameBackend[error.fault]) return undefined;
      const askedMs = error.retryAfterMs ?? 0;
      if (askedMs > maxRetryAfterMs) return undefined;
      delayMs = askedMs + this.#jitter(retriesSoFar);
    }
    this.#tokens -= 1;
    return delayMs;
  }

  /** Full jitter: anywhere between nothing and the exponential step, so that clients failing together spread out. */
  #jitter(retriesSoFar: number): number {
    const { baseDelayMs, maxDelayMs } = this.#config;
    return this.#random() * Math.min(maxDelayMs, baseDelayMs * 2 ** retriesSoFar);
  }
}

/** The burst is what so many requests would bring. */
const burstRequests = 50;

/** How often the same backend is worth another call after a fault of this kind. */
const triesAtSameBackend: Readonly<Record<BackendFault, number>> = {
  // Not there, or too slow once already: asking again only makes the client wait.
  connect: 0,
  timeout: 0,
  // Deterministic, as far as anyone can tell.
  bad_answer: 0,
  auth: 0,
  rejected: 0,
  // One more roll of the dice.
  cut: 1,
  unusable: 1,
  server: Infinity,
  rate_limit: Infinity,
  busy: Infinity,
};

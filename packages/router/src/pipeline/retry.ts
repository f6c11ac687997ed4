import type { RetryConfig } from '../config/config.ts';
import type { BackendError, BackendFault } from '../core/errors.ts';

/**
 * The one place that knows whether and when a backend that has failed a request is worth another call. Such calls are
 * paid from a bucket that every request fills a little, so that a broken upstream sees at most `budgetRatio` more calls
 * than there are requests. A backend that has not failed is asked without it.
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

  /** Whether no further call would be granted to anyone. */
  get isSpent(): boolean {
    return this.#tokens < 1;
  }

  /**
   * Milliseconds to wait before the backend that failed is called again, or `undefined` for never; what is granted is
   * spent.
   * @param retriesSoFar of this request, all backends together
   */
  delayBeforeRetry(error: BackendError, retriesSoFar: number): number | undefined {
    const { maxRetries, maxRetryAfterMs } = this.#config;
    if (retriesSoFar >= maxRetries || retriesSoFar >= callsWorthwhile[error.fault]) return undefined;
    const askedMs = error.retryAfterMs ?? 0;
    if (!error.retryable || askedMs > maxRetryAfterMs || this.isSpent) return undefined;
    this.#tokens -= 1;
    return askedMs + this.#jitter(retriesSoFar);
  }

  /**
   * Whether a backend that has failed may be asked for another of its models; what is granted is spent.
   * @param retriesSoFar of this request, all backends together
   */
  grantsStandIn(retriesSoFar: number): boolean {
    if (retriesSoFar >= this.#config.maxRetries || this.isSpent) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Full jitter: anywhere between nothing and the exponential step, so that clients failing together spread out. */
  #jitter(retriesSoFar: number): number {
    const { baseDelayMs, maxDelayMs } = this.#config;
    return this.#random() * Math.min(maxDelayMs, baseDelayMs * 2 ** retriesSoFar);
  }
}

/** The burst is what so many requests would bring. */
const burstRequests = 50;

/** How often a backend is worth another call after a fault of this kind. */
const callsWorthwhile: Readonly<Record<BackendFault, number>> = {
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
  server: 1,
  rate_limit: Infinity,
  busy: Infinity,
};

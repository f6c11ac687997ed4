import { LfoError } from '../core/errors.ts';

/** What admission looks at; asked anew for each request. */
export interface AdmissionFacts {
  /** Requests inside the router. */
  readonly inside: number;
  /** Those of them that wait for a backend; the backends' queues bound them. */
  readonly waiting: number;
  /** `limits.concurrency`. */
  readonly concurrency: number;
  /** How late the event loop has been at every look of late, in milliseconds. */
  readonly standingDelayMs: number;
}

/** An event loop that has been this late for a while does more work than it can. */
const longestStandingDelayMs = 500;

/**
 * Why a new request is not admitted; `undefined` when it is. Asked before its body is read, so that a refusal costs less
 * than the request would. An idle router always lets one in: what else would end a delay?
 */
export function admissionError({
  inside,
  waiting,
  concurrency,
  standingDelayMs,
}: AdmissionFacts): LfoError | undefined {
  if (inside - waiting >= concurrency) return overloaded('LFO runs as many requests as it may; try again in a moment.');
  if (inside > 0 && standingDelayMs > longestStandingDelayMs) {
    return overloaded('LFO has more to do than it can; try again in a moment.');
  }
  return undefined;
}

function overloaded(message: string): LfoError {
  return new LfoError(message, { code: 'overloaded', status: 503, retryable: true, retryAfterMs: 1000 });
}

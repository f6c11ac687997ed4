import { LfoError } from './core/errors.ts';
import type { LoopDelay } from './core/loop-delay.ts';

/** What admission looks at; asked anew for each request. */
export interface AdmissionFacts {
  /** Requests inside the router. */
  readonly inside: number;
  /** Those of them that wait for a backend; the backends' queues bound them. */
  readonly waiting: number;
  /** `limits.concurrency`. */
  readonly concurrency: number;
  readonly loop: LoopDelay;
}

/** An event loop that has been this late for a while does more work than it can. */
const standingDelayMs = 500;

/**
 * Why a new request is turned away at the door; `undefined` when it may come in. Said before its body is read, so that
 * a refusal costs less than the request would. An idle router always lets one in: what else would end a delay?
 */
export function refusalAtDoor({ inside, waiting, concurrency, loop }: AdmissionFacts): LfoError | undefined {
  if (inside - waiting >= concurrency) return overloaded('LFO runs as many requests as it may; try again in a moment.');
  if (inside > 0 && loop.standingMs > standingDelayMs) {
    return overloaded('LFO has more to do than it can; try again in a moment.');
  }
  return undefined;
}

function overloaded(message: string): LfoError {
  return new LfoError(message, { code: 'overloaded', status: 503, retryable: true, retryAfterMs: 1000 });
}

import type { Attempt, Lease, PoolChoice } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { WorkLeft } from '../core/predicted-work.ts';
import type { Member, Skip } from './eligibility.ts';
import { FairQueue } from './fair-queue.ts';
import { noBackendError, overloadedError } from './no-backend.ts';

/** A place for an attempt, or why each member has none. */
export type Picked = { readonly lease: Lease } | { readonly skips: readonly Skip[] };

export interface WaitingLineOptions {
  readonly clock: Clock;
  /** Longest wait for a member that is full; for one that is loading the signal alone decides. */
  readonly queueWaitMs: number;
  /** @param placed work that this round has already laid on members that are full */
  readonly pick: (attempt: Attempt, choice: PoolChoice, placed: Map<Member, WorkLeft[]>) => Picked;
}

interface Waiter {
  readonly attempt: Attempt;
  readonly choice: PoolChoice;
  readonly dueMs: number;
  readonly resolve: (lease: Lease) => void;
  readonly reject: (reason: unknown) => void;
}

/** How often waiting requests look again: backends load and breakers time out without a word. */
const lookAgainMs = 100;

/** Requests that wait for a place. Clients take turns; background requests go when no other waits. */
export class WaitingLine {
  readonly #options: WaitingLineOptions;
  readonly #waiting = new FairQueue<Waiter>();
  readonly #patient = new FairQueue<Waiter>();
  #cancelLook: (() => void) | undefined;

  constructor(options: WaitingLineOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#waiting.size + this.#patient.size;
  }

  /** Whether anybody but background requests waits. */
  get hasUrgent(): boolean {
    return this.#waiting.size > 0;
  }

  /** Resolves when its turn has come; rejects when it cannot be served, or its signal aborts. */
  wait(attempt: Attempt, choice: PoolChoice): Promise<Lease> {
    const { clock, queueWaitMs } = this.#options;
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { attempt, choice, resolve, reject, dueMs: clock.nowMs() + queueWaitMs };
      const onAbort = (): void => {
        this.#queueOf(waiter).delete(ownerOf(waiter), waiter, false);
        reject(choice.signal.reason);
      };
      choice.signal.addEventListener('abort', onAbort, { once: true });
      this.#queueOf(waiter).add(ownerOf(waiter), waiter);
      this.#lookLater();
    });
  }

  #lookLater(): void {
    if (this.#cancelLook !== undefined || this.size === 0) return;
    this.#cancelLook = this.#options.clock.schedule(lookAgainMs, () => {
      this.#cancelLook = undefined;
      this.serve(Infinity);
      this.#lookLater();
    });
  }

  #queueOf({ choice }: Waiter): FairQueue<Waiter> {
    return choice.request.hints.lane === 'background' ? this.#patient : this.#waiting;
  }

  /** Serves waiting requests in turn, at most so many; those that can no longer be served hear why. */
  serve(atMost: number): void {
    if (this.size === 0) return;
    const placed = new Map<Member, WorkLeft[]>();
    const served = this.#serveFrom(this.#waiting, atMost, placed);
    this.#serveFrom(this.#patient, atMost - served, placed);
  }

  #serveFrom(queue: FairQueue<Waiter>, atMost: number, placed: Map<Member, WorkLeft[]>): number {
    let served = 0;
    for (const { owner, item: waiter } of queue.inOrder()) {
      if (served >= atMost) return served;
      const picked = this.#options.pick(waiter.attempt, waiter.choice, placed);
      if ('lease' in picked) {
        served++;
        queue.delete(owner, waiter, true);
        waiter.resolve(picked.lease);
        continue;
      }
      const refusal = this.#refusalOf(waiter, picked.skips);
      if (refusal === undefined) continue;
      queue.delete(owner, waiter, false);
      waiter.reject(refusal);
    }
    return served;
  }

  #refusalOf(waiter: Waiter, skips: readonly Skip[]): Error | undefined {
    if (!canWaitFor(skips)) return noBackendError(waiter.attempt, skips);
    const isLate = this.#options.clock.nowMs() >= waiter.dueMs && !skips.some(({ kind }) => kind === 'loading');
    return isLate ? overloadedError(waiter.attempt, skips) : undefined;
  }
}

/** Whether one of these members will have a place in time. */
export function canWaitFor(skips: readonly Skip[]): boolean {
  return skips.some(({ kind }) => kind === 'full' || kind === 'held' || kind === 'loading');
}

function ownerOf({ choice }: Waiter): string {
  return choice.request.hints.clientKey ?? '';
}

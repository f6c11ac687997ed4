import type {
  AnswerTiming,
  Attempt,
  Backend,
  BackendPool,
  BackendView,
  FleetView,
  Lease,
  PoolChoice,
} from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { BreakerConfig } from '../config/config.ts';
import { BackendError } from '../core/errors.ts';
import { queueWaitMs, type RunningRequest } from '../core/predicted-wait.ts';
import { byPredictedWork } from './balance.ts';
import { CircuitBreaker, type Permit } from './breaker.ts';
import { type Asked, type Member, offerAt, offersOf, pausedMs, ratesOf, type Skip, skipOf } from './eligibility.ts';
import { FairQueue } from './fair-queue.ts';
import { noBackendError, overloadedError } from './no-backend.ts';
import { RateEstimator } from './rate-estimator.ts';

export interface PoolOptions {
  readonly clock: Clock;
  readonly breaker: BreakerConfig;
  /** Requests that may wait for a backend. */
  readonly queue: number;
  /** Longest wait for one that is full; for one that is loading the signal alone decides. */
  readonly queueWaitMs: number;
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

/** Conversations whose backend is remembered; the oldest are forgotten first. */
const maxSessions = 10_000;

/**
 * The backends and who gets which. Picks by eligibility, breaker, predicted work and affinity; while every eligible
 * backend is full or loading, requests wait in a bounded queue in which clients take turns.
 */
export class Pool implements BackendPool {
  readonly #options: PoolOptions;
  readonly #members = new Map<string, Member>();
  /** Outlives membership: a device that comes and goes keeps its record. */
  readonly #breakers = new Map<string, CircuitBreaker>();
  readonly #sessions = new Map<string, string>();
  readonly #waiting = new FairQueue<Waiter>();
  #cancelLook: (() => void) | undefined;
  #picks = 0;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Takes in a backend, in place of any with the same id. The pool never closes it. */
  add(backend: Backend, maxInFlight: number): void {
    const { breaker: config, clock } = this.#options;
    const breaker = this.#breakers.get(backend.id) ?? new CircuitBreaker(config, clock);
    this.#breakers.set(backend.id, breaker);
    this.#members.set(backend.id, {
      backend,
      breaker,
      maxInFlight,
      running: this.#members.get(backend.id)?.running ?? new Set(),
      rates: this.#members.get(backend.id)?.rates ?? new Map(),
      notBeforeMs: new Map(),
      lastPick: 0,
      isDraining: this.#members.get(backend.id)?.isDraining ?? false,
    });
    this.#serveWaiting(Infinity);
  }

  /** Gives it no more requests; leases under way go on. */
  remove(id: string): void {
    this.#members.delete(id);
    this.#serveWaiting(Infinity);
  }

  /** Gives it nothing new while leases under way go on, or takes that back. Answers whether there is such a backend. */
  setDraining(id: string, isDraining: boolean): boolean {
    const member = this.#members.get(id);
    if (member === undefined) return false;
    member.isDraining = isDraining;
    this.#serveWaiting(Infinity);
    return true;
  }

  /** Requests that wait for a backend. */
  get waiting(): number {
    return this.#waiting.size;
  }

  view(): FleetView {
    const nowMs = this.#options.clock.nowMs();
    const chatting = [...this.#members.values()].filter(({ backend }) => backend.chats !== false);
    return { backends: chatting.map((member) => this.#viewOf(member, nowMs)) };
  }

  #viewOf(member: Member, nowMs: number): BackendView {
    const { backend, breaker, running, maxInFlight, isDraining } = member;
    const rates = ratesOf(member, backend.models[0] ?? '');
    const status = { ...backend.status(), ...rates };
    const device = backend.label?.();
    const places = Math.min(maxInFlight, status.slots ?? Infinity);
    const queueMs = queueWaitMs(status, rates, places, [...running], this.#waiting.size, nowMs);
    return {
      id: backend.id,
      tier: backend.tier,
      models: backend.models,
      capabilities: backend.capabilities,
      offers: offersOf(backend).map((offer) => {
        // While a model that may stand in is free, the backend can be asked.
        const asked = [offer.model, ...(backend.standIns ?? [])];
        const leftMs = Math.min(...asked.map((model) => pausedMs(member, model, nowMs)));
        const rated = { ...offer, rates: ratesOf(member, offer.model) };
        return leftMs > 0 ? { ...rated, pausedMs: leftMs } : rated;
      }),
      ...(backend.standIns === undefined ? {} : { standIns: backend.standIns }),
      ...(device === undefined ? {} : { device }),
      status,
      breaker: breaker.state,
      inFlight: running.size,
      maxInFlight,
      ...(queueMs === undefined ? {} : { queueMs }),
      isDraining,
    };
  }

  /** Whether some backend could take the attempt, at once or when it has room. */
  hasCandidate(attempt: Attempt, asked: Asked): boolean {
    const nowMs = this.#options.clock.nowMs();
    return this.#candidates(attempt).some((member) => {
      const skip = skipOf(member, attempt, asked, nowMs);
      return skip === undefined || skip.kind === 'full';
    });
  }

  async acquire(attempt: Attempt, choice: PoolChoice): Promise<Lease> {
    choice.signal.throwIfAborted();
    const picked = this.#pick(attempt, choice);
    if ('lease' in picked) return picked.lease;
    if (!canWaitFor(picked.skips)) throw noBackendError(attempt, picked.skips);
    // Something better than waiting stands behind a gated attempt.
    if (attempt.gated) throw overloadedError(attempt, picked.skips);
    if (this.#waiting.size >= this.#options.queue) throw overloadedError(attempt, picked.skips);
    return await this.#wait(attempt, choice);
  }

  #candidates({ tier, backend, embeds, avoid }: Attempt): Member[] {
    const members: Member[] = [];
    for (const member of this.#members.values()) {
      if (avoid?.includes(member.backend.id) === true) continue;
      if (embeds !== true && member.backend.chats === false) continue;
      if (member.backend.tier === tier && (backend === undefined || backend === member.backend.id))
        members.push(member);
    }
    return members;
  }

  #pick(attempt: Attempt, choice: PoolChoice): { readonly lease: Lease } | { readonly skips: readonly Skip[] } {
    const nowMs = this.#options.clock.nowMs();
    const skips: Skip[] = [];
    const eligible = this.#candidates(attempt).filter((member) => {
      const skip = skipOf(member, attempt, choice, nowMs);
      if (skip !== undefined) skips.push(skip);
      return skip === undefined;
    });
    const session = sessionOf(choice);
    const preferred = session === undefined ? undefined : this.#sessions.get(session);
    // Providers differ in price, terms and quality: theirs is the order of the configuration, not of the load.
    const balanced = attempt.tier === 'cloud' ? eligible : byPredictedWork(eligible, choice.promptTokens, preferred);
    const ordered = preferredFirst(enforcersFirst(balanced, attempt, choice), attempt);
    for (const member of ordered) {
      const permit = member.breaker.tryAcquire();
      if (permit === undefined) continue;
      if (session !== undefined) this.#remember(session, member.backend.id);
      return { lease: this.#lease(member, permit, attempt, choice) };
    }
    return { skips };
  }

  #lease(member: Member, permit: Permit, attempt: Attempt, { request, promptTokens }: PoolChoice): Lease {
    const { backend } = member;
    const { model } = offerAt(backend, attempt, request);
    // Behind others it may wait in the backend's own queue, which is no time of reading.
    const isAtOnce = member.running.size < (backend.status().slots ?? 1);
    const running: RunningRequest = { promptTokens, startMs: this.#options.clock.nowMs() };
    member.running.add(running);
    member.lastPick = ++this.#picks;
    let isDone = false;
    return {
      backend,
      model,
      done: (outcome, error, timing) => {
        if (isDone) return;
        isDone = true;
        member.running.delete(running);
        permit.settle(outcome);
        if (timing !== undefined && isAtOnce) noteTiming(member, model, timing);
        if (error instanceof BackendError && error.fault === 'rate_limit' && error.retryAfterMs !== undefined) {
          const untilMs = this.#options.clock.nowMs() + error.retryAfterMs;
          member.notBeforeMs.set(error.model, Math.max(untilMs, member.notBeforeMs.get(error.model) ?? 0));
        }
        this.#serveWaiting(1);
      },
    };
  }

  #remember(session: string, backend: string): void {
    this.#sessions.delete(session);
    this.#sessions.set(session, backend);
    if (this.#sessions.size <= maxSessions) return;
    for (const oldest of this.#sessions.keys()) return void this.#sessions.delete(oldest);
  }

  #wait(attempt: Attempt, choice: PoolChoice): Promise<Lease> {
    const { clock, queueWaitMs } = this.#options;
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { attempt, choice, resolve, reject, dueMs: clock.nowMs() + queueWaitMs };
      const onAbort = (): void => {
        this.#waiting.delete(ownerOf(waiter), waiter, false);
        reject(choice.signal.reason);
      };
      choice.signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(ownerOf(waiter), waiter);
      this.#lookLater();
    });
  }

  #lookLater(): void {
    if (this.#cancelLook !== undefined || this.#waiting.size === 0) return;
    this.#cancelLook = this.#options.clock.schedule(lookAgainMs, () => {
      this.#cancelLook = undefined;
      this.#serveWaiting(Infinity);
      this.#lookLater();
    });
  }

  /** Serves waiting requests in turn, at most so many; those that can no longer be served hear why. */
  #serveWaiting(atMost: number): void {
    if (this.#waiting.size === 0) return;
    let served = 0;
    for (const { owner, item: waiter } of this.#waiting.inOrder()) {
      if (served >= atMost) return;
      const picked = this.#pick(waiter.attempt, waiter.choice);
      if ('lease' in picked) {
        served++;
        this.#waiting.delete(owner, waiter, true);
        waiter.resolve(picked.lease);
        continue;
      }
      const refusal = this.#refusalOf(waiter, picked.skips);
      if (refusal === undefined) continue;
      this.#waiting.delete(owner, waiter, false);
      waiter.reject(refusal);
    }
  }

  #refusalOf(waiter: Waiter, skips: readonly Skip[]): Error | undefined {
    if (!canWaitFor(skips)) return noBackendError(waiter.attempt, skips);
    const isLate = this.#options.clock.nowMs() >= waiter.dueMs && !skips.some(({ kind }) => kind === 'loading');
    return isLate ? overloadedError(waiter.attempt, skips) : undefined;
  }
}

/** Where a JSON schema is asked for, backends that hold an answer to it come before those that are asked in words. */
function enforcersFirst(members: readonly Member[], attempt: Attempt, { request }: PoolChoice): readonly Member[] {
  if (request.responseFormat?.type !== 'json_schema') return members;
  const enforces = (member: Member): boolean => offerAt(member.backend, attempt, request).capabilities.jsonSchema;
  return members.toSorted((one, other) => Number(enforces(other)) - Number(enforces(one)));
}

/** The one that a rule prefers, then the others as they were. */
function preferredFirst(members: readonly Member[], { prefer }: Attempt): readonly Member[] {
  if (prefer === undefined) return members;
  return members.toSorted((one, other) => Number(other.backend.id === prefer) - Number(one.backend.id === prefer));
}

/** Models whose rates are kept for one backend. */
const maxRated = 100;

function noteTiming({ rates }: Member, model: string, timing: AnswerTiming): void {
  const known = rates.get(model) ?? new RateEstimator();
  if (rates.size < maxRated) rates.set(model, known);
  known.addFirstToken(timing.promptTokens - timing.cachedTokens, timing.firstTokenMs);
  if (timing.answer !== undefined) known.addAnswer(timing.answer.tokens, timing.answer.ms);
}

function canWaitFor(skips: readonly Skip[]): boolean {
  return skips.some(({ kind }) => kind === 'full' || kind === 'loading');
}

function ownerOf({ choice }: Waiter): string {
  return choice.request.hints.clientKey ?? '';
}

function sessionOf({ request: { hints } }: PoolChoice): string | undefined {
  return hints.sessionKey === undefined ? undefined : `${hints.clientKey ?? ''}\n${hints.sessionKey}`;
}

import type { Attempt, Backend, BackendPool, FleetView, Lease, PoolChoice } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { BreakerConfig } from '../config/config.ts';
import { BackendError } from '../core/errors.ts';
import { setRecent } from '../core/recent.ts';
import { outLeft, type RunningRequest, type WorkLeft } from '../core/predicted-work.ts';
import { CircuitBreaker, type EjectionReason, type Permit } from './breaker.ts';
import { deviceBreakerOf, newSlowStart, noteDevice } from './device-conduct.ts';
import { type Asked, type Member, offerAt, placesOf, ratesOf, type Skip, skipOf } from './eligibility.ts';
import { Measured } from './measured.ts';
import { inOrder } from './member-order.ts';
import { markOf, viewOf } from './member-view.ts';
import { byModel } from './model-order.ts';
import { noBackendError, overloadedError } from './no-backend.ts';
import { type Placeable, placeAt, type PlacementContext } from './placement.ts';
import { bestFor, enforcersFirst, enforcersOf, isMeant, preferredFirst, withComputedHome } from './preference.ts';
import { canWaitFor, type Picked, WaitingLine } from './waiting-line.ts';

export interface PoolOptions {
  readonly clock: Clock;
  readonly breaker: BreakerConfig;
  /** Requests that may wait for a backend. */
  readonly queue: number;
  /** Longest wait for one that is full; for one that is loading the signal alone decides. */
  readonly queueWaitMs: number;
  /** Models in the order in which the operator prefers them where a request names none. */
  readonly modelOrder?: readonly string[];
  /** Longest predicted wait for a first token for which a better model is still taken; default 10 s. */
  readonly firstTokenBudgetMs?: number;
  /** 0..1, uniform; chooses whom to look at among many. */
  readonly random?: () => number;
  /** A device was ejected, or would have been if too many were not out already. */
  readonly onEjected?: (backend: string, why: EjectionReason) => void;
}

/** Up to so many members each is looked at; of more, two at random. */
const scannedAtMost = 8;
const sampled = 2;
/** With many members a view is not made anew for each request. */
const viewedAtOnce = 32;
const viewMs = 100;
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
  readonly #line: WaitingLine;
  readonly #measured: Measured;
  #list: readonly Member[] = [];
  #view: { readonly view: FleetView; readonly untilMs: number } | undefined;
  #picks = 0;
  #snapshot: { readonly view: FleetView; readonly madeMs: number; readonly marks: readonly number[] } | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#measured = new Measured(options.clock, () => this.#list);
    this.#line = new WaitingLine({
      clock: options.clock,
      get queueWaitMs() {
        return options.queueWaitMs;
      },
      pick: (...asked) => this.#pick(...asked),
    });
  }

  /**
   * Takes in a backend, in place of any with the same id. The pool never closes it. A device that `isFresh` is given one
   * request at a time until it has proven itself.
   */
  add(backend: Backend, maxInFlight: number, isFresh = false): void {
    const known = this.#members.get(backend.id);
    const breaker = this.#breakers.get(backend.id) ?? this.#breakerFor(backend);
    this.#breakers.set(backend.id, breaker);
    this.#members.set(backend.id, {
      backend,
      breaker,
      maxInFlight,
      running: known?.running ?? new Set(),
      rates: known?.rates ?? new Map(),
      notBeforeMs: new Map(),
      lastPick: 0,
      slowStart: isFresh ? newSlowStart() : (known?.slowStart ?? { left: 0, isProven: true }),
      lateStarts: 0,
      busyUntilMs: -Infinity,
      isDraining: known?.isDraining ?? false,
      most: () => this.#measured.most,
    });
    this.#changed();
  }

  /** Puts those that are named into this order of preference; the others keep their places. */
  order(ids: readonly string[]): void {
    const ordered = inOrder(this.#list, ids, ({ backend }) => backend.id);
    this.#members.clear();
    for (const member of ordered) this.#members.set(member.backend.id, member);
    this.#changed();
  }

  /** Gives it no more requests; leases under way go on. */
  remove(id: string): void {
    this.#members.delete(id);
    this.#changed();
  }

  /** Gives it nothing new while leases under way go on, or takes that back. Answers whether there is such a backend. */
  setDraining(id: string, isDraining: boolean): boolean {
    const member = this.#members.get(id);
    if (member === undefined) return false;
    member.isDraining = isDraining;
    this.#changed();
    return true;
  }

  #changed(): void {
    this.#list = Array.from(this.#members.values());
    this.#view = undefined;
    this.#snapshot = undefined;
    this.#line.serve(Infinity);
  }

  #breakerFor(backend: Backend): CircuitBreaker {
    const { breaker, clock, onEjected } = this.#options;
    if (backend.label === undefined) return new CircuitBreaker(breaker, clock);
    return deviceBreakerOf(
      clock,
      () => this.#list,
      (why) => onEjected?.(backend.id, why),
    );
  }

  /** Requests that wait for a backend. */
  get waiting(): number {
    return this.#line.size;
  }

  view(): FleetView {
    const nowMs = this.#options.clock.nowMs();
    if (this.#view !== undefined && nowMs < this.#view.untilMs) return this.#view.view;
    const view = {
      backends: this.#list
        .filter(({ backend }) => backend.chats !== false)
        .map((member) => viewOf(member, this.waiting, this.#measured.means, nowMs)),
    };
    this.#view = this.#list.length > viewedAtOnce ? { view, untilMs: nowMs + viewMs } : undefined;
    return view;
  }

  snapshot(): FleetView {
    const nowMs = this.#options.clock.nowMs();
    const known = this.#snapshot;
    if (known !== undefined && nowMs - known.madeMs < snapshotMs && this.#isAs(known.marks, nowMs)) return known.view;
    const marks = Array.from(this.#members.values(), (member) => markOf(member, nowMs));
    this.#snapshot = { view: this.view(), madeMs: nowMs, marks };
    return this.#snapshot.view;
  }

  #isAs(marks: readonly number[], nowMs: number): boolean {
    if (marks.length !== this.#members.size) return false;
    let at = 0;
    for (const member of this.#members.values()) if (markOf(member, nowMs) !== marks[at++]) return false;
    return true;
  }

  /** Whether some backend could take the attempt, at once or when it has room. */
  hasCandidate(attempt: Attempt, asked: Asked): boolean {
    const nowMs = this.#options.clock.nowMs();
    return this.#candidates(attempt).some((member) => {
      const skip = skipOf(member, attempt, asked, nowMs);
      return skip === undefined || skip.kind === 'full' || skip.kind === 'held';
    });
  }

  predict(attempt: Attempt, choice: PoolChoice): ReadonlyMap<string, number> {
    const context = this.#contextFor(choice, undefined);
    const found = new Map<string, number>();
    for (const member of this.#candidates(attempt)) {
      const skip = skipOf(member, attempt, choice, context.nowMs);
      if (skip !== undefined && skip.kind !== 'full') continue;
      const { model } = offerAt(member.backend, attempt, choice.request);
      found.set(member.backend.id, placeAt(member, model, skip !== undefined, context).ms);
    }
    return found;
  }

  wake(attempt: Attempt, asked: Asked): void {
    const nowMs = this.#options.clock.nowMs();
    const away: Member[] = [];
    for (const member of this.#candidates(attempt)) {
      const kind = skipOf(member, attempt, asked, nowMs)?.kind;
      if (kind === undefined || kind === 'full' || kind === 'held' || kind === 'loading') return;
      if (kind === 'down') away.push(member);
    }
    for (const { backend } of away) backend.wake?.();
  }

  async acquire(attempt: Attempt, choice: PoolChoice): Promise<Lease> {
    choice.signal.throwIfAborted();
    const picked = this.#pick(attempt, choice);
    if ('lease' in picked) return picked.lease;
    if (!canWaitFor(picked.skips)) throw noBackendError(attempt, picked.skips);
    // Something better than waiting stands behind a gated attempt.
    if (attempt.gated) throw overloadedError(attempt, picked.skips);
    if (this.waiting >= this.#options.queue) throw overloadedError(attempt, picked.skips);
    return await this.#line.wait(attempt, choice);
  }

  #candidates(attempt: Attempt): readonly Member[] {
    const { backend } = attempt;
    if (backend === undefined) return this.#list.filter((member) => isMeant(member, attempt));
    const pinned = this.#members.get(backend);
    return pinned !== undefined && isMeant(pinned, attempt) ? [pinned] : [];
  }

  #pick(attempt: Attempt, choice: PoolChoice, placed?: Map<Member, WorkLeft[]>): Picked {
    return attempt.tier === 'cloud' ? this.#pickInOrder(attempt, choice) : this.#pickByWork(attempt, choice, placed);
  }

  /** Providers differ in price, terms and quality: theirs is the order of the configuration, not of the load. */
  #pickInOrder(attempt: Attempt, choice: PoolChoice): Picked {
    const nowMs = this.#options.clock.nowMs();
    const skips: Skip[] = [];
    const eligible = this.#candidates(attempt).filter((member) => {
      const skip = skipOf(member, attempt, choice, nowMs);
      if (skip !== undefined) skips.push(skip);
      return skip === undefined;
    });
    for (const member of preferredFirst(enforcersFirst(eligible, attempt, choice), attempt)) {
      const permit = member.breaker.tryAcquire();
      if (permit !== undefined) return { lease: this.#lease(member, permit, attempt, choice) };
    }
    return { skips };
  }

  /**
   * The model first, then the member with the least predicted work, one that is full included: where that is best, the
   * request waits for it, and is placed anew whenever a place frees.
   */
  #pickByWork(attempt: Attempt, choice: PoolChoice, placed: Map<Member, WorkLeft[]> | undefined): Picked {
    const only = this.#onlyServer(attempt, choice);
    const sole = only?.breaker.tryAcquire();
    if (only !== undefined && sole !== undefined) return { lease: this.#leaseOf(only, sole, attempt, choice) };
    const context = this.#contextFor(choice, placed);
    const { placeable, skips } = this.#placeable(attempt, choice, context);
    const { modelOrder = [], firstTokenBudgetMs = 10_000 } = this.#options;
    const free = placeable.filter(({ isFull }) => !isFull);
    // Something better than waiting stands behind a gated attempt.
    const asked = attempt.gated ? free : placeable;
    const able = enforcersOf(asked, attempt, choice);
    const ofModel = attempt.model === undefined ? byModel(able, modelOrder, firstTokenBudgetMs) : able;
    let left = withComputedHome(ofModel, choice);
    for (let best = bestFor(left, attempt); best !== undefined; best = bestFor(left, attempt)) {
      if (best.isFull) {
        placed?.set(best.member, [...(placed.get(best.member) ?? []), workOf(context)]);
        return { skips: [...skips, full(best)] };
      }
      if (this.#mustLeaveRoom(choice, free)) return { skips: [...skips, full(best)] };
      const permit = best.member.breaker.tryAcquire();
      if (permit !== undefined) return { lease: this.#leaseFor(best, permit, attempt, choice) };
      const refused = best;
      left = left.filter((other) => other !== refused);
    }
    return { skips };
  }

  /** The one server that could be asked at all, where it has a place: there is nothing to compare. */
  #onlyServer(attempt: Attempt, choice: PoolChoice): Member | undefined {
    if (choice.request.hints.lane === 'background') return undefined;
    const [only, other] = this.#candidates(attempt);
    if (only === undefined || other !== undefined || only.backend.label !== undefined) return undefined;
    return skipOf(only, attempt, choice, this.#options.clock.nowMs()) === undefined ? only : undefined;
  }

  /** A background request leaves one place of the fleet free where there are two. */
  #mustLeaveRoom({ request }: PoolChoice, free: readonly Placeable[]): boolean {
    if (request.hints.lane !== 'background') return false;
    if (this.#line.hasUrgent) return true;
    let places = 0;
    for (const { member } of free) places += placesOf(member) - member.running.size;
    const taken = this.#list.reduce((sum, { running }) => sum + running.size, 0);
    return places < 2 && places + taken >= 2;
  }

  #contextFor(choice: PoolChoice, placed: Map<Member, WorkLeft[]> | undefined): PlacementContext {
    const session = sessionOf(choice);
    return {
      choice,
      placed,
      nowMs: this.#options.clock.nowMs(),
      means: this.#measured.means,
      assumed: this.#measured.quickestRates(),
      size: { prompt: choice.promptTokens, out: this.#measured.expectedOut(choice.request) },
      preferred: session === undefined ? undefined : this.#sessions.get(session),
    };
  }

  /** Members that could take it now or once they have a place. Of many, a few at random and the conversation's own. */
  #placeable(
    attempt: Attempt,
    choice: PoolChoice,
    context: PlacementContext,
  ): { readonly placeable: readonly Placeable[]; readonly skips: readonly Skip[] } {
    const { random } = this.#options;
    const placeable: Placeable[] = [];
    const skips: Skip[] = [];
    const look = (member: Member): void => {
      const skip = skipOf(member, attempt, choice, context.nowMs);
      if (skip !== undefined) skips.push(skip);
      if (skip !== undefined && skip.kind !== 'full') return;
      const { model } = offerAt(member.backend, attempt, choice.request);
      placeable.push(placeAt(member, model, skip !== undefined, context));
    };
    // Of those that a conversation is computed for, each must be known.
    const isComputed = this.#list.some(({ backend }) => backend.affinity !== undefined);
    const isLarge = attempt.backend === undefined && this.#list.length > scannedAtMost && !isComputed;
    const many = isLarge ? this.#list : undefined;
    if (many !== undefined && random !== undefined) {
      const seen = new Set<Member>();
      const own = context.preferred === undefined ? undefined : this.#members.get(context.preferred);
      if (own !== undefined && isMeant(own, attempt)) {
        seen.add(own);
        look(own);
      }
      // A few more looks than are needed: some are away, and one that is free is worth looking for.
      for (let looks = 0; looks < 8 * sampled; looks++) {
        const member = many[Math.floor(random() * many.length)];
        if (member === undefined || !isMeant(member, attempt) || seen.has(member)) continue;
        seen.add(member);
        look(member);
        // Waiting for one that is full is no choice while the others are not known.
        const free = placeable.filter(({ isFull }) => !isFull);
        if (free.length >= sampled) return { placeable: free, skips };
      }
      placeable.length = 0;
      skips.length = 0;
    }
    for (const member of this.#candidates(attempt)) look(member);
    return { placeable, skips };
  }

  #leaseFor({ member, firstTokenMs }: Placeable, permit: Permit, attempt: Attempt, choice: PoolChoice): Lease {
    return this.#leaseOf(member, permit, attempt, choice, firstTokenMs);
  }

  #leaseOf(member: Member, permit: Permit, attempt: Attempt, choice: PoolChoice, firstTokenMs?: number): Lease {
    const session = sessionOf(choice);
    if (session !== undefined && member.backend.affinity === undefined)
      setRecent(this.#sessions, session, member.backend.id, maxSessions);
    return this.#lease(member, permit, attempt, choice, firstTokenMs);
  }

  #lease(
    member: Member,
    permit: Permit,
    attempt: Attempt,
    { request, promptTokens }: PoolChoice,
    predictedMs = Infinity,
  ): Lease {
    const { backend } = member;
    const { clock } = this.#options;
    const { model } = offerAt(backend, attempt, request);
    // Behind others it may wait in the backend's own queue, which is no time of reading.
    const isAtOnce = member.running.size < (backend.status().slots ?? 1);
    const expectedTokens = this.#measured.expectedOut(request);
    const lane = request.hints.lane === 'background' ? { isBackground: true } : {};
    const running: RunningRequest = { promptTokens, expectedTokens, startMs: clock.nowMs(), ...lane };
    member.running.add(running);
    member.lastPick = ++this.#picks;
    let isDone = false;
    return {
      backend,
      model,
      rates: () => ratesOf(member, model),
      begun: () => (running.firstTokenMs ??= clock.nowMs()),
      done: (outcome, error, timing) => {
        if (isDone) return;
        isDone = true;
        member.running.delete(running);
        const wasHalfOpen = member.breaker.state === 'half-open';
        permit.settle(outcome);
        if (backend.label !== undefined) noteDevice(member, outcome, wasHalfOpen, timing, predictedMs);
        if (timing !== undefined) this.#measured.noteSize(request, timing);
        if (timing !== undefined && isAtOnce) this.#measured.noteTiming(member, model, timing);
        if (error instanceof BackendError && error.retryAfterMs !== undefined) {
          const untilMs = clock.nowMs() + error.retryAfterMs;
          if (error.fault === 'busy') member.busyUntilMs = untilMs;
          else if (error.fault === 'rate_limit')
            member.notBeforeMs.set(error.model, Math.max(untilMs, member.notBeforeMs.get(error.model) ?? 0));
        }
        this.#line.serve(1);
      },
    };
  }
}

function workOf({ size }: PlacementContext): WorkLeft {
  return { promptLeft: size.prompt, outLeft: outLeft(size.out, 0) };
}

function full({ member }: Placeable): Skip {
  return { backend: member.backend.id, kind: 'full', why: 'has as many requests as it may have' };
}

/** How old what is decided over may be. */
const snapshotMs = 100;

function sessionOf({ request: { hints } }: PoolChoice): string | undefined {
  return hints.sessionKey === undefined ? undefined : `${hints.clientKey ?? ''}\n${hints.sessionKey}`;
}

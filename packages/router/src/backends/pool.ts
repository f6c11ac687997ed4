import type {
  AnswerTiming,
  Attempt,
  Backend,
  BackendPool,
  BackendView,
  FleetView,
  Lease,
  Outcome,
  PoolChoice,
} from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { BreakerConfig } from '../config/config.ts';
import { conversationOf } from '../core/conversation.ts';
import { BackendError } from '../core/errors.ts';
import {
  type KnownRates,
  knownRates,
  type MeanRequest,
  outLeft,
  type RunningRequest,
  type WorkLeft,
} from '../core/predicted-work.ts';
import { homeOf } from './affinity.ts';
import { choose } from './balance.ts';
import { type BreakerRules, CircuitBreaker, type EjectionReason, type Permit } from './breaker.ts';
import {
  type Asked,
  type Member,
  offerAt,
  offersOf,
  pausedMs,
  placesOf,
  ratesOf,
  type Skip,
  skipOf,
} from './eligibility.ts';
import { FairQueue } from './fair-queue.ts';
import { byModel } from './model-order.ts';
import { noBackendError, overloadedError } from './no-backend.ts';
import { assumedRates, type Placeable, placeAt, type PlacementContext, queueMsOf } from './placement.ts';
import { mostSaid, RateEstimator } from './rate-estimator.ts';

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

/** A device that fails three times in a row is left alone, ever longer while it flaps. */
const deviceBreaker: BreakerConfig = { failures: 3, openMs: 10_000, maxOpenMs: 300_000 };
const deviceProbeMs = 30_000;
const deviceHealthyMs = 5 * 60_000;
/** So many answers in a row that begin this much later than predicted count as three failures. */
const lateStarts = 3;
const lateTimes = 4;
const lateMs = 1_000;
/** Answers that a device which is new or just back owes before it counts as any other. */
const slowStartAnswers = 3;
/** Up to so many members each is looked at; of more, two at random. */
const scannedAtMost = 8;
const sampled = 2;
/** Weight of the newest request in the means. */
const meanWeight = 0.2;
/** With many members a view is not made anew for each request. */
const viewedAtOnce = 32;
const viewMs = 100;
/** How long the quickest member stays it. */
const quickestMs = 1_000;

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
  /** Of background requests: they go when no other waits. */
  readonly #patient = new FairQueue<Waiter>();
  /** Expected length of an answer, and means of all requests. */
  readonly #means = { out: 128, outWithTools: 128, prompt: 400 };
  /** The rates of the quickest, looked for now and then. */
  #quickest = { rates: assumedRates, untilMs: -Infinity };
  /** What devices are believed of their speed, by the speeds measured here. */
  #most: ReturnType<Member['most']> = {};
  #mostUntilMs = -Infinity;
  #list: readonly Member[] = [];
  #view: { readonly view: FleetView; readonly untilMs: number } | undefined;
  #cancelLook: (() => void) | undefined;
  #picks = 0;
  #snapshot: { readonly view: FleetView; readonly madeMs: number; readonly marks: readonly number[] } | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /**
   * Takes in a backend, in place of any with the same id. The pool never closes it. A device that `isFresh` is given one
   * request at a time until it has proven itself.
   */
  add(backend: Backend, maxInFlight: number, isFresh = false): void {
    this.#snapshot = undefined;
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
      most: () => this.#most,
    });
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
    this.#serveWaiting(Infinity);
  }

  #breakerFor(backend: Backend): CircuitBreaker {
    const { breaker: config, clock, onEjected } = this.#options;
    if (backend.label === undefined) return new CircuitBreaker(config, clock);
    const rules: BreakerRules = {
      ...deviceBreaker,
      probeMs: deviceProbeMs,
      healthyMs: deviceHealthyMs,
      mayOpen: () => this.#mayEject(),
      onEjected: (why) => onEjected?.(backend.id, why),
    };
    return new CircuitBreaker(rules, clock);
  }

  /** At most half of the devices that are connected are out at once. */
  #mayEject(): boolean {
    const connected = this.#list.filter(
      ({ backend }) => backend.label?.() !== undefined && backend.status().state !== 'down',
    );
    const out = connected.filter(({ breaker }) => breaker.state !== 'closed').length;
    return out + 1 <= Math.floor(connected.length / 2);
  }

  /** Requests that wait for a backend. */
  get waiting(): number {
    return this.#waiting.size + this.#patient.size;
  }

  view(): FleetView {
    const nowMs = this.#options.clock.nowMs();
    if (this.#view !== undefined && nowMs < this.#view.untilMs) return this.#view.view;
    const view = {
      backends: this.#list
        .filter(({ backend }) => backend.chats !== false)
        .map((member) => this.#viewOf(member, nowMs)),
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

  #viewOf(member: Member, nowMs: number): BackendView {
    const { backend, breaker, running, maxInFlight, isDraining, slowStart } = member;
    const rates = ratesOf(member, backend.models[0] ?? '');
    const status = { ...backend.status(), ...rates };
    const device = backend.label?.();
    const queueMs = queueMsOf(member, this.waiting, this.#meansNow, nowMs);
    const { handicapMs } = breaker;
    const isOut = breaker.state === 'open';
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
      ...(isOut ? { ejectedMs: breaker.waitMs } : {}),
      ...(handicapMs > 0 ? { handicapMs } : {}),
      ...(slowStart.left > 0 ? { isSlowStart: true } : {}),
      isDraining,
    };
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
    return await this.#wait(attempt, choice);
  }

  #candidates(attempt: Attempt): readonly Member[] {
    const { backend } = attempt;
    if (backend === undefined) return this.#list.filter((member) => isMeant(member, attempt));
    const pinned = this.#members.get(backend);
    return pinned !== undefined && isMeant(pinned, attempt) ? [pinned] : [];
  }

  #pick(
    attempt: Attempt,
    choice: PoolChoice,
    placed?: Map<Member, WorkLeft[]>,
  ): { readonly lease: Lease } | { readonly skips: readonly Skip[] } {
    return attempt.tier === 'cloud' ? this.#pickInOrder(attempt, choice) : this.#pickByWork(attempt, choice, placed);
  }

  /** Providers differ in price, terms and quality: theirs is the order of the configuration, not of the load. */
  #pickInOrder(attempt: Attempt, choice: PoolChoice): { readonly lease: Lease } | { readonly skips: readonly Skip[] } {
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
  #pickByWork(
    attempt: Attempt,
    choice: PoolChoice,
    placed: Map<Member, WorkLeft[]> | undefined,
  ): { readonly lease: Lease } | { readonly skips: readonly Skip[] } {
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
    if (this.#waiting.size > 0) return true;
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
      means: this.#meansNow,
      assumed: this.#quickestRates(),
      size: { prompt: choice.promptTokens, out: this.#expectedOut(choice.request) },
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

  #quickestRates(): KnownRates {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs < this.#quickest.untilMs) return this.#quickest.rates;
    let rates: KnownRates | undefined;
    for (const member of this.#list) {
      if (member.backend.tier !== 'local') continue;
      const known = knownRates(ratesOf(member, member.backend.models[0] ?? ''));
      if (known !== undefined && known.decodeRate > (rates?.decodeRate ?? 0)) rates = known;
    }
    this.#quickest = { rates: rates ?? assumedRates, untilMs: nowMs + quickestMs };
    return this.#quickest.rates;
  }

  get #meansNow(): MeanRequest {
    return { prompt: this.#means.prompt, out: this.#means.out };
  }

  #expectedOut({ tools, sampling }: PoolChoice['request']): number {
    const usual = tools.length > 0 ? this.#means.outWithTools : this.#means.out;
    return Math.min(usual, sampling.maxTokens ?? Infinity);
  }

  #leaseFor({ member, firstTokenMs }: Placeable, permit: Permit, attempt: Attempt, choice: PoolChoice): Lease {
    return this.#leaseOf(member, permit, attempt, choice, firstTokenMs);
  }

  #leaseOf(member: Member, permit: Permit, attempt: Attempt, choice: PoolChoice, firstTokenMs?: number): Lease {
    const session = sessionOf(choice);
    if (session !== undefined && member.backend.affinity === undefined) this.#remember(session, member.backend.id);
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
    const expectedTokens = this.#expectedOut(request);
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
        if (backend.label !== undefined) this.#noteDevice(member, outcome, wasHalfOpen, timing, predictedMs);
        if (timing !== undefined) this.#noteSize(request, timing);
        if (timing !== undefined && isAtOnce) this.#noteTiming(member, model, timing);
        if (error instanceof BackendError && error.retryAfterMs !== undefined) {
          const untilMs = clock.nowMs() + error.retryAfterMs;
          if (error.fault === 'busy') member.busyUntilMs = untilMs;
          else if (error.fault === 'rate_limit')
            member.notBeforeMs.set(error.model, Math.max(untilMs, member.notBeforeMs.get(error.model) ?? 0));
        }
        this.#serveWaiting(1);
      },
    };
  }

  /** Slow start and late answers count for devices: their speed is theirs, and nobody looks after them. */
  #noteDevice(
    member: Member,
    outcome: Outcome,
    wasHalfOpen: boolean,
    timing: AnswerTiming | undefined,
    predictedMs: number,
  ): void {
    if (outcome === 'success') {
      if (wasHalfOpen) member.slowStart = newSlowStart();
      const { left } = member.slowStart;
      member.slowStart = { left: Math.max(0, left - 1), isProven: true };
    }
    if (timing === undefined || !Number.isFinite(predictedMs)) return;
    const isLate = timing.firstTokenMs > lateTimes * predictedMs && timing.firstTokenMs > predictedMs + lateMs;
    member.lateStarts = isLate ? member.lateStarts + 1 : 0;
    if (member.lateStarts < lateStarts) return;
    member.lateStarts = 0;
    member.breaker.eject();
  }

  #noteTiming({ rates }: Member, model: string, timing: AnswerTiming): void {
    const known = rates.get(model) ?? new RateEstimator();
    if (rates.size < maxRated) rates.set(model, known);
    known.addFirstToken(timing.promptTokens - timing.cachedTokens, timing.firstTokenMs);
    if (timing.answer !== undefined) known.addAnswer(timing.answer.tokens, timing.answer.ms);
    const nowMs = this.#options.clock.nowMs();
    if (nowMs < this.#mostUntilMs) return;
    this.#mostUntilMs = nowMs + quickestMs;
    const measured = this.#list.flatMap((member) => Array.from(member.rates.values(), (each) => each.read()));
    const [prefillRate, decodeRate] = [
      medianOf(measured.map((each) => each.prefillRate)),
      medianOf(measured.map((each) => each.decodeRate)),
    ];
    this.#most = mostSaid({
      ...(prefillRate === undefined ? {} : { prefillRate }),
      ...(decodeRate === undefined ? {} : { decodeRate }),
    });
  }

  #noteSize({ tools }: PoolChoice['request'], { promptTokens, answer }: AnswerTiming): void {
    const means = this.#means;
    means.prompt += meanWeight * (promptTokens - means.prompt);
    if (answer === undefined) return;
    if (tools.length > 0) means.outWithTools += meanWeight * (answer.tokens - means.outWithTools);
    else means.out += meanWeight * (answer.tokens - means.out);
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
        this.#queueOf(waiter).delete(ownerOf(waiter), waiter, false);
        reject(choice.signal.reason);
      };
      choice.signal.addEventListener('abort', onAbort, { once: true });
      this.#queueOf(waiter).add(ownerOf(waiter), waiter);
      this.#lookLater();
    });
  }

  #lookLater(): void {
    if (this.#cancelLook !== undefined || this.waiting === 0) return;
    this.#cancelLook = this.#options.clock.schedule(lookAgainMs, () => {
      this.#cancelLook = undefined;
      this.#serveWaiting(Infinity);
      this.#lookLater();
    });
  }

  #queueOf({ choice }: Waiter): FairQueue<Waiter> {
    return choice.request.hints.lane === 'background' ? this.#patient : this.#waiting;
  }

  /** Serves waiting requests in turn, at most so many; those that can no longer be served hear why. */
  #serveWaiting(atMost: number): void {
    if (this.waiting === 0) return;
    const placed = new Map<Member, WorkLeft[]>();
    const served = this.#serve(this.#waiting, atMost, placed);
    this.#serve(this.#patient, atMost - served, placed);
  }

  #serve(queue: FairQueue<Waiter>, atMost: number, placed: Map<Member, WorkLeft[]>): number {
    let served = 0;
    for (const { owner, item: waiter } of queue.inOrder()) {
      if (served >= atMost) return served;
      const picked = this.#pick(waiter.attempt, waiter.choice, placed);
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

/** Where a JSON schema is asked for, backends that hold an answer to it come before those that are asked in words. */
function enforcersFirst(members: readonly Member[], attempt: Attempt, { request }: PoolChoice): readonly Member[] {
  if (request.responseFormat?.type !== 'json_schema') return members;
  const enforces = (member: Member): boolean => enforcesSchema(member, attempt, request);
  return members.toSorted((one, other) => Number(enforces(other)) - Number(enforces(one)));
}

/** Whether an attempt may be made at the member at all. */
function isMeant({ backend }: Member, { tier, embeds, avoid }: Attempt): boolean {
  if (backend.tier !== tier || avoid?.includes(backend.id) === true) return false;
  return embeds === true || backend.chats !== false;
}

/** The one that a rule prefers, where it has a place; else the best, or of several alike the conversation's own. */
function bestFor(placeable: readonly Placeable[], { prefer }: Attempt): Placeable | undefined {
  const preferred = placeable.find(({ member, isFull }) => member.backend.id === prefer && !isFull);
  if (preferred !== undefined) return preferred;
  const best = bestOf(placeable);
  if (best?.member.backend.affinity !== 'strict') return best;
  return placeable.find(({ member, isFull, isOfSession }) => isOfSession && !isFull && isStrict(member)) ?? best;
}

function isStrict({ backend }: Member): boolean {
  return backend.affinity === 'strict';
}

/** Marks where the conversation belongs among those for which that is computed. */
function withComputedHome(placeable: readonly Placeable[], { request }: PoolChoice): readonly Placeable[] {
  const alike = placeable.filter(({ member }) => member.backend.affinity !== undefined);
  if (alike.length < 2) return placeable;
  const strict = alike.filter(({ member }) => isStrict(member));
  const candidates = (strict.length > 0 ? strict : alike).map((one) => ({ one, ...loadOf(one.member) }));
  const home = homeOf(candidates, conversationOf(request));
  return placeable.map((one) => (one === home?.one ? { ...one, isOfSession: true } : one));
}

function loadOf({ backend, running }: Member): { readonly id: string; readonly load: number; readonly queued: number } {
  const { active = 0, queued = 0 } = backend.status();
  return { id: backend.id, load: Math.max(running.size, active + queued), queued };
}

/** The one that a rule prefers, then the others as they were. */
function preferredFirst(members: readonly Member[], { prefer }: Attempt): readonly Member[] {
  if (prefer === undefined) return members;
  return members.toSorted((one, other) => Number(other.backend.id === prefer) - Number(one.backend.id === prefer));
}

/** Those alone, where there are any. */
function enforcersOf(placeable: readonly Placeable[], attempt: Attempt, { request }: PoolChoice): readonly Placeable[] {
  if (request.responseFormat?.type !== 'json_schema') return placeable;
  const able = placeable.filter(({ member }) => enforcesSchema(member, attempt, request));
  return able.length > 0 ? able : placeable;
}

function enforcesSchema({ backend }: Member, attempt: Attempt, request: PoolChoice['request']): boolean {
  return offerAt(backend, attempt, request).capabilities.jsonSchema;
}

/** The best of those that are left. One that is full counts only where its speed is known. */
function bestOf(left: readonly Placeable[]): Placeable | undefined {
  const best = choose(left);
  if (best === undefined || !best.isFull || best.isMeasured) return best;
  return choose(left.filter(({ isFull }) => !isFull)) ?? best;
}

function workOf({ size }: PlacementContext): WorkLeft {
  return { promptLeft: size.prompt, outLeft: outLeft(size.out, 0) };
}

function full({ member }: Placeable): Skip {
  return { backend: member.backend.id, kind: 'full', why: 'has as many requests as it may have' };
}

function newSlowStart(): Member['slowStart'] {
  return { left: slowStartAnswers, isProven: false };
}

/** How old what is decided over may be. */
const snapshotMs = 100;

/** A number that changes with whatever of a member forbids or favours it. One that is full has no lasting mark. */
function markOf({ backend, breaker, running, maxInFlight, isDraining, notBeforeMs }: Member, nowMs: number): number {
  const { state, active = 0, queued = 0, slots = Infinity } = backend.status();
  if (Math.max(running.size, active + queued) >= Math.min(maxInFlight, slots)) return Number.NaN;
  let paused = 0;
  for (const untilMs of notBeforeMs.values()) if (untilMs > nowMs) paused++;
  const open = breaker.state === 'closed' ? 0 : breaker.state === 'open' ? 1 : 2;
  return (state === 'ready' ? 0 : state === 'loading' ? 1 : 2) + open * 3 + (isDraining ? 9 : 0) + paused * 18;
}

/** Models whose rates are kept for one backend. */
const maxRated = 100;

function medianOf(rates: readonly (number | undefined)[]): number | undefined {
  const known = rates.filter((rate) => rate !== undefined).toSorted((one, other) => one - other);
  return known[Math.floor(known.length / 2)];
}

function canWaitFor(skips: readonly Skip[]): boolean {
  return skips.some(({ kind }) => kind === 'full' || kind === 'held' || kind === 'loading');
}

function ownerOf({ choice }: Waiter): string {
  return choice.request.hints.clientKey ?? '';
}

function sessionOf({ request: { hints } }: PoolChoice): string | undefined {
  return hints.sessionKey === undefined ? undefined : `${hints.clientKey ?? ''}\n${hints.sessionKey}`;
}

import { type Clock, sleep } from '../../core/clock.ts';
import type { Consumption, KeyLimits, UsageLedger } from '../../core/identity.ts';
import {
  entered,
  type Estimate,
  type Gauge,
  gaugesOf,
  holdsPlace,
  left,
  type LimitAnswer,
  type LimitAsk,
  type LimitState,
  type LimitStore,
  minuteMs,
  noEstimate,
  noneRunning,
  nothing,
  plus,
  type Running,
  type Used,
  verdictOf,
} from './limit-store.ts';
import { canShare, OutageShare } from './outage-share.ts';
import type { Known, SharedAnswer, SharedLimitStore } from './shared-limit-store.ts';

export interface SharedLimitsOptions {
  readonly store: SharedLimitStore;
  readonly clock: Clock;
  readonly ledger: Pick<UsageLedger, 'unwritten'>;
  /** Among how many routers a limit is shared out; `undefined`: not known yet. */
  readonly routers: () => number | undefined;
  /** What limited keys get while the store fails. */
  readonly onOutage: () => 'share' | 'deny' | 'allow';
  /** Longest silence of the store that a request waits through. */
  readonly waitMs: () => number;
  /** Told when the store begins to fail and when it answers again. */
  readonly onHealth?: (isAnswering: boolean) => void;
}

/** What this router knows of one key. */
interface Account {
  /** What runs here, whoever let it in. */
  own: Running;
  seen: { readonly state: LimitState; readonly atMs: number } | undefined;
  /** Of the store's counts of this key. */
  born: number | undefined;
  /** Calls to the store that are under way. */
  readonly calls: Set<Promise<unknown>>;
  /** Of those, settlements. */
  readonly settling: Set<Promise<unknown>>;
  /** While it is told what runs here, nothing else is asked. */
  renewing: Promise<void> | undefined;
  /** The store may not know what runs here. */
  isStale: boolean;
  outage: OutageShare | undefined;
  owed: { minute: Consumption; day: Consumption };
}

/** How many times the longest silence a request waits in the queue of a store that answers others, or to be let in at all. */
const longestQueue = 10;
/** Failures in a row after which it is asked but once a second. */
const mostFailures = 3;
const probeMs = 1_000;
/** How often the store hears what runs here, so that places of the dead can be told from those of the living. */
const renewMs = 5_000;
/** An answer that ended at another router gives its place back within this time. */
const secondLookMs = 15;
const never = new AbortController().signal;

/**
 * Counts together with other routers in a store they share, and alone with a share of what was left while that store
 * fails. No request that can do without the store waits through a silence longer than `waitMs`.
 */
export class SharedLimits implements LimitStore {
  readonly #options: SharedLimitsOptions;
  readonly #accounts = new Map<string, Account>();
  #failures = 0;
  #failedMs = -Infinity;
  #answeredMs = -Infinity;
  #nextProbeMs = 0;
  #cancelRenewal: () => void;
  #isClosed = false;

  constructor(options: SharedLimitsOptions) {
    this.#options = options;
    this.#cancelRenewal = this.#scheduleRenewal();
  }

  /** Whether the store answers, as far as is known. */
  get isAnswering(): boolean {
    return this.#failures < mostFailures;
  }

  async take(ask: LimitAsk): Promise<LimitAnswer> {
    const account = this.#account(ask.keyId);
    if (this.#mayAsk()) {
      try {
        return await this.#takeShared(account, ask);
      } catch {
        // It may have been counted all the same.
        account.isStale = true;
      }
    }
    return this.#takeAlone(account, ask);
  }

  look(keyId: string, limits: KeyLimits): readonly Gauge[] {
    const outage = this.#accounts.get(keyId)?.outage;
    if (outage !== undefined) return this.#options.onOutage() === 'allow' ? [] : outage.look(limits);
    const seen = this.#seenNow(keyId);
    return seen === undefined ? [] : gaugesOf(seen, limits, noEstimate);
  }

  /** Tells the store that nothing runs here any more; what is owed is said too. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelRenewal();
    await Promise.allSettled([...this.#accounts.values()].flatMap(({ calls }) => [...calls]));
    await this.#renewAll().catch(() => undefined);
    await this.#options.store.close();
  }

  /** Whether the store is to be asked: always while it answers, else once a second. */
  #mayAsk(): boolean {
    if (this.isAnswering) return true;
    const nowMs = this.#options.clock.nowMs();
    if (nowMs < this.#nextProbeMs) return false;
    this.#nextProbeMs = nowMs + probeMs;
    return true;
  }

  /**
   * Rejects where the store fails, has said nothing to anybody for a while, or takes far too long; what it says later is
   * put right by the next renewal.
   */
  #call<T>(account: Account, ask: () => Promise<T>, patienceMs = this.#options.waitMs()): Promise<T> {
    const { clock, waitMs } = this.#options;
    const startMs = clock.nowMs();
    const call = new Promise<T>((resolve, reject) => {
      let isOver = false;
      const end = (settle: () => void): void => {
        if (isOver) return;
        isOver = true;
        cancel();
        settle();
      };
      const fail = (): void =>
        end(() => {
          this.#failed(startMs);
          reject(new Error('The store of limits does not answer.'));
        });
      const look = (): void => {
        const nowMs = clock.nowMs();
        const quietMs = nowMs - Math.max(startMs, this.#answeredMs);
        if (quietMs >= patienceMs || nowMs - startMs >= longestQueue * waitMs()) fail();
        else if (!isOver) cancel = clock.schedule(patienceMs - quietMs, later);
      };
      // What has arrived while this process was busy is read first.
      const later = (): void => void setImmediate(look);
      let cancel = clock.schedule(patienceMs, later);
      ask().then(
        (answer) =>
          end(() => {
            this.#answered();
            resolve(answer);
          }),
        fail,
      );
    });
    return tracked(account.calls, call);
  }

  /** Calls that wait for the same silence have failed once. */
  #failed(startMs: number): void {
    const nowMs = this.#options.clock.nowMs();
    if (startMs < this.#failedMs) return;
    this.#failedMs = nowMs;
    this.#failures++;
    if (this.#failures !== mostFailures) return;
    this.#nextProbeMs = nowMs + probeMs;
    this.#options.onHealth?.(false);
  }

  #answered(): void {
    const wasAway = !this.isAnswering;
    this.#answeredMs = this.#options.clock.nowMs();
    this.#failures = 0;
    if (wasAway) this.#options.onHealth?.(true);
  }

  async #takeShared(account: Account, ask: LimitAsk): Promise<LimitAnswer> {
    await this.#settled(account, ask.keyId);
    let answer = await this.#ask(account, ask);
    if (!answer.isGranted && verdictOf(answer.state, ask.limits, ask).refusedBy?.kind === 'concurrency') {
      // A client that has read its answer's last byte may ask again before that answer has given its place back.
      if (account.settling.size > 0) await Promise.allSettled(account.settling);
      else await sleep(this.#options.clock, secondLookMs, never);
      answer = await this.#ask(account, ask);
    }
    account.outage = undefined;
    const { state, isGranted, born } = answer;
    // It has lost what runs here.
    if (account.born !== undefined && account.born !== born) account.isStale = true;
    account.born = born;
    const { refusedBy, outOfMoney } = verdictOf(state, ask.limits, ask);
    if (!isGranted) {
      this.#see(account, state);
      const [first] = gaugesOf(state, ask.limits, ask);
      const by = refusedBy ?? first;
      return by === undefined ? { type: 'unavailable' } : { type: 'refused', by };
    }
    const reserved = { tokens: ask.tokens, usd: outOfMoney === undefined ? ask.usd : 0 };
    const isHeld = holdsPlace(ask.limits);
    this.#see(account, {
      ...state,
      minute: plus(state.minute, { requests: 1, tokens: 0, usd: 0 }),
      day: plus(state.day, { requests: 1, tokens: 0, usd: 0 }),
      running: isHeld ? entered(state.running, reserved) : state.running,
    });
    if (!isHeld) return { type: 'granted', outOfMoney, settle: () => undefined };
    account.own = entered(account.own, reserved);
    return { type: 'granted', outOfMoney, settle: (used) => this.#settle(ask.keyId, account, reserved, used) };
  }

  #ask(account: Account, ask: LimitAsk): Promise<SharedAnswer> {
    const take = (): Promise<SharedAnswer> => this.#options.store.take(ask, this.#known(ask.keyId));
    return this.#call(account, take, this.#patienceMs(account, ask.limits));
  }

  /** A silence that a request waits through before it goes on without the store; longer where it could only be refused. */
  #patienceMs({ seen, outage }: Account, limits: KeyLimits): number {
    const { waitMs, routers, onOutage } = this.#options;
    const how = onOutage();
    const isShared = routers() !== undefined && (outage?.knows(limits) ?? canShare(seen, limits));
    const goesOn = how === 'allow' || (how === 'share' && isShared);
    return goesOn ? waitMs() : longestQueue * waitMs();
  }

  #settle(keyId: string, account: Account, reserved: Estimate, used: Used): void {
    const more = { requests: 0, tokens: used.tokens, usd: used.usd };
    account.outage?.leave();
    if (account.seen !== undefined) {
      const { state, atMs } = account.seen;
      const minute = plus(state.minute, more);
      const day = plus(state.day, more);
      account.seen = { atMs, state: { ...state, minute, day, running: left(state.running, reserved) } };
    }
    const owe = (): void => {
      account.isStale = true;
      account.owed = { minute: plus(account.owed.minute, more), day: plus(account.owed.day, more) };
    };
    const leave = (): void => {
      account.own = left(account.own, reserved);
    };
    if (!this.isAnswering) {
      leave();
      return owe();
    }
    const settling = (async () => {
      while (account.renewing !== undefined) await account.renewing.catch(() => undefined);
      // At once with the call: a renewal in between would take the place away a second time.
      leave();
      await this.#call(account, () => this.#options.store.settle(keyId, reserved, used));
    })();
    void tracked(account.settling, settling).catch(owe);
  }

  #takeAlone(account: Account, ask: LimitAsk): LimitAnswer {
    const { clock, routers, onOutage } = this.#options;
    const how = onOutage();
    const count = routers();
    // A part of an unknown number of parts is none.
    if (how === 'deny' || (how === 'share' && count === undefined)) return { type: 'unavailable' };
    const seen = this.#seenNow(ask.keyId);
    account.outage ??= new OutageShare(clock, count ?? 1, seen && { state: seen, own: account.own });
    const share = account.outage;
    const limits = how === 'allow' ? {} : ask.limits;
    const verdict = share.take({ ...ask, limits });
    if (verdict.type !== 'granted') return verdict;
    const { reserved, outOfMoney } = verdict;
    const owe = (more: Consumption): void => {
      account.isStale = true;
      // Its minute is the share's to count.
      account.owed = { ...account.owed, day: plus(account.owed.day, more) };
    };
    account.own = entered(account.own, reserved);
    owe({ requests: 1, tokens: 0, usd: 0 });
    return {
      type: 'granted',
      outOfMoney,
      settle: (used) => {
        // Once the store has heard of it, it is as any other.
        if (account.outage !== share) return this.#settle(ask.keyId, account, reserved, used);
        share.settle(reserved, used);
        account.own = left(account.own, reserved);
        owe({ requests: 0, tokens: used.tokens, usd: used.usd });
      },
    };
  }

  /** Resolves once the store knows what runs here and what is owed. */
  async #settled(account: Account, keyId: string): Promise<void> {
    while (account.renewing !== undefined) await account.renewing;
    if (account.isStale) await this.#renew(account, keyId);
  }

  /** Tells the store what runs here, when nothing is under way that it could count twice. */
  #renew(account: Account, keyId: string): Promise<void> {
    const renew = async (): Promise<void> => {
      await Promise.allSettled(account.calls);
      const { owed, outage } = account;
      const minute = plus(owed.minute, outage?.minute ?? nothing);
      const renewal = { keyId, running: account.own, owed: { minute, day: owed.day }, known: this.#known(keyId) };
      account.owed = { minute: nothing, day: nothing };
      account.isStale = false;
      try {
        await this.#call(account, () => this.#options.store.renew([renewal]));
        account.outage = undefined;
      } catch (error) {
        account.isStale = true;
        account.owed = { minute: plus(account.owed.minute, owed.minute), day: plus(account.owed.day, owed.day) };
        throw error;
      }
    };
    account.renewing = renew().finally(() => (account.renewing = undefined));
    return account.renewing;
  }

  #scheduleRenewal(): () => void {
    return this.#options.clock.schedule(renewMs, () => void this.#keepRenewing());
  }

  async #keepRenewing(): Promise<void> {
    await this.#renewAll().catch(() => undefined);
    if (!this.#isClosed) this.#cancelRenewal = this.#scheduleRenewal();
  }

  async #renewAll(): Promise<void> {
    for (const [keyId, account] of this.#accounts) {
      if (account.own.requests === 0 && !account.isStale) {
        this.#forget(keyId, account);
        continue;
      }
      if (!this.#mayAsk()) return;
      await (account.renewing ?? this.#renew(account, keyId));
    }
  }

  /** Keys that nobody uses any more cost no memory. */
  #forget(keyId: string, { seen, calls }: Account): void {
    const nowMs = this.#options.clock.nowMs();
    if (calls.size === 0 && (seen === undefined || nowMs - seen.atMs > 10 * minuteMs)) this.#accounts.delete(keyId);
  }

  #account(keyId: string): Account {
    let account = this.#accounts.get(keyId);
    if (account === undefined) {
      account = {
        own: noneRunning,
        seen: undefined,
        born: undefined,
        calls: new Set(),
        settling: new Set(),
        renewing: undefined,
        isStale: false,
        outage: undefined,
        owed: { minute: nothing, day: nothing },
      };
      this.#accounts.set(keyId, account);
    }
    return account;
  }

  #see(account: Account, state: LimitState): void {
    account.seen = { state, atMs: this.#options.clock.nowMs() };
  }

  /** The last sight of a key, as it is by now: a minute or a day that has ended since is empty. */
  #seenNow(keyId: string): LimitState | undefined {
    const seen = this.#accounts.get(keyId)?.seen;
    if (seen === undefined) return undefined;
    const { state, atMs } = seen;
    const passedMs = this.#options.clock.nowMs() - atMs;
    const isMinuteOver = state.minuteLeftMs <= passedMs;
    const isDayOver = state.dayLeftMs <= passedMs;
    return {
      minuteLeftMs: isMinuteOver ? minuteMs : state.minuteLeftMs - passedMs,
      minute: isMinuteOver ? nothing : state.minute,
      dayLeftMs: isDayOver ? state.dayLeftMs - passedMs + 86_400_000 : state.dayLeftMs - passedMs,
      day: isDayOver ? nothing : state.day,
      running: state.running,
    };
  }

  #known(keyId: string): Known {
    const seen = this.#accounts.get(keyId)?.seen;
    const leftMs = seen === undefined ? 0 : seen.state.minuteLeftMs - (this.#options.clock.nowMs() - seen.atMs);
    return {
      minute: seen === undefined || leftMs <= 0 ? undefined : { leftMs, used: seen.state.minute },
      unwritten: this.#options.ledger.unwritten(keyId),
    };
  }
}

/** Keeps a promise in a set for as long as it is pending. */
function tracked<T>(set: Set<Promise<unknown>>, promise: Promise<T>): Promise<T> {
  set.add(promise);
  promise.finally(() => set.delete(promise)).catch(() => undefined);
  return promise;
}

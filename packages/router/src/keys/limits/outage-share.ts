import type { Clock } from '../../core/clock.ts';
import type { Consumption, KeyLimits } from '../../core/identity.ts';
import {
  dayMs,
  entered,
  type Estimate,
  type Gauge,
  gaugesOf,
  left,
  type LimitAsk,
  type LimitState,
  minuteMs,
  noEstimate,
  noneRunning,
  nothing,
  plus,
  type Running,
  verdictOf,
} from './limit-store.ts';

/** A key as it was last seen before the store fell silent. */
export interface LastSeen {
  readonly state: LimitState;
  /** What of its running requests runs at this router. */
  readonly own: Running;
}

export type ShareVerdict =
  | { readonly type: 'granted'; readonly outOfMoney: Gauge | undefined; readonly reserved: Estimate }
  | { readonly type: 'refused'; readonly by: Gauge }
  | { readonly type: 'unavailable' };

/**
 * What one router gives a key while nobody can count for all of them: its part of what was left when the key was last
 * seen, and of each minute and day that begins meanwhile. All together give at most as many requests beyond a limit as
 * there are routers, less one.
 */
export class OutageShare {
  readonly #clock: Clock;
  readonly #routers: number;
  readonly #seen: LastSeen | undefined;
  #minuteEndsMs: number;
  #isFirstMinute = true;
  #day: number;
  #isFirstDay = true;
  #minute: Consumption = nothing;
  #today: Consumption = nothing;
  /** Of this router: all of its requests, and what those reserved that came in meanwhile. */
  #requests: number;
  #reserved: Running = noneRunning;

  constructor(clock: Clock, routers: number, seen: LastSeen | undefined) {
    this.#clock = clock;
    this.#routers = Math.max(1, routers);
    this.#seen = seen;
    this.#minuteEndsMs = clock.nowMs() + (seen?.state.minuteLeftMs ?? minuteMs);
    this.#day = dayOf(clock);
    this.#requests = seen?.own.requests ?? 0;
  }

  /** What the running minute has used of this share. */
  get minute(): Consumption {
    this.#roll();
    return this.#minute;
  }

  take(ask: LimitAsk): ShareVerdict {
    this.#roll();
    const { limits } = ask;
    if (!this.knows(limits)) return { type: 'unavailable' };
    const { refusedBy, outOfMoney } = verdictOf(this.#state(), this.#shares(limits), ask);
    if (refusedBy !== undefined) return { type: 'refused', by: named(refusedBy, limits) };
    const reserved = { tokens: ask.tokens, usd: outOfMoney === undefined ? ask.usd : 0 };
    this.#requests++;
    this.#reserved = entered(this.#reserved, reserved);
    this.#minute = plus(this.#minute, { requests: 1, tokens: 0, usd: 0 });
    this.#today = plus(this.#today, { requests: 1, tokens: 0, usd: 0 });
    return { type: 'granted', outOfMoney: outOfMoney && named(outOfMoney, limits), reserved };
  }

  /** How far each limit is, as far as this router may let in more; none where nobody can tell. */
  look(limits: KeyLimits): readonly Gauge[] {
    this.#roll();
    if (!this.knows(limits)) return [];
    return gaugesOf(this.#state(), this.#shares(limits), noEstimate).map((gauge) => named(gauge, limits));
  }

  /** Whether it can give a share of these limits. */
  knows(limits: KeyLimits): boolean {
    return canShare(this.#seen, limits) || !this.#isFirstDay;
  }

  /** One that this share let in has ended. */
  settle(reserved: Estimate, { tokens, usd }: Estimate): void {
    this.#roll();
    this.#requests--;
    this.#reserved = left(this.#reserved, reserved);
    const used = { requests: 0, tokens, usd };
    this.#minute = plus(this.#minute, used);
    this.#today = plus(this.#today, used);
  }

  /** One that the store had let in has ended. */
  leave(): void {
    this.#requests = Math.max(0, this.#requests - 1);
  }

  #state(): LimitState {
    return {
      minuteLeftMs: this.#minuteEndsMs - this.#clock.nowMs(),
      minute: this.#minute,
      dayLeftMs: dayMs - (this.#clock.wallMs() % dayMs),
      day: this.#today,
      running: { ...this.#reserved, requests: this.#requests },
    };
  }

  /** This router's part of each limit. */
  #shares(limits: KeyLimits): KeyLimits {
    const { minute, day, running } = this.#seen?.state ?? { minute: nothing, day: nothing, running: noneRunning };
    const usedMinute = this.#isFirstMinute ? minute : nothing;
    const usedDay = this.#isFirstDay ? day : nothing;
    const held = (kind: 'tokens' | 'usd', isFirst: boolean): number => (isFirst ? running[kind].sum : 0);
    const own = this.#seen?.own.requests ?? 0;
    const shares: Record<string, number> = {};
    const share = (name: keyof KeyLimits, used: number, round: (part: number) => number, more = 0): void => {
      const limit = limits[name];
      if (limit === undefined) return;
      const rest = limit - used;
      shares[name] = more + (rest <= 0 ? 0 : round(rest / this.#routers));
    };
    share('concurrency', running.requests, whole, own);
    share('requestsPerMinute', usedMinute.requests, whole);
    share('requestsPerDay', usedDay.requests, whole);
    share('tokensPerMinute', usedMinute.tokens + held('tokens', this.#isFirstMinute), whole);
    share('tokensPerDay', usedDay.tokens + held('tokens', this.#isFirstDay), whole);
    share('usdPerMinute', usedMinute.usd + held('usd', this.#isFirstMinute), (part) => part);
    share('usdPerDay', usedDay.usd + held('usd', this.#isFirstDay), (part) => part);
    return shares;
  }

  #roll(): void {
    const nowMs = this.#clock.nowMs();
    if (this.#minuteEndsMs <= nowMs) {
      this.#minuteEndsMs = nowMs + minuteMs;
      this.#isFirstMinute = false;
      this.#minute = nothing;
    }
    const day = dayOf(this.#clock);
    if (day !== this.#day) {
      this.#day = day;
      this.#isFirstDay = false;
      this.#today = nothing;
    }
  }
}

function whole(part: number): number {
  return Math.max(1, Math.floor(part));
}

/** Whether a share of these limits can be given: what days and money have used so far only the store or the database knows. */
export function canShare(seen: unknown, limits: KeyLimits): boolean {
  if (seen !== undefined) return true;
  const { requestsPerDay, tokensPerDay, usdPerDay, usdPerMinute } = limits;
  return [requestsPerDay, tokensPerDay, usdPerDay, usdPerMinute].every((limit) => limit === undefined);
}

/** With the key's own limit, which is what its holder knows, and as much left of it as of the share. */
function named(gauge: Gauge, limits: KeyLimits): Gauge {
  const limit = limits[gauge.name] ?? gauge.limit;
  return { ...gauge, limit, used: limit - Math.max(0, gauge.limit - gauge.used) };
}

function dayOf(clock: Clock): number {
  return Math.floor(clock.wallMs() / dayMs);
}

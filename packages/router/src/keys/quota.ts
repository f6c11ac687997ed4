import type { Clock } from '../core/clock.ts';
import { LfoError } from '../core/errors.ts';
import type { Usage } from '../core/events.ts';
import type {
  Consumption,
  KeyIdentity,
  KeyLimits,
  KeyQuota,
  QuotaAsk,
  QuotaTicket,
  Spent,
  UsageLedger,
} from '../core/identity.ts';

/** What running requests are expected to use of one thing. */
interface Reserved {
  /** Requests that reserved anything. */
  count: number;
  sum: number;
}

interface Account {
  minuteEndsMs: number;
  minute: Consumption;
  running: number;
  readonly reserved: { readonly tokens: Reserved; readonly usd: Reserved };
  /** Moving means of the answers so far, in tokens: of all of them, and of those that cost money; `undefined` without any. */
  readonly meanAnswer: { all: number | undefined; paid: number | undefined };
}

/** One ceiling and how far it is. */
interface Gauge {
  readonly kind: 'requests' | 'tokens' | 'usd' | 'concurrency';
  readonly limit: number;
  /** Reservations included. */
  readonly used: number;
  /** What one more request would add. */
  readonly asked: number;
  /** What is asked is an estimate, and nothing else of this kind is reserved. */
  readonly isFirstGuess: boolean;
  readonly resetMs: number;
  readonly says: string;
}

/** Most US dollars that an answer to a request for this model may cost; 0 where no price is known. */
export type MostUsd = (model: string, usage: Pick<Usage, 'promptTokens' | 'completionTokens'>) => number;

const minuteMs = 60_000;
const dayMs = 86_400_000;
/** Tokens reserved for an answer of a key that had none yet. */
const firstAnswer = 1_024;
/** Answers may be longer than the mean: what is reserved is this many times as long. */
const meansReserved = 2;
/** Weight of the latest answer in the mean. */
const latest = 0.2;
const freeTicket: QuotaTicket = { settle() {} };
const nothing: Consumption = { requests: 0, tokens: 0, usd: 0 };

/**
 * Holds each key to its limits. Everything a decision needs is in memory and nothing is awaited between looking and
 * taking, so requests that come at once cannot share one place. A request reserves its place, its tokens and its money
 * at the dearest price it may meet when it is let in, and pays what it really used when it ends. Minutes and concurrency
 * are counted by each router for itself, days together.
 */
export class Quota implements KeyQuota {
  readonly #clock: Clock;
  readonly #ledger: UsageLedger;
  readonly #mostUsd: MostUsd;
  readonly #accounts = new Map<string, Account>();

  constructor(clock: Clock, ledger: UsageLedger, mostUsd: MostUsd) {
    this.#clock = clock;
    this.#ledger = ledger;
    this.#mostUsd = mostUsd;
  }

  /**
   * Money that is used up keeps `auto` local and ends `cloud`; every other limit ends them all.
   * @throws LfoError 429 `rate_limit_exceeded` where a limit is used up
   */
  admit({ id, limits }: KeyIdentity, ask: QuotaAsk): QuotaTicket {
    if (limits === undefined) return freeTicket;
    const account = this.#account(id);
    const promised = this.#promise(account, ask);
    const full = this.#gauges(id, limits, account, promised).filter(isFull);
    const [refused] = ask.mode === 'cloud' ? full : full.filter(({ kind }) => kind !== 'usd');
    if (refused !== undefined) throw exceeded(refused);
    const outOfMoney = full.find(({ kind }) => kind === 'usd');
    // Answers of the local tier are free.
    const reserved = { tokens: promised.tokens, usd: outOfMoney === undefined ? promised.usd : 0 };
    account.minute = plus(account.minute, { requests: 1, tokens: 0, usd: 0 });
    account.running++;
    reserve(account, reserved);
    this.#ledger.add(id, { requests: 1, tokens: 0, usd: 0 });
    const settle = this.#settlement(id, reserved);
    return outOfMoney === undefined || ask.mode === 'local' ? { settle } : { keptLocal: keptLocal(outOfMoney), settle };
  }

  /** The `x-ratelimit-*` headers of a limited key, each pair about the limit that is nearest; none for others. */
  headers({ id, limits }: KeyIdentity): Readonly<Record<string, string>> {
    if (limits === undefined) return {};
    const gauges = this.#gauges(id, limits, this.#account(id), { tokens: 0, usd: 0 });
    const headers: Record<string, string> = {};
    for (const kind of ['requests', 'tokens'] as const) {
      const [nearest] = gauges.filter((gauge) => gauge.kind === kind).toSorted((a, b) => leftOf(a) - leftOf(b));
      if (nearest === undefined) continue;
      headers[`x-ratelimit-limit-${kind}`] = String(nearest.limit);
      headers[`x-ratelimit-remaining-${kind}`] = String(Math.floor(leftOf(nearest)));
      headers[`x-ratelimit-reset-${kind}`] = durationText(nearest.resetMs);
    }
    return headers;
  }

  /** What a request is expected to use at most, as long as answers are no longer than twice the mean. */
  #promise({ meanAnswer }: Account, { promptTokens, maxTokens, mode, model }: QuotaAsk): Spent {
    const expected = (mean: number | undefined): number =>
      Math.min(maxTokens ?? Infinity, mean === undefined ? firstAnswer : Math.ceil(meansReserved * mean));
    // Short answers of the local tier say nothing of what the cloud will write.
    const paid = { promptTokens, completionTokens: expected(meanAnswer.paid) };
    return {
      tokens: promptTokens + expected(meanAnswer.all),
      usd: mode === 'local' ? 0 : this.#mostUsd(model, paid),
    };
  }

  #settlement(id: string, reserved: Spent): QuotaTicket['settle'] {
    let isSettled = false;
    return ({ tokens, usd, completionTokens }) => {
      if (isSettled) return;
      isSettled = true;
      const account = this.#account(id);
      account.running--;
      release(account, reserved);
      account.minute = plus(account.minute, { requests: 0, tokens, usd });
      if (completionTokens !== undefined) {
        const mean = account.meanAnswer;
        mean.all = moved(mean.all, completionTokens);
        if (usd > 0) mean.paid = moved(mean.paid, completionTokens);
      }
      this.#ledger.add(id, { requests: 0, tokens, usd });
    };
  }

  /** A minute begins with its first request, so no request sees two of them. */
  #account(id: string): Account {
    const nowMs = this.#clock.nowMs();
    let account = this.#accounts.get(id);
    if (account === undefined) {
      account = {
        minuteEndsMs: nowMs + minuteMs,
        minute: nothing,
        running: 0,
        reserved: { tokens: { count: 0, sum: 0 }, usd: { count: 0, sum: 0 } },
        meanAnswer: { all: undefined, paid: undefined },
      };
      this.#accounts.set(id, account);
    } else if (account.minuteEndsMs <= nowMs) {
      account.minuteEndsMs = nowMs + minuteMs;
      account.minute = nothing;
    }
    return account;
  }

  #gauges(id: string, limits: KeyLimits, account: Account, promised: Spent): readonly Gauge[] {
    const { minute, reserved, running } = account;
    const day = this.#ledger.today(id);
    const minuteLeftMs = account.minuteEndsMs - this.#clock.nowMs();
    const dayLeftMs = dayMs - (this.#clock.wallMs() % dayMs);
    const gauges: Gauge[] = [];
    const exact = (
      limit: number | undefined,
      kind: 'requests' | 'concurrency',
      used: number,
      resetMs: number,
      says: string,
    ) => {
      if (limit !== undefined) gauges.push({ limit, kind, used, asked: 1, isFirstGuess: false, resetMs, says });
    };
    const guessed = (
      limit: number | undefined,
      kind: 'tokens' | 'usd',
      used: number,
      resetMs: number,
      says: string,
    ) => {
      const { count, sum } = reserved[kind];
      const gauge = { kind, used: used + sum, asked: promised[kind], isFirstGuess: count === 0, resetMs, says };
      if (limit !== undefined) gauges.push({ limit, ...gauge });
    };
    exact(limits.concurrency, 'concurrency', running, 1000, 'requests at once');
    exact(limits.requestsPerMinute, 'requests', minute.requests, minuteLeftMs, 'requests a minute');
    exact(limits.requestsPerDay, 'requests', day.requests, dayLeftMs, 'requests a day');
    guessed(limits.tokensPerMinute, 'tokens', minute.tokens, minuteLeftMs, 'tokens a minute');
    guessed(limits.tokensPerDay, 'tokens', day.tokens, dayLeftMs, 'tokens a day');
    guessed(limits.usdPerMinute, 'usd', minute.usd, minuteLeftMs, 'dollars a minute');
    guessed(limits.usdPerDay, 'usd', day.usd, dayLeftMs, 'dollars a day');
    return gauges;
  }
}

/**
 * Tokens and money are estimates before the answer is there: where nothing else is reserved, a request may come in as
 * long as anything is left, or an estimate larger than the limit would shut its key out for good.
 */
function isFull({ limit, used, asked, isFirstGuess }: Gauge): boolean {
  return isFirstGuess || asked === 0 ? used >= limit : used + asked > limit;
}

function reserve({ reserved }: Account, promised: Spent): void {
  for (const kind of ['tokens', 'usd'] as const) {
    if (promised[kind] === 0) continue;
    reserved[kind].count++;
    reserved[kind].sum += promised[kind];
  }
}

function release({ reserved }: Account, promised: Spent): void {
  for (const kind of ['tokens', 'usd'] as const) {
    if (promised[kind] === 0) continue;
    reserved[kind].count--;
    // From nothing on again, or the rounding of sums would add up.
    reserved[kind].sum = reserved[kind].count === 0 ? 0 : reserved[kind].sum - promised[kind];
  }
}

function moved(mean: number | undefined, value: number): number {
  return mean === undefined ? value : mean + latest * (value - mean);
}

function leftOf({ limit, used }: Gauge): number {
  return Math.max(0, limit - used);
}

function keptLocal({ limit, says }: Gauge): string {
  return `the limit of ${limit} ${says} is reached, so only the local tier may answer`;
}

function exceeded({ limit, says, resetMs, kind }: Gauge): LfoError {
  const next = kind === 'concurrency' ? 'Wait for one to end.' : 'Wait, or ask the operator for more.';
  return new LfoError(`This key's limit of ${limit} ${says} is reached. ${next}`, {
    code: 'rate_limit_exceeded',
    status: 429,
    retryable: true,
    retryAfterMs: resetMs,
  });
}

function plus(a: Consumption, b: Consumption): Consumption {
  return { requests: a.requests + b.requests, tokens: a.tokens + b.tokens, usd: a.usd + b.usd };
}

/** `1m30s`, as OpenAI writes it. */
function durationText(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds % 60}s`;
}

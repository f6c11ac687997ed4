import type { Clock } from '../core/clock.ts';
import { LfoError } from '../core/errors.ts';
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

interface Account {
  minuteEndsMs: number;
  minute: Consumption;
  running: number;
  /** What the running requests are expected to use. */
  reserved: Spent;
  /** Moving means of the answers so far. */
  meanCompletion: number;
  meanUsd: number;
}

/** One ceiling and how far it is. */
interface Gauge {
  readonly kind: 'requests' | 'tokens' | 'usd' | 'concurrency';
  readonly limit: number;
  readonly used: number;
  /** What one more request would add. */
  readonly asked: number;
  readonly resetMs: number;
  readonly says: string;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
const firstCompletion = 256;
/** Weight of the latest answer in a mean. */
const latest = 0.2;
const nothing: Consumption = { requests: 0, tokens: 0, usd: 0 };
const freeTicket: QuotaTicket = { settle() {} };

/**
 * Holds each key to its limits. Everything a decision needs is in memory and nothing is awaited between looking and
 * taking, so requests that come at once cannot share one place. A request takes its place when it is let in and pays
 * what it really used when it ends. Minutes and concurrency are counted by each router for itself, days together.
 */
export class Quota implements KeyQuota {
  readonly #clock: Clock;
  readonly #ledger: UsageLedger;
  readonly #accounts = new Map<string, Account>();

  constructor(clock: Clock, ledger: UsageLedger) {
    this.#clock = clock;
    this.#ledger = ledger;
  }

  /** @throws LfoError 429 `rate_limit_exceeded` where a limit is used up */
  admit({ id, limits }: KeyIdentity, ask: QuotaAsk): QuotaTicket {
    if (limits === undefined) return freeTicket;
    const account = this.#account(id);
    const promised: Spent = {
      tokens: ask.promptTokens + (ask.maxTokens ?? Math.ceil(account.meanCompletion)),
      usd: account.meanUsd,
    };
    const gauges = this.#gauges(id, limits, account, promised);
    const full = gauges.find((gauge) => isFull(gauge, account.running));
    if (full !== undefined) throw exceeded(full);
    account.minute = plus(account.minute, { requests: 1, tokens: 0, usd: 0 });
    account.running++;
    account.reserved = { tokens: account.reserved.tokens + promised.tokens, usd: account.reserved.usd + promised.usd };
    this.#ledger.add(id, { requests: 1, tokens: 0, usd: 0 });
    return this.#ticket(id, promised, ask.promptTokens);
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

  #ticket(id: string, promised: Spent, promptTokens: number): QuotaTicket {
    let isSettled = false;
    return {
      settle: ({ tokens, usd }) => {
        if (isSettled) return;
        isSettled = true;
        const account = this.#account(id);
        account.running--;
        account.reserved =
          account.running === 0
            ? { tokens: 0, usd: 0 }
            : { tokens: account.reserved.tokens - promised.tokens, usd: account.reserved.usd - promised.usd };
        account.minute = plus(account.minute, { requests: 0, tokens, usd });
        if (tokens > 0)
          account.meanCompletion += latest * (Math.max(0, tokens - promptTokens) - account.meanCompletion);
        account.meanUsd += latest * (usd - account.meanUsd);
        this.#ledger.add(id, { requests: 0, tokens, usd });
      },
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
        reserved: { tokens: 0, usd: 0 },
        meanCompletion: firstCompletion,
        meanUsd: 0,
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
    const gauge = (
      limit: number | undefined,
      kind: Gauge['kind'],
      used: number,
      asked: number,
      resetMs: number,
      says: string,
    ): void => {
      if (limit !== undefined) gauges.push({ limit, kind, used, asked, resetMs, says });
    };
    gauge(limits.concurrency, 'concurrency', running, 1, 1000, 'requests at once');
    gauge(limits.requestsPerMinute, 'requests', minute.requests, 1, minuteLeftMs, 'requests a minute');
    gauge(limits.requestsPerDay, 'requests', day.requests, 1, dayLeftMs, 'requests a day');
    const { tokens, usd } = promised;
    gauge(limits.tokensPerMinute, 'tokens', minute.tokens + reserved.tokens, tokens, minuteLeftMs, 'tokens a minute');
    gauge(limits.tokensPerDay, 'tokens', day.tokens + reserved.tokens, tokens, dayLeftMs, 'tokens a day');
    gauge(limits.usdPerMinute, 'usd', minute.usd + reserved.usd, usd, minuteLeftMs, 'dollars a minute');
    gauge(limits.usdPerDay, 'usd', day.usd + reserved.usd, usd, dayLeftMs, 'dollars a day');
    return gauges;
  }
}

/**
 * Tokens and money are guesses before the answer is there: a key that has nothing running may come in as long as
 * anything is left, or a guess larger than the limit would shut it out for good.
 */
function isFull({ kind, limit, used, asked }: Gauge, running: number): boolean {
  const isGuess = kind === 'tokens' || kind === 'usd';
  return isGuess && (running === 0 || asked === 0) ? used >= limit : used + asked > limit;
}

function leftOf({ limit, used }: Gauge): number {
  return Math.max(0, limit - used);
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

import { LfoError } from '../core/errors.ts';
import type { Usage } from '../core/events.ts';
import type { KeyIdentity, KeyLimits, KeyQuota, QuotaAsk, QuotaTicket, Spent, UsageLedger } from '../core/identity.ts';
import { type Estimate, type Gauge, type LimitAnswer, type LimitStore } from './limits/limit-store.ts';

/** Most US dollars that an answer to a request for this model may cost, and a model that it may meet without a price. */
export type MostUsd = (
  model: string,
  usage: Pick<Usage, 'promptTokens' | 'completionTokens'>,
) => { readonly usd: number; readonly unpriced: string | undefined };

/** What a request is expected to use at most. */
interface Expected extends Estimate {
  readonly unpriced: string | undefined;
}

/** Moving means of a key's answers so far, in tokens: of all of them, and of those that cost money. */
interface Means {
  all: number | undefined;
  paid: number | undefined;
}

/** Tokens reserved for an answer of a key that had none yet. */
const firstAnswer = 1_024;
/** Answers may be longer than the mean: what is reserved is this many times as long. */
const meansReserved = 2;
/** Weight of the latest answer in the mean. */
const latest = 0.2;
const freeTicket: QuotaTicket = { settle() {} };
const unlimited: LimitAnswer = { type: 'granted', outOfMoney: undefined, settle() {} };

/**
 * Holds each key to its limits. A request reserves its place, its tokens and its money at the dearest price it may meet
 * when it is let in, and pays what it really used when it ends. Where counts are shared with other routers, letting in
 * takes a round trip for keys with limits and none for others.
 */
export class Quota implements KeyQuota {
  readonly #store: LimitStore;
  readonly #ledger: Pick<UsageLedger, 'add'>;
  readonly #mostUsd: MostUsd;
  readonly #means = new Map<string, Means>();

  constructor(store: LimitStore, ledger: Pick<UsageLedger, 'add'>, mostUsd: MostUsd) {
    this.#store = store;
    this.#ledger = ledger;
    this.#mostUsd = mostUsd;
  }

  admit({ id, limits }: KeyIdentity, ask: QuotaAsk): QuotaTicket | Promise<QuotaTicket> {
    if (limits === undefined) return freeTicket;
    const { tokens, usd, unpriced } = this.#expected(id, ask);
    const isPaid = limits.usdPerMinute !== undefined || limits.usdPerDay !== undefined;
    const warning = isPaid && unpriced !== undefined ? noPrice(unpriced) : undefined;
    const isLimited = Object.keys(limits).length > 0;
    const answer = isLimited ? this.#store.take({ keyId: id, limits, mode: ask.mode, tokens, usd }) : unlimited;
    return answer instanceof Promise
      ? answer.then((known) => this.#ticket(id, ask, known, warning))
      : this.#ticket(id, ask, answer, warning);
  }

  headers({ id, limits }: KeyIdentity): Readonly<Record<string, string>> {
    const gauges = limits === undefined ? [] : this.#store.look(id, limits);
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
  #expected(id: string, { promptTokens, maxTokens, mode, model }: QuotaAsk): Expected {
    const means = this.#means.get(id);
    const expected = (mean: number | undefined): number =>
      Math.min(maxTokens ?? Infinity, mean === undefined ? firstAnswer : Math.ceil(meansReserved * mean));
    // Short answers of the local tier say nothing of what the cloud will write.
    const paid = { promptTokens, completionTokens: expected(means?.paid) };
    const tokens = promptTokens + expected(means?.all);
    return mode === 'local' ? { tokens, usd: 0, unpriced: undefined } : { tokens, ...this.#mostUsd(model, paid) };
  }

  /** @throws LfoError 429 or 503 */
  #ticket(id: string, { mode }: QuotaAsk, answer: LimitAnswer, warning: string | undefined): QuotaTicket {
    if (answer.type === 'unavailable') throw unavailable();
    if (answer.type === 'refused') throw exceeded(answer.by);
    this.#ledger.add(id, { requests: 1, tokens: 0, usd: 0 });
    const { outOfMoney } = answer;
    let isSettled = false;
    const settle = (spent: Spent): void => {
      if (isSettled) return;
      isSettled = true;
      const { tokens, usd } = spent;
      this.#learn(id, spent);
      this.#ledger.add(id, { requests: 0, tokens, usd });
      answer.settle({ tokens, usd });
    };
    if (outOfMoney !== undefined && mode !== 'local') return { keptLocal: keptLocal(outOfMoney), settle };
    return warning === undefined ? { settle } : { warning, settle };
  }

  #learn(id: string, { completionTokens, usd }: Spent): void {
    if (completionTokens === undefined) return;
    const means = this.#means.get(id) ?? { all: undefined, paid: undefined };
    means.all = moved(means.all, completionTokens);
    if (usd > 0) means.paid = moved(means.paid, completionTokens);
    this.#means.set(id, means);
  }
}

function moved(mean: number | undefined, value: number): number {
  return mean === undefined ? value : mean + latest * (value - mean);
}

function leftOf({ limit, used }: Gauge): number {
  return Math.max(0, limit - used);
}

const names: Readonly<Record<keyof KeyLimits, string>> = {
  concurrency: 'requests at once',
  requestsPerMinute: 'requests a minute',
  requestsPerDay: 'requests a day',
  tokensPerMinute: 'tokens a minute',
  tokensPerDay: 'tokens a day',
  usdPerMinute: 'dollars a minute',
  usdPerDay: 'dollars a day',
};

function keptLocal({ limit, name }: Gauge): string {
  return `the limit of ${limit} ${names[name]} is reached, so only the local tier may answer`;
}

function noPrice(model: string): string {
  return `${model} has no price, so it counts as the dearest model does: set prices.${model}`;
}

function exceeded({ limit, name, resetMs, kind }: Gauge): LfoError {
  const next = kind === 'concurrency' ? 'Wait for one to end.' : 'Wait, or ask the operator for more.';
  return new LfoError(`This key's limit of ${limit} ${names[name]} is reached. ${next}`, {
    code: 'rate_limit_exceeded',
    status: 429,
    retryable: true,
    retryAfterMs: resetMs,
  });
}

function unavailable(): LfoError {
  return new LfoError(
    "How much of this key's limits is left cannot be told: the store that counts does not answer. Try again in a moment.",
    { code: 'limits_unavailable', status: 503, retryable: true, retryAfterMs: 1_000 },
  );
}

/** `1m30s`, as OpenAI writes it. */
function durationText(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds % 60}s`;
}

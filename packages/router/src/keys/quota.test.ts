import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { LfoError } from '../core/errors.ts';
import type { Consumption, KeyLimits } from '../core/identity.ts';
import type { KeyIdentity } from '../core/identity.ts';
import type { QuotaAsk, QuotaTicket } from '../core/identity.ts';
import { MemoryLimits } from './limits/memory-limits.ts';
import { type MostUsd, Quota } from './quota.ts';

class MemoryLedger {
  readonly used = new Map<string, Consumption>();

  today(id: string): Consumption {
    return this.used.get(id) ?? { requests: 0, tokens: 0, usd: 0 };
  }

  unwritten(): Consumption {
    return { requests: 0, tokens: 0, usd: 0 };
  }

  add(id: string, { requests, tokens, usd }: Consumption): void {
    const sum = this.today(id);
    this.used.set(id, { requests: sum.requests + requests, tokens: sum.tokens + tokens, usd: sum.usd + usd });
  }
}

/** A dollar a thousand tokens. */
const mostUsd: MostUsd = (model, { promptTokens, completionTokens }) => ({
  usd: (promptTokens + completionTokens) / 1_000,
  unpriced: model === 'lfo-auto' ? undefined : model,
});

/** What counts in memory is never waited for. */
function here(ticket: QuotaTicket | Promise<QuotaTicket>): QuotaTicket {
  return ticket instanceof Promise ? assert.fail('it waits') : ticket;
}

function setUp(limits: KeyLimits) {
  const clock = new FakeClock();
  const ledger = new MemoryLedger();
  const quota = new Quota(new MemoryLimits(clock, ledger), ledger, mostUsd);
  const key: KeyIdentity = { id: 'k', scopes: ['chat'], limits };
  const askFor = (ask: Partial<QuotaAsk>, identity = key): QuotaTicket =>
    here(quota.admit(identity, { promptTokens: 5, mode: 'cloud', model: 'lfo-auto', ...ask }));
  const ask = (maxTokens = 10, identity = key): QuotaTicket => askFor({ maxTokens }, identity);
  const left = (kind: 'tokens' | 'requests') => Number(quota.headers(key)[`x-ratelimit-remaining-${kind}`]);
  return { clock, ledger, quota, key, ask, askFor, left };
}

function refusal(admit: () => unknown): LfoError {
  try {
    admit();
  } catch (error) {
    assert.ok(error instanceof LfoError);
    assert.equal(error.status, 429);
    assert.equal(error.code, 'rate_limit_exceeded');
    return error;
  }
  return assert.fail('it was admitted');
}

test('a minute has as many requests as allowed, whether they run at once or not, and then the next has', () => {
  const { clock, ask } = setUp({ requestsPerMinute: 3 });
  for (let request = 0; request < 3; request += 1) ask();
  clock.advance(20_000);
  assert.equal(refusal(() => ask()).retryAfterMs, 40_000);
  clock.advance(39_999);
  refusal(() => ask());
  clock.advance(1);
  ask().settle({ tokens: 1, usd: 0 });
});

test('keys do not share their limits, and a key without limits has none', () => {
  const { ask, quota } = setUp({ requestsPerMinute: 1 });
  ask();
  refusal(() => ask());
  ask(10, { id: 'other', scopes: ['chat'], limits: { requestsPerMinute: 1 } });
  const owner: KeyIdentity = { id: 'owner', scopes: ['chat'] };
  for (let request = 0; request < 100; request += 1) ask(10, owner);
  assert.deepEqual(quota.headers(owner), {});
});

test('requests running at once give their place back once', () => {
  const { ask } = setUp({ concurrency: 2 });
  const first = ask();
  ask();
  assert.match(refusal(() => ask()).message, /2 requests at once/);
  first.settle({ tokens: 1, usd: 0 });
  first.settle({ tokens: 1, usd: 0 });
  ask();
  refusal(() => ask());
});

test('tokens are reserved while a request runs and paid as used when it ends', () => {
  const { ask, quota, key } = setUp({ tokensPerMinute: 100 });
  const big = ask(60);
  assert.equal(quota.headers(key)['x-ratelimit-remaining-tokens'], '35');
  refusal(() => ask(60));
  big.settle({ tokens: 20, usd: 0 });
  assert.equal(quota.headers(key)['x-ratelimit-remaining-tokens'], '80');
  const next = ask(60);
  next.settle({ tokens: 100, usd: 0 });
  assert.equal(quota.headers(key)['x-ratelimit-remaining-tokens'], '0');
  refusal(() => ask(1));
});

test('a guess larger than the limit does not shut a key out, and lets nothing run beside it', () => {
  const { ask } = setUp({ tokensPerMinute: 100 });
  ask(100_000);
  refusal(() => ask(1));
});

test('an answer without a bound is taken for 1,024 tokens, then for twice the mean of those before', () => {
  const { askFor, left } = setUp({ tokensPerDay: 10_000 });
  const first = askFor({});
  assert.equal(left('tokens'), 10_000 - 5 - 1_024);
  const bounded = askFor({ maxTokens: 50 });
  assert.equal(left('tokens'), 10_000 - 5 - 1_024 - 5 - 50);
  bounded.settle({ tokens: 0, usd: 0 });
  first.settle({ tokens: 105, usd: 0, completionTokens: 100 });
  assert.equal(left('tokens'), 9_895);
  const second = askFor({});
  assert.equal(left('tokens'), 9_895 - 5 - 200);
  second.settle({ tokens: 205, usd: 0, completionTokens: 200 });
  askFor({ maxTokens: 100_000 });
  assert.equal(left('tokens'), 9_690 - 5 - 240);
});

test('a hundred requests at once spend no more than the limit and one answer, from the first on', () => {
  for (const limit of [0.5, 1, 3.3]) {
    const { askFor, ledger } = setUp({ usdPerDay: limit });
    // As long as the first answer may be: 1,024 tokens.
    const usd = 1.029;
    for (let round = 0; round < 10; round += 1) {
      const running: QuotaTicket[] = [];
      for (let client = 0; client < 64; client += 1) {
        try {
          running.push(askFor({}));
        } catch {}
      }
      for (const ticket of running) ticket.settle({ tokens: 1_029, usd, completionTokens: 1_024 });
    }
    const spent = ledger.today('k').usd;
    assert.ok(spent >= limit && spent <= limit + usd, `${spent} of ${limit}`);
  }
});

test('without money auto stays local and is told so, local goes on, and cloud is refused', () => {
  const { askFor, clock } = setUp({ usdPerMinute: 1 });
  assert.equal(askFor({ mode: 'auto', maxTokens: 990 }).keptLocal, undefined);
  // What runs may use up the rest.
  assert.match(askFor({ mode: 'auto' }).keptLocal ?? '', /limit of 1 dollars a minute is reached/);
  assert.match(refusal(() => askFor({ mode: 'cloud' })).message, /1 dollars a minute/);
  assert.equal(askFor({ mode: 'local' }).keptLocal, undefined);
  clock.advance(60_000);
  // Still running, so still reserved.
  assert.notEqual(askFor({ mode: 'auto' }).keptLocal, undefined);
});

test('short answers that cost nothing do not make dear ones look short', () => {
  const { askFor } = setUp({ usdPerDay: 2 });
  for (let request = 0; request < 20; request += 1) {
    askFor({ mode: 'local' }).settle({ tokens: 6, usd: 0, completionTokens: 1 });
  }
  // 1.029 dollars each, as long as no dear one was seen.
  assert.equal(askFor({ mode: 'auto' }).keptLocal, undefined);
  assert.notEqual(askFor({ mode: 'auto' }).keptLocal, undefined);
});

test('local requests that run hold no money', () => {
  const { askFor } = setUp({ usdPerDay: 0.1 });
  for (let request = 0; request < 10; request += 1) askFor({ mode: 'local' });
  // More than is left, and nothing else may cost anything: it comes in.
  assert.equal(askFor({ mode: 'auto' }).keptLocal, undefined);
  assert.notEqual(askFor({ mode: 'auto' }).keptLocal, undefined);
});

test('money is counted by the minute and by the day', () => {
  const { clock, ask, ledger } = setUp({ usdPerMinute: 0.1, usdPerDay: 0.25 });
  ask().settle({ tokens: 1, usd: 0.1 });
  assert.match(refusal(() => ask()).message, /dollars a minute/);
  clock.advance(60_000);
  ask().settle({ tokens: 1, usd: 0.16 });
  assert.match(refusal(() => ask()).message, /0\.1 dollars a minute/);
  clock.advance(60_000);
  assert.match(refusal(() => ask()).message, /0\.25 dollars a day/);
  assert.equal(ledger.today('k').requests, 2);
});

test('a day ends at midnight UTC', () => {
  const { clock, ask } = setUp({ requestsPerDay: 1 });
  clock.jumpWall(86_400_000 - (clock.wallMs() % 86_400_000) - 5_000);
  ask();
  assert.equal(refusal(() => ask()).retryAfterMs, 5_000);
});

test('a jump of the wall clock does not end a minute', () => {
  const { clock, ask } = setUp({ requestsPerMinute: 1 });
  ask();
  clock.jumpWall(7_200_000);
  refusal(() => ask());
});

test('the headers speak of the limit that is nearest', () => {
  const { quota, key, ask } = setUp({ requestsPerMinute: 10, requestsPerDay: 12, tokensPerDay: 1_000 });
  for (let request = 0; request < 2; request += 1) ask().settle({ tokens: 15, usd: 0 });
  const headers = quota.headers(key);
  assert.equal(headers['x-ratelimit-limit-requests'], '10');
  assert.equal(headers['x-ratelimit-remaining-requests'], '8');
  assert.equal(headers['x-ratelimit-reset-requests'], '1m0s');
  assert.equal(headers['x-ratelimit-limit-tokens'], '1000');
  assert.equal(headers['x-ratelimit-remaining-tokens'], '970');
  assert.match(headers['x-ratelimit-reset-tokens'] ?? '', /^\d+h\d+m\d+s$/);
});

test('a refused request uses nothing', () => {
  const { ask, ledger } = setUp({ requestsPerMinute: 1 });
  ask();
  refusal(() => ask());
  assert.equal(ledger.today('k').requests, 1);
});

test('whoever is limited in money hears of a model without a price', () => {
  const paid = setUp({ usdPerDay: 9 });
  assert.match(paid.askFor({ model: 'house' }).warning ?? '', /house has no price.*prices\.house/);
  assert.equal(paid.askFor({}).warning, undefined);
  assert.equal(paid.askFor({ model: 'house', mode: 'local' }).warning, undefined);
  assert.equal(setUp({ tokensPerDay: 9_000 }).askFor({ model: 'house' }).warning, undefined);
});

test('a key without limits is let in without asking who counts, and what it uses is known', () => {
  const ledger = new MemoryLedger();
  const never = (): never => assert.fail('it was asked');
  const store = { take: never, look: () => [], close: async () => {} };
  const quota = new Quota(store, ledger, mostUsd);
  const key: KeyIdentity = { id: 'k', scopes: ['chat'], limits: {} };
  const ticket = here(quota.admit(key, { promptTokens: 5, mode: 'cloud', model: 'lfo-auto' }));
  ticket.settle({ tokens: 12, completionTokens: 7, usd: 0.5 });
  assert.deepEqual(ledger.today('k'), { requests: 1, tokens: 12, usd: 0.5 });
});

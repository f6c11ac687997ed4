import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { LfoError } from '../core/errors.ts';
import type { Consumption, KeyLimits } from '../core/identity.ts';
import type { KeyIdentity } from '../core/identity.ts';
import type { QuotaTicket } from '../core/identity.ts';
import { Quota } from './quota.ts';

class MemoryLedger {
  readonly used = new Map<string, Consumption>();

  today(id: string): Consumption {
    return this.used.get(id) ?? { requests: 0, tokens: 0, usd: 0 };
  }

  add(id: string, { requests, tokens, usd }: Consumption): void {
    const sum = this.today(id);
    this.used.set(id, { requests: sum.requests + requests, tokens: sum.tokens + tokens, usd: sum.usd + usd });
  }
}

function setUp(limits: KeyLimits) {
  const clock = new FakeClock();
  const ledger = new MemoryLedger();
  const quota = new Quota(clock, ledger);
  const key: KeyIdentity = { id: 'k', scopes: ['chat'], limits };
  const ask = (maxTokens = 10, identity = key): QuotaTicket => quota.admit(identity, { promptTokens: 5, maxTokens });
  return { clock, ledger, quota, key, ask };
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

test('without a word on its length an answer is expected to be as long as those before', () => {
  const { quota, key } = setUp({ tokensPerMinute: 1_000 });
  for (let request = 0; request < 30; request += 1) {
    quota.admit(key, { promptTokens: 1 }).settle({ tokens: 3, usd: 0 });
  }
  quota.admit(key, { promptTokens: 1 });
  assert.ok(Number(quota.headers(key)['x-ratelimit-remaining-tokens']) > 900);
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

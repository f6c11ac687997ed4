import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BackendError, type BackendFault } from '../core/errors.ts';
import { RetryBudget } from './retry.ts';

const config = { maxRetries: 2, budgetRatio: 0.2, baseDelayMs: 100, maxDelayMs: 2000, maxRetryAfterMs: 2000 };

const failure = (fault: BackendFault, retryAfterMs?: number): BackendError =>
  new BackendError('x', { fault, backend: 'b', ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });

const budget = (random = 0.5): RetryBudget => new RetryBudget(config, () => random);

test('the same backend is tried again after full jitter that doubles', () => {
  assert.equal(budget(0.5).delayBeforeRetry(failure('server'), 0), 50);
  assert.equal(budget(0.5).delayBeforeRetry(failure('busy'), 1), 100);
  assert.equal(budget(0).delayBeforeRetry(failure('busy'), 1), 0);
  assert.equal(budget(0).delayBeforeRetry(failure('server'), 1), undefined);
  const patient = new RetryBudget({ ...config, maxRetries: 99 }, () => 1);
  assert.equal(patient.delayBeforeRetry(failure('busy'), 10), 2000);
});

test('the same backend is not tried again where that cannot help', () => {
  for (const fault of ['connect', 'timeout', 'bad_answer', 'auth', 'rejected'] as const) {
    assert.equal(budget().delayBeforeRetry(failure(fault), 0), undefined, fault);
  }
  for (const fault of ['cut', 'unusable'] as const) {
    assert.equal(budget().delayBeforeRetry(failure(fault), 0), 50, fault);
    assert.equal(budget().delayBeforeRetry(failure(fault), 1), undefined, fault);
  }
});

test('an error that says it is not retryable is not', () => {
  const error = new BackendError('x', { fault: 'server', backend: 'b', retryable: false });
  assert.equal(budget().delayBeforeRetry(error, 0), undefined);
});

test('a short Retry-After is waited for, a long one is the client’s to wait', () => {
  assert.equal(budget().delayBeforeRetry(failure('rate_limit', 1500), 0), 1550);
  assert.equal(budget().delayBeforeRetry(failure('rate_limit', 2001), 0), undefined);
});

test('a request gets no more than its retries', () => {
  assert.equal(budget().delayBeforeRetry(failure('server'), 2), undefined);
});

test('1,000 requests against a broken upstream make at most 1,200 calls', () => {
  const retries = budget();
  let calls = 0;
  for (let request = 0; request < 1000; request++) {
    retries.requestStarted();
    for (let retry = 0; ; retry++) {
      calls++;
      if (retries.delayBeforeRetry(failure('server'), retry) === undefined) break;
    }
  }
  assert.ok(calls <= 1200, `${calls} calls`);
  assert.ok(calls > 1150, `${calls} calls: the budget is there to be used`);
  assert.equal(retries.isSpent, true);
});

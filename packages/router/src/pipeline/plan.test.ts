import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { Attempt } from '../core/backend.ts';
import { BackendError, NoBackendError, RequestError } from '../core/errors.ts';
import { Plan, type Retries } from './plan.ts';

const local: Attempt = { tier: 'local', gated: true };
const cloud: Attempt = { tier: 'cloud', gated: false };
const fail = (fault: 'server' | 'rejected' | 'timeout', backend: string): BackendError =>
  new BackendError('failed', { fault, backend });
const granting: Retries = { delayBeforeRetry: (_error, soFar, same) => (soFar < 2 ? (same ? 100 : 0) : undefined) };
const none = (): boolean => false;

describe('plan', () => {
  test('goes through the attempts of the decision in order', () => {
    const plan = new Plan([local, cloud], granting, none);
    assert.equal(plan.take()?.attempt, local);
    plan.escalated();
    assert.equal(plan.take()?.attempt, cloud);
    plan.escalated();
    assert.equal(plan.take(), undefined);
  });

  test('tries another backend of the same tier before the next tier', () => {
    const plan = new Plan([local, cloud], granting, (_attempt, exclude) => !exclude.has('b'));
    const first = plan.take();
    assert.ok(first);
    assert.equal(plan.failed(first, fail('server', 'a'), 'a'), true);
    const second = plan.take();
    assert.ok(second);
    assert.deepEqual([second.attempt, [...second.exclude], second.delayMs], [local, ['a'], 0]);
    assert.equal(plan.failed(second, fail('server', 'b'), 'b'), true);
    assert.equal(plan.take()?.attempt, cloud);
  });

  test('retries the same backend, after a delay, only where nothing else is left, at most as often as granted', () => {
    const plan = new Plan([cloud], granting, none);
    const delays: number[] = [];
    for (let step = plan.take(); step !== undefined; step = plan.take()) {
      delays.push(step.delayMs);
      assert.equal(step.exclude.has('a'), false);
      plan.failed(step, fail('server', 'a'), 'a');
    }
    assert.deepEqual(delays, [0, 100, 100]);
    assert.equal(plan.error?.code, 'upstream_error');
  });

  test('passes what a backend rejects to the next tier and never back to the same one', () => {
    const plan = new Plan([local, cloud], granting, () => true);
    const first = plan.take();
    assert.ok(first);
    assert.equal(plan.failed(first, fail('rejected', 'a'), 'a'), true);
    const second = plan.take();
    assert.ok(second);
    assert.equal(second.attempt, cloud);
    assert.equal(plan.failed(second, fail('rejected', 'b'), 'b'), false);
    assert.equal(plan.take(), undefined);
  });

  test('ends at once when the request itself is at fault', () => {
    const plan = new Plan([local, cloud], granting, () => true);
    const step = plan.take();
    assert.ok(step);
    assert.equal(plan.failed(step, new RequestError('no'), 'a'), false);
    assert.equal(plan.failed(step, new TypeError('bug'), 'a'), false);
  });

  test("a backend's own failure says more than that none was left", () => {
    const plan = new Plan([local, cloud], granting, none);
    const nothing = new NoBackendError('none', { reason: 'local_unavailable', skipped: [] });
    const first = plan.take();
    assert.ok(first);
    assert.equal(plan.failed(first, nothing, undefined), true);
    const second = plan.take();
    assert.ok(second);
    plan.failed(second, fail('timeout', 'b'), 'b');
    assert.equal(plan.error?.code, 'upstream_timeout');
  });

  test('a last resort comes after everything else', () => {
    const plan = new Plan([local, cloud], granting, none);
    plan.take();
    plan.addLastResort({ tier: 'local', gated: false });
    plan.escalated();
    assert.equal(plan.take()?.attempt, cloud);
    plan.escalated();
    assert.deepEqual(plan.take()?.attempt, { tier: 'local', gated: false });
  });
});

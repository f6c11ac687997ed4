import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { Attempt } from '../core/backend.ts';
import { BackendError, NoBackendError, RequestError } from '../core/errors.ts';
import { Plan, type Retries } from './plan.ts';

const local: Attempt = { tier: 'local', gated: true };
const cloud: Attempt = { tier: 'cloud', gated: false };
const fail = (fault: 'server' | 'rejected' | 'timeout', backend: string): BackendError =>
  new BackendError('failed', { fault, backend });
const granting: Retries = {
  delayBeforeRetry: (error, soFar) => (error.retryable && soFar < 2 ? 100 : undefined),
  grantsStandIn: (soFar) => soFar < 2,
};
const spent: Retries = { delayBeforeRetry: () => undefined, grantsStandIn: () => false };
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

  test('a spent retry budget never refuses a healthy peer, however many have failed', () => {
    const plan = new Plan([local], spent, (_attempt, exclude) => exclude.size < 5);
    const tried: string[] = [];
    for (let step = plan.take(); step !== undefined; step = plan.take()) {
      const backend = `peer ${tried.length}`;
      tried.push(backend);
      assert.equal(step.delayMs, 0);
      plan.failed(step, fail('server', backend), backend);
    }
    assert.equal(tried.length, 5);
  });

  test('what one backend rejects goes to the next that the mode allows, and its status is told if there is none', () => {
    const plan = new Plan([local, cloud], granting, (attempt, exclude) => attempt === local && !exclude.has('b'));
    for (const backend of ['a', 'b', 'c']) {
      const step = plan.take();
      assert.ok(step, backend);
      assert.equal(step.attempt, backend === 'c' ? cloud : local);
      assert.equal(step.exclude.has(backend), false);
      plan.failed(step, new BackendError(backend, { fault: 'rejected', backend, status: 422 }), backend);
    }
    assert.equal(plan.take(), undefined, 'never back to one that rejected it');
    assert.deepEqual([plan.error?.status, plan.error?.message], [422, 'c']);
  });

  test('an engine that finds fault with the request is one backend that rejects it', () => {
    const plan = new Plan([local, cloud], granting, none);
    const step = plan.take();
    assert.ok(step);
    assert.equal(plan.failed(step, new RequestError('no such part here'), 'a'), true);
    assert.equal(plan.take()?.attempt, cloud);
    assert.equal(plan.error?.status, 400);
  });

  test('a failure says more than the refusal of another backend', () => {
    const plan = new Plan([local, cloud], spent, none);
    const first = plan.take();
    assert.ok(first);
    plan.failed(first, fail('rejected', 'a'), 'a');
    const second = plan.take();
    assert.ok(second);
    assert.equal(plan.failed(second, fail('server', 'b'), 'b'), false);
    assert.equal(plan.error?.code, 'upstream_error');
  });

  test('what an engine died of is not handed to another', () => {
    const plan = new Plan([local, cloud], granting, () => true);
    const step = plan.take();
    assert.ok(step);
    const died = new BackendError('died', { fault: 'rejected', backend: 'a', code: 'schema_too_complex' });
    assert.equal(plan.failed(step, died, 'a'), false);
    assert.equal(plan.take(), undefined);
    assert.equal(plan.error?.code, 'schema_too_complex');
  });

  test('a fault of our own ends it at once', () => {
    const plan = new Plan([local, cloud], granting, () => true);
    const step = plan.take();
    assert.ok(step);
    assert.equal(plan.failed(step, new TypeError('bug'), 'a'), false);
    assert.equal(plan.error, undefined);
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

  const standIn = (model: string): Attempt => ({ ...cloud, backend: 'a', model, isStandIn: true });
  const models = (plan: Plan, error: () => BackendError): (string | undefined)[] => {
    const tried: (string | undefined)[] = [];
    for (let step = plan.take(); step !== undefined; step = plan.take()) {
      tried.push(step.attempt.model);
      plan.failed(step, error(), 'a');
    }
    return tried;
  };

  test('a model stands in for one that is limited, broken or unknown, and for no other fault', () => {
    const attempts = [cloud, standIn('lite'), standIn('old')];
    const noRetry: Retries = { ...granting, delayBeforeRetry: () => undefined };
    const limited = (): BackendError => new BackendError('x', { fault: 'rate_limit', backend: 'a' });
    const unknown = (): BackendError => new BackendError('x', { fault: 'rejected', status: 404, backend: 'a' });
    for (const error of [limited, unknown, () => fail('server', 'a')]) {
      assert.deepEqual(models(new Plan(attempts, noRetry, none), error), [undefined, 'lite', 'old']);
    }
    for (const fault of ['rejected', 'timeout'] as const) {
      assert.deepEqual(
        models(new Plan(attempts, noRetry, none), () => fail(fault, 'a')),
        [undefined],
      );
    }
  });

  test('stand-ins are paid for like other calls of a backend that has failed', () => {
    const plan = new Plan([cloud, standIn('lite')], spent, none);
    assert.deepEqual(
      models(plan, () => fail('server', 'a')),
      [undefined],
    );
  });

  test('where nobody was asked for a pause of the model, its stand-in is asked', () => {
    const plan = new Plan([cloud, standIn('lite')], spent, none);
    const step = plan.take();
    assert.ok(step);
    const paused = new NoBackendError('x', { reason: 'cloud_unavailable', status: 429, skipped: [] });
    assert.equal(plan.failed(step, paused, undefined), true);
    assert.equal(plan.take()?.attempt.model, 'lite');
  });

  test('an escalation passes over the stand-ins of a model that has not failed', () => {
    const plan = new Plan([local, { ...standIn('lite'), tier: 'local' }, cloud], granting, none);
    plan.take();
    plan.escalated();
    assert.equal(plan.take()?.attempt, cloud);
  });

  test('a local tier that was full is waited for once the cloud has failed', () => {
    const plan = new Plan([local, cloud], spent, none);
    const first = plan.take();
    assert.ok(first);
    const full = new NoBackendError('x', { reason: 'local_unavailable', code: 'overloaded', skipped: [] });
    plan.failed(first, full, undefined);
    const second = plan.take();
    assert.equal(second?.attempt, cloud);
    plan.failed(second, fail('timeout', 'c'), 'c');
    assert.deepEqual(plan.take()?.attempt, { tier: 'local', gated: false });
  });
});

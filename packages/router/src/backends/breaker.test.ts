import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import * as fc from 'fast-check';
import type { Outcome } from '../core/backend.ts';
import { CircuitBreaker, type Permit } from './breaker.ts';

const config = { failures: 3, openMs: 1000, maxOpenMs: 6000 };

function setUp(): { clock: FakeClock; breaker: CircuitBreaker } {
  const clock = new FakeClock();
  return { clock, breaker: new CircuitBreaker(config, clock) };
}

function call(breaker: CircuitBreaker, outcome: Outcome): void {
  const permit = breaker.tryAcquire();
  assert.ok(permit !== undefined, 'refused');
  permit.settle(outcome);
}

function opened(): { clock: FakeClock; breaker: CircuitBreaker } {
  const both = setUp();
  for (let i = 0; i < config.failures; i++) call(both.breaker, 'failure');
  assert.equal(both.breaker.state, 'open');
  return both;
}

test('failures in a row open it, and it then refuses', () => {
  const { breaker, clock } = opened();
  assert.equal(breaker.tryAcquire(), undefined);
  assert.equal(breaker.waitMs, 1000);
  clock.advance(999);
  assert.equal(breaker.tryAcquire(), undefined);
});

test('a success in between starts the count again, a neutral result does not', () => {
  const { breaker } = setUp();
  for (const outcome of ['failure', 'failure', 'success', 'failure', 'neutral', 'failure'] as const)
    call(breaker, outcome);
  assert.equal(breaker.state, 'closed');
  call(breaker, 'failure');
  assert.equal(breaker.state, 'open');
});

test('half-open admits exactly one of 500 at once', () => {
  const { breaker, clock } = opened();
  clock.advance(1000);
  assert.equal(breaker.state, 'half-open');
  const permits = Array.from({ length: 500 }, () => breaker.tryAcquire()).filter((permit) => permit !== undefined);
  assert.equal(permits.length, 1);
  permits[0]?.settle('success');
  assert.equal(breaker.state, 'closed');
});

test('each failed probe doubles the time it stays open, up to the most', () => {
  const { breaker, clock } = opened();
  for (const openMs of [1000, 2000, 4000, 6000, 6000]) {
    assert.equal(breaker.waitMs, openMs);
    clock.advance(openMs);
    call(breaker, 'failure');
  }
});

test('one that fails again soon after it recovered stays open for longer', () => {
  const { breaker, clock } = opened();
  clock.advance(1000);
  call(breaker, 'success');
  clock.advance(500);
  for (let i = 0; i < 3; i++) call(breaker, 'failure');
  assert.equal(breaker.waitMs, 2000);
  clock.advance(2000);
  call(breaker, 'success');
  clock.advance(2000);
  for (let i = 0; i < 3; i++) call(breaker, 'failure');
  assert.equal(breaker.waitMs, 1000, 'it had been well for as long as it was away');
});

test('a neutral probe hands the probe to the next caller', () => {
  const { breaker, clock } = opened();
  clock.advance(1000);
  call(breaker, 'neutral');
  assert.equal(breaker.state, 'half-open');
  call(breaker, 'success');
  assert.equal(breaker.state, 'closed');
});

test('a lost probe does not stick, and its late result is nobody’s', () => {
  const { breaker, clock } = opened();
  clock.advance(1000);
  const lost = breaker.tryAcquire();
  assert.equal(breaker.tryAcquire(), undefined);
  clock.advance(60_000);
  const second = breaker.tryAcquire();
  assert.ok(second !== undefined);
  lost?.settle('failure');
  assert.equal(breaker.state, 'half-open');
  second.settle('success');
  lost?.settle('failure');
  assert.equal(breaker.state, 'closed');
});

test('late failures of old calls do not reopen it, late successes do not close it', () => {
  const { breaker, clock } = setUp();
  const old = Array.from({ length: 10 }, () => breaker.tryAcquire());
  for (let i = 0; i < 3; i++) call(breaker, 'failure');
  old[0]?.settle('success');
  assert.equal(breaker.state, 'open');
  clock.advance(1000);
  call(breaker, 'success');
  for (const permit of old) permit?.settle('failure');
  assert.equal(breaker.state, 'closed');
  for (let i = 0; i < 2; i++) call(breaker, 'failure');
  assert.equal(breaker.state, 'closed', 'none of the late failures counted');
});

test('a permit counts once', () => {
  const { breaker } = setUp();
  const permit = breaker.tryAcquire();
  for (let i = 0; i < 5; i++) permit?.settle('failure');
  assert.equal(breaker.state, 'closed');
});

test('a jump of the wall clock changes nothing', () => {
  const { breaker, clock } = opened();
  clock.jumpWall(7_200_000);
  assert.equal(breaker.tryAcquire(), undefined);
  clock.jumpWall(-14_400_000);
  clock.advance(1000);
  assert.ok(breaker.tryAcquire() !== undefined);
});

test('whatever happens, at most one probe is out, and it never stays shut for good', () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant('acquire' as const) }),
    fc.record({
      type: fc.constant('settle' as const),
      which: fc.nat(50),
      outcome: fc.constantFrom('success' as const, 'failure' as const, 'neutral' as const),
    }),
    fc.record({ type: fc.constant('wait' as const), ms: fc.nat(3000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const { breaker, clock } = setUp();
      const permits: Permit[] = [];
      let probes = 0;
      for (const step of steps) {
        const before = breaker.state;
        if (step.type === 'wait') clock.advance(step.ms);
        else if (step.type === 'settle') permits[step.which % (permits.length || 1)]?.settle(step.outcome);
        else {
          const permit = breaker.tryAcquire();
          if (permit !== undefined) permits.push(permit);
          assert.equal(permit === undefined && before === 'closed', false, 'closed never refuses');
          assert.equal(permit !== undefined && before === 'open', false, 'open never admits');
          probes = before === 'half-open' && permit !== undefined ? 1 : probes;
          if (probes === 1 && breaker.state === 'half-open') assert.equal(breaker.tryAcquire(), undefined);
        }
      }
      clock.advance(60_000 + config.maxOpenMs);
      assert.ok(breaker.tryAcquire() !== undefined, 'it always recovers');
    }),
    { numRuns: 2000, seed: 23 },
  );
});

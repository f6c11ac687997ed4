import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { Clock } from './clock.ts';
import { DueTimer } from './due-timer.ts';

function setUp(clock: Clock): { timer: DueTimer; calls: number[] } {
  const calls: number[] = [];
  return { calls, timer: new DueTimer(clock, () => calls.push(clock.nowMs())) };
}

test('it calls once, exactly when due', () => {
  const clock = new FakeClock();
  const { timer, calls } = setUp(clock);
  timer.set(30);
  clock.advance(1000);
  assert.deepEqual(calls, [30]);
});

test('moving it later schedules nothing new, moving it earlier does', () => {
  const clock = new FakeClock();
  const { timer, calls } = setUp(clock);
  timer.set(100);
  for (let at = 101; at < 1000; at++) timer.set(at);
  assert.equal(clock.pendingTimers, 1);
  clock.advance(998);
  assert.deepEqual(calls, []);
  clock.advance(1);
  assert.deepEqual(calls, [999]);
  timer.set(5000);
  timer.set(1200);
  clock.advance(1000);
  assert.deepEqual(calls, [999, 1200]);
  assert.equal(clock.pendingTimers, 0);
});

test('paused or cleared it never calls', () => {
  const clock = new FakeClock();
  const { timer, calls } = setUp(clock);
  timer.set(10);
  timer.set(Infinity);
  clock.advance(100);
  timer.set(200);
  timer.clear();
  assert.equal(clock.pendingTimers, 0);
  clock.advance(200);
  assert.deepEqual(calls, []);
});

/** A clock whose event loop can stand still: timers then fire late. */
class StallingClock extends FakeClock {
  #stalledMs = 0;

  override nowMs(): number {
    return super.nowMs() + this.#stalledMs;
  }

  stall(ms: number): void {
    this.#stalledMs += ms;
  }
}

test('after a stall it grants a grace in which progress counts', () => {
  const clock = new StallingClock();
  const { timer, calls } = setUp(clock);
  timer.set(100);
  clock.stall(500);
  clock.advance(100);
  assert.deepEqual(calls, [], 'the late timer did not call');
  timer.set(clock.nowMs() + 100);
  clock.advance(99);
  assert.deepEqual(calls, []);
  clock.advance(1);
  assert.deepEqual(calls, [700]);
});

test('after a stall without progress it calls when the grace is over', () => {
  const clock = new StallingClock();
  const { timer, calls } = setUp(clock);
  timer.set(100);
  clock.stall(500);
  clock.advance(150);
  assert.deepEqual(calls, [650]);
});

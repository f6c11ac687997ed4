import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { Clock } from '../core/clock.ts';
import { LoopDelay } from './loop-delay.ts';

/** A clock whose timers come as late as told. */
function lateClock(): { readonly clock: Clock; readonly fake: FakeClock; lateMs: number } {
  const fake = new FakeClock();
  const late = {
    fake,
    lateMs: 0,
    clock: {
      nowMs: () => fake.nowMs(),
      wallMs: () => fake.wallMs(),
      schedule: (delayMs: number, run: () => void) => fake.schedule(delayMs + late.lateMs, run),
    },
  };
  return late;
}

test('one stall is the worst delay for ten seconds and never a standing one', () => {
  const late = lateClock();
  const loop = new LoopDelay(late.clock);
  loop.start();
  late.fake.advance(1000);
  assert.deepEqual([loop.worstMs, loop.standingMs], [0, 0]);
  late.lateMs = 500;
  late.fake.advance(50);
  late.lateMs = 0;
  late.fake.advance(550);
  assert.deepEqual([loop.worstMs, loop.standingMs], [500, 0]);
  late.fake.advance(10_000);
  assert.equal(loop.worstMs, 0);
});

test('a delay that stays is a standing one, and passes with it', () => {
  const late = lateClock();
  const loop = new LoopDelay(late.clock);
  loop.start();
  late.lateMs = 300;
  late.fake.advance(2000);
  assert.equal(loop.standingMs, 300);
  late.lateMs = 0;
  late.fake.advance(1000);
  assert.equal(loop.standingMs, 0);
});

test('starting twice measures once, and stopping releases the timer', () => {
  const { fake } = lateClock();
  const loop = new LoopDelay(fake);
  loop.start();
  loop.start();
  assert.equal(fake.pendingTimers, 1);
  loop.stop();
  loop.stop();
  assert.equal(fake.pendingTimers, 0);
});

test('the share in which the loop ran is between 0 and 1, and known after a second', async () => {
  const late = lateClock();
  const loop = new LoopDelay(late.clock);
  loop.start();
  await pause(5);
  const until = Date.now() + 20;
  while (Date.now() < until);
  await pause(5);
  late.fake.advance(1000);
  assert.ok(loop.utilization > 0 && loop.utilization <= 1, String(loop.utilization));
});

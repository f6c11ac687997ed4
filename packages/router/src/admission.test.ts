import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { refusalAtDoor } from './admission.ts';
import { LoopDelay } from './core/loop-delay.ts';

/** A loop delay that has stood at so many milliseconds. */
function standing(delayMs: number): LoopDelay {
  const fake = new FakeClock();
  const loop = new LoopDelay({
    nowMs: () => fake.nowMs(),
    wallMs: () => fake.wallMs(),
    schedule: (ms, run) => fake.schedule(ms + delayMs, run),
  });
  loop.start();
  fake.advance(10 * (50 + delayMs));
  loop.stop();
  return loop;
}

const calm = { inside: 3, waiting: 0, concurrency: 4, loop: standing(0) };

test('requests beyond the limit are refused with a time to come back', () => {
  assert.equal(refusalAtDoor(calm), undefined);
  const refusal = refusalAtDoor({ ...calm, inside: 4 });
  assert.deepEqual([refusal?.status, refusal?.code, refusal?.retryAfterMs], [503, 'overloaded', 1000]);
});

test('those that wait for a backend do not count as running', () => {
  assert.equal(refusalAtDoor({ ...calm, inside: 9, waiting: 6 }), undefined);
  assert.equal(refusalAtDoor({ ...calm, inside: 9, waiting: 5 })?.status, 503);
});

test('an event loop that stays late refuses all but the first', () => {
  const late = { ...calm, loop: standing(600) };
  assert.equal(refusalAtDoor(late)?.status, 503);
  assert.equal(refusalAtDoor({ ...late, inside: 0 }), undefined);
});

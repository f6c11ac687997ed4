import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { admissionError } from './admission.ts';
import { LoopDelay } from '../telemetry/loop-delay.ts';

/** The standing delay of a loop that has run its timers so many milliseconds late. */
function standing(delayMs: number): number {
  const fake = new FakeClock();
  const loop = new LoopDelay({
    nowMs: () => fake.nowMs(),
    wallMs: () => fake.wallMs(),
    schedule: (ms, run) => fake.schedule(ms + delayMs, run),
  });
  loop.start();
  fake.advance(10 * (50 + delayMs));
  loop.stop();
  return loop.standingMs;
}

const calm = { inside: 3, waiting: 0, concurrency: 4, standingDelayMs: standing(0) };

test('requests beyond the limit are refused with a time to come back', () => {
  assert.equal(admissionError(calm), undefined);
  const refusal = admissionError({ ...calm, inside: 4 });
  assert.deepEqual([refusal?.status, refusal?.code, refusal?.retryAfterMs], [503, 'overloaded', 1000]);
});

test('those that wait for a backend do not count as running', () => {
  assert.equal(admissionError({ ...calm, inside: 9, waiting: 6 }), undefined);
  assert.equal(admissionError({ ...calm, inside: 9, waiting: 5 })?.status, 503);
});

test('an event loop that stays late refuses all but the first', () => {
  const late = { ...calm, standingDelayMs: standing(600) };
  assert.equal(admissionError(late)?.status, 503);
  assert.equal(admissionError({ ...late, inside: 0 }), undefined);
});

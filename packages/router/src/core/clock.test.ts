import assert from 'node:assert/strict';
import { test } from 'node:test';

import { systemClock } from './clock.ts';

test('a timer of the system clock never fires before its time, by the same clock', async () => {
  const early: number[] = [];
  const fired: Promise<void>[] = [];
  for (let timer = 0; timer < 300; timer++) {
    const dueMs = systemClock.nowMs() + 20;
    const { promise, resolve } = Promise.withResolvers<void>();
    systemClock.schedule(20, () => {
      const earlyMs = dueMs - systemClock.nowMs();
      if (earlyMs > 0) early.push(earlyMs);
      resolve();
    });
    fired.push(promise);
    // Node counts whole milliseconds: the next timer begins at another fraction of one.
    for (const untilMs = performance.now() + 0.1; performance.now() < untilMs;);
  }
  const alive = setInterval(() => {}, 1000);
  await Promise.all(fired);
  clearInterval(alive);
  assert.deepEqual(early, []);
});

test('a timer beyond what Node can count is not fired at once, nor looked at each millisecond', async (t) => {
  const warnings: string[] = [];
  const onWarning = ({ name }: Error): void => void warnings.push(name);
  process.on('warning', onWarning);
  t.after(() => process.off('warning', onWarning));
  let isFired = false;
  const cancel = systemClock.schedule(2 ** 31 + 1000, () => (isFired = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(isFired, false);
  // Node says so where it takes a time for 1 ms.
  assert.deepEqual(warnings, []);
  cancel();
});

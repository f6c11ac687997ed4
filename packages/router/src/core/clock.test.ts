import assert from 'node:assert/strict';
import { test } from 'node:test';

import { systemClock } from './clock.ts';

test('a delay longer than a timer holds does not fire at once', async () => {
  let fired = 0;
  const cancels = [2 ** 31, 3e12, Infinity].map((delayMs) => systemClock.schedule(delayMs, () => fired++));
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (const cancel of cancels) cancel();
  assert.equal(fired, 0);
});

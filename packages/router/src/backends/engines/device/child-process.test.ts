import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { DeviceChild } from './child-process.ts';

test('a start that the system refuses is tried again with growing pauses, from the first one on', async () => {
  const clock = new FakeClock();
  const downs: string[] = [];
  const child = new DeviceChild({
    // More than the system takes: the refusal is thrown.
    command: [process.execPath, 'x'.repeat(8 << 20)],
    env: {},
    clock,
    onChannel: () => assert.fail('nothing was started'),
    onDown: (detail) => downs.push(detail),
    onLine: () => {},
  });
  child.start();
  assert.deepEqual(downs, ['The model process could not be started (E2BIG); it is started again in 0.5 s.']);
  for (const pauseMs of [500, 1000, 2000]) {
    const before = downs.length;
    await clock.advanceAsync(pauseMs - 1);
    assert.equal(downs.length, before);
    await clock.advanceAsync(1);
    assert.equal(downs.length, before + 1);
  }
  await child.close();
  assert.equal(clock.pendingTimers, 0);
});

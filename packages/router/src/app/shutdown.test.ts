import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import { pino } from 'pino';

import { Shutdown } from './shutdown.ts';

function scene() {
  const clock = new FakeClock();
  const lines: string[] = [];
  const shutdown = new Shutdown(clock, pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }));
  return { clock, lines, shutdown };
}

test('parts end in the order of the steps, whatever the order in which they were opened', async () => {
  const { shutdown, clock, lines } = scene();
  const ended: string[] = [];
  shutdown.add('backends', 'backends', () => void ended.push('backends'));
  shutdown.add('deliveries', 'records', async () => void ended.push('records'));
  shutdown.add('requests', 'requests', async () => {
    await settle();
    ended.push('requests');
  });
  shutdown.add('observers', 'probing', () => void ended.push('probing'));
  assert.equal(shutdown.hasBegun, false);
  const first = shutdown.run();
  assert.equal(shutdown.hasBegun, true);
  await Promise.all([first, shutdown.run()]);
  assert.deepEqual(ended, ['probing', 'requests', 'records', 'backends']);
  assert.deepEqual(lines, []);
  assert.equal(clock.pendingTimers, 0);
});

test('everything that is sent at the end shares one deadline, and what misses it is named', async () => {
  const { shutdown, clock, lines } = scene();
  const ended: string[] = [];
  const never = () => new Promise<void>(() => {});
  shutdown.add('deliveries', 'records', never);
  shutdown.add('deliveries', 'traces', async (signal) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    ended.push('traces');
  });
  shutdown.add('backends', 'backends', () => void ended.push('backends'));
  let isOver = false;
  const over = shutdown.run().then(() => (isOver = true));
  await clock.advanceAsync(4_999);
  assert.equal(isOver, false);
  await clock.advanceAsync(1);
  await over;
  assert.deepEqual(ended, ['traces', 'backends']);
  assert.match(lines.join(''), /"parts":\["records"\]/);
  assert.doesNotMatch(lines.join(''), /traces/);
});

test('a part that cannot be ended does not keep the others from it', async () => {
  const { shutdown, lines } = scene();
  let isEnded = false;
  shutdown.add('observers', 'probing', () => {
    throw new Error('no');
  });
  shutdown.add('backends', 'backends', () => void (isEnded = true));
  await shutdown.run();
  assert.equal(isEnded, true);
  assert.match(lines.join(''), /"part":"probing"/);
});

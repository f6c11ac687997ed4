import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeClock } from '@lfo/testing/fake-clock.ts';

import type { Backend, BackendStatus } from '../core/backend.ts';
import { keepProbing } from './probing.ts';

function probed(
  clock: FakeClock,
  answers: readonly (BackendStatus['state'] | 'throws')[],
): { backend: Backend; times: number[] } {
  const times: number[] = [];
  const backend: Backend = {
    id: 'near',
    tier: 'local',
    models: [],
    capabilities: { tools: true, jsonSchema: true, images: false, audio: false, logprobs: false },
    status: () => ({ state: 'ready' }),
    infer: () => {
      throw new Error('a probe runs no inference');
    },
    probe: async () => {
      const answer = answers[times.length] ?? 'ready';
      times.push(clock.nowMs());
      if (answer === 'throws') throw new Error('lost');
      return { state: answer };
    },
    close: async () => {},
  };
  return { backend, times };
}

test('looks at once, often while a server is down, seldom while it is there, and never once stopped', async () => {
  const clock = new FakeClock();
  const { backend, times } = probed(clock, ['down', 'throws', 'ready', 'ready']);
  const start = clock.nowMs();
  const probing = keepProbing([backend], clock);
  for (let second = 0; second < 25; second++) await clock.advanceAsync(1000);
  assert.deepEqual(
    times.map((time) => time - start),
    [0, 2000, 4000, 19_000],
  );
  assert.ok(probing.hasLooked());
  probing.stop();
  await clock.advanceAsync(60_000);
  assert.equal(times.length, 4);
});

test('who comes later is looked at from then on, and who is gone no longer', async () => {
  const clock = new FakeClock();
  const first = probed(clock, []);
  const later = probed(clock, []);
  const probing = keepProbing([first.backend], clock);
  await clock.advanceAsync(1000);
  probing.follow([first.backend, later.backend]);
  await clock.advanceAsync(1000);
  assert.deepEqual([first.times.length, later.times.length], [1, 1]);
  probing.follow([later.backend]);
  await clock.advanceAsync(40_000);
  assert.equal(first.times.length, 1);
  assert.ok(later.times.length > 2);
  probing.stop();
  assert.equal(clock.pendingTimers, 0);
});

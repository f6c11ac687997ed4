import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { KeyCopy } from './key-copy.ts';
import { KeyWatch } from './key-watch.ts';
import type { ManagedKey } from './managed-key.ts';

test('that a key expires is told at that moment, and not only with the next change of any key', async () => {
  const clock = new FakeClock();
  const key = (id: string, expiresMs?: number): ManagedKey => ({
    id,
    name: id,
    digest: '0'.repeat(64),
    scopes: ['chat'],
    limits: {},
    createdMs: 0,
    ...(expiresMs !== undefined && { expiresMs }),
  });
  const keys = [key('a', clock.wallMs() + 150_000), key('b', clock.wallMs() + 400_000), key('c')];
  let changes = 0;
  const watch = new KeyWatch({
    table: { list: async () => keys, stamp: async () => 'same' },
    copy: new KeyCopy('/nowhere/keys.json'),
    clock,
    onChange: () => changes++,
  });
  await watch.start();
  assert.equal(changes, 1);
  await clock.advanceAsync(149_999);
  assert.equal(changes, 1);
  await clock.advanceAsync(1);
  assert.equal(changes, 2);
  await clock.advanceAsync(250_000);
  assert.equal(changes, 3);
  watch.stop();
  assert.equal(clock.pendingTimers, 0);
});

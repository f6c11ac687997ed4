import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Abort, unlessAborted } from './abort.ts';
test('what is left behind at an abort is heard all the same', async () => {
  const unheard: unknown[] = [];
  const onUnheard = (error: unknown): void => void unheard.push(error);
  process.on('unhandledRejection', onUnheard);
  for (const isEarly of [true, false]) {
    const abort = new Abort();
    const { promise, reject } = Promise.withResolvers<void>();
    if (isEarly) abort.abort('left');
    const waiting = unlessAborted(promise, abort);
    if (!isEarly) abort.abort('left');
    await assert.rejects(waiting, (error) => error === 'left');
    reject(new Error('too late'));
  }
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', onUnheard);
  assert.deepEqual(unheard, []);
  assert.equal(await unlessAborted(Promise.resolve(7), new Abort()), 7);
});

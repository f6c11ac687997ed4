import assert from 'node:assert/strict';
import { access, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { fakeMachine } from '@lfo/testing/fake-machine.ts';
import { isLocked, withLock } from './lock.ts';
import type { ModelProgress } from './progress.ts';

const never = new AbortController().signal;
const half: ModelProgress = { phase: 'download', done: 5, total: 10, what: 'model' };

let folder = '';
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'lfo-lock-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

function path(): string {
  return join(folder, 'model.lock');
}

/** Moves the clock on until the promise has settled, file operations taking the time they need. */
async function settleWith<T>(clock: FakeClock, promise: Promise<T>): Promise<T> {
  const state = { isSettled: false };
  const settled = promise.finally(() => (state.isSettled = true));
  settled.catch(() => {});
  while (!state.isSettled) {
    clock.advance(250);
    await access(folder);
  }
  return await settled;
}

test('the work runs, and the lock is gone afterwards, also when the work fails', async () => {
  const machine = fakeMachine();
  assert.equal(
    await withLock(
      path(),
      machine,
      () => {},
      never,
      () => Promise.resolve('done'),
    ),
    'done',
  );
  await assert.rejects(
    withLock(
      path(),
      machine,
      () => {},
      never,
      () => Promise.reject(new Error('no')),
    ),
    { message: 'no' },
  );
  assert.deepEqual(await readdir(folder), []);
});

test('a second one waits for the first and sees its progress', async () => {
  const clock = new FakeClock();
  const machine = fakeMachine({ clock });
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const order: string[] = [];
  const { promise: started, resolve: start } = Promise.withResolvers<void>();
  const first = withLock(
    path(),
    machine,
    () => {},
    never,
    async (report) => {
      report(half);
      start();
      await gate;
      order.push('first');
    },
  );
  await started;
  const onProgress = (progress: ModelProgress): void => {
    assert.deepEqual(progress, half);
    order.push('seen');
    open();
  };
  const second = withLock(path(), machine, onProgress, never, () => Promise.resolve(order.push('second')));
  await settleWith(clock, Promise.all([first, second]));
  assert.deepEqual([...new Set(order)], ['seen', 'first', 'second']);
  assert.equal(clock.pendingTimers, 0);
});

test('the lock of a dead process is taken over at once', async () => {
  await writeFile(path(), JSON.stringify({ pid: 4711, host: 'here', beat: 3 }));
  const clock = new FakeClock();
  assert.equal(await isLocked(path(), fakeMachine()), false);
  assert.equal(
    await withLock(
      path(),
      fakeMachine({ clock }),
      () => {},
      never,
      () => Promise.resolve(1),
    ),
    1,
  );
  assert.equal(clock.nowMs(), 0);
  assert.deepEqual(await readdir(folder), []);
});

for (const [name, content] of [
  ['a lock of another machine that stopped beating', JSON.stringify({ pid: 1, host: 'there', beat: 3 })],
  ['a lock that cannot be read', '{"pid'],
] as const) {
  test(`${name} is taken over when it has stood still long enough`, async () => {
    await writeFile(path(), content);
    const clock = new FakeClock();
    const machine = fakeMachine({ clock, staleLockMs: 2000 });
    await settleWith(
      clock,
      withLock(
        path(),
        machine,
        () => {},
        never,
        () => Promise.resolve(),
      ),
    );
    assert.ok(clock.nowMs() >= 2000);
    assert.deepEqual(await readdir(folder), []);
  });
}

test('of many who find a dead lock, one at a time works', async () => {
  for (let round = 0; round < 50; round++) {
    await writeFile(path(), JSON.stringify({ pid: 4711, host: 'here', beat: 3 }));
    const clock = new FakeClock();
    let running = 0;
    let runs = 0;
    const work = async (): Promise<void> => {
      assert.equal(++running, 1);
      await access(folder);
      runs++;
      running--;
    };
    const all = Array.from({ length: 8 }, () => withLock(path(), fakeMachine({ clock }), () => {}, never, work));
    await settleWith(clock, Promise.all(all));
    assert.equal(runs, 8);
    assert.deepEqual(await readdir(folder), []);
  }
});

test('a dead lock is taken over even where who wanted to remove it died too', async () => {
  await writeFile(path(), JSON.stringify({ pid: 4711, host: 'here', beat: 3 }));
  await writeFile(`${path()}.turn`, '');
  const clock = new FakeClock();
  const done = withLock(
    path(),
    fakeMachine({ clock, staleLockMs: 2000 }),
    () => {},
    never,
    () => Promise.resolve('done'),
  );
  assert.equal(await settleWith(clock, done), 'done');
  assert.deepEqual(await readdir(folder), []);
});

test('the work is told when its lock was taken away, and the new owner keeps it', async () => {
  const clock = new FakeClock();
  const thief = JSON.stringify({ pid: 1, host: 'there', beat: 0 });
  const work = withLock(
    path(),
    fakeMachine({ clock }),
    () => {},
    never,
    async (_, signal) => {
      await rm(path());
      await writeFile(path(), thief);
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
      signal.throwIfAborted();
    },
  );
  await assert.rejects(settleWith(clock, work), { message: /took the download over/ });
  assert.deepEqual(await readdir(folder), ['model.lock']);
});

test('who waits can be told to stop', async () => {
  await writeFile(path(), JSON.stringify({ pid: 1, host: 'here', beat: 3 }));
  const stop = new AbortController();
  const waiting = withLock(
    path(),
    fakeMachine({ clock: new FakeClock() }),
    () => {},
    stop.signal,
    () => Promise.resolve(),
  );
  stop.abort(new Error('enough'));
  await assert.rejects(waiting, { message: 'enough' });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import { StoreError } from './store/store-error.ts';
import { type Loss, WriteBehind, type WriteHealth } from './write-behind.ts';

function setUp(options: { maxPending?: number; batchRows?: number } = {}) {
  const clock = new FakeClock();
  const batches: number[][] = [];
  const health: WriteHealth[] = [];
  const losses: Loss[] = [];
  const disk: { failure: Error | undefined; readonly refused: Set<number> } = {
    failure: undefined,
    refused: new Set(),
  };
  const rows = new WriteBehind<number>({
    write: async (batch) => {
      if (disk.failure !== undefined) throw disk.failure;
      if (batch.some((row) => disk.refused.has(row))) throw new StoreError('22003', 'out of range');
      batches.push([...batch]);
    },
    writeLoss: async (loss) => {
      if (disk.failure !== undefined) throw disk.failure;
      losses.push(loss);
    },
    clock,
    onHealth: (change) => health.push(change),
    ...options,
  });
  return { clock, batches, health, losses, disk, rows };
}

test('rows wait 100 ms for company and are written together', async () => {
  const { clock, batches, rows } = setUp();
  rows.add(1);
  await clock.advanceAsync(99);
  rows.add(2);
  assert.deepEqual(batches, []);
  await clock.advanceAsync(1);
  assert.deepEqual(batches, [[1, 2]]);
  assert.deepEqual(rows.status(), { pending: 0, written: 2, dropped: 0, degraded: false });
  assert.equal(clock.pendingTimers, 0);
});

test('a full batch is written at once, and batches follow each other in order', async () => {
  const { batches, rows, clock } = setUp({ batchRows: 2 });
  for (let row = 1; row <= 5; row += 1) rows.add(row);
  await settle();
  assert.deepEqual(batches, [
    [1, 2],
    [3, 4],
  ]);
  await clock.advanceAsync(100);
  assert.deepEqual(batches.at(-1), [5]);
});

test('a failing disk degrades once, is tried again with growing pauses, and nothing is lost or doubled', async () => {
  const { clock, batches, health, disk, rows } = setUp();
  disk.failure = new Error('full');
  rows.add(1);
  await clock.advanceAsync(100);
  assert.equal(rows.status().degraded, true);
  rows.add(2);
  await clock.advanceAsync(1000);
  await clock.advanceAsync(1999);
  disk.failure = undefined;
  assert.deepEqual(batches, []);
  await clock.advanceAsync(1);
  assert.deepEqual(batches, [[1, 2]]);
  assert.deepEqual(
    health.map(({ type }) => type),
    ['degraded', 'recovered'],
  );
  assert.equal(rows.status().degraded, false);
});

test('beyond its bound rows are dropped and counted, and the recovery says how many', async () => {
  const { clock, health, disk, rows } = setUp({ maxPending: 3 });
  disk.failure = new Error('full');
  for (let row = 0; row < 3; row += 1) rows.add(row);
  await clock.advanceAsync(100);
  for (let row = 0; row < 4; row += 1) rows.add(row);
  assert.deepEqual(rows.status(), { pending: 3, written: 0, dropped: 4, degraded: true });
  disk.failure = undefined;
  await clock.advanceAsync(1000);
  assert.deepEqual(health.at(-1), { type: 'recovered', dropped: 4 });
});

test('what was lost is written down once there is room again, as one loss with its times', async () => {
  const { clock, losses, batches, disk, rows } = setUp({ maxPending: 4, batchRows: 2 });
  const wallMs = Math.round(clock.wallMs());
  disk.failure = new Error('full');
  for (let row = 0; row < 5; row += 1) rows.add(row);
  await clock.advanceAsync(500);
  rows.add(5);
  disk.failure = undefined;
  await rows.flush();
  assert.deepEqual(losses, [{ fromMs: wallMs, untilMs: wallMs + 500, rows: 2 }]);
  assert.deepEqual(batches.flat(), [0, 1, 2, 3]);
  rows.add(6);
  await rows.flush();
  assert.equal(losses.length, 1);
  assert.equal(clock.pendingTimers, 0);
});

test('a loss that cannot be written yet is tried again, and grows meanwhile', async () => {
  const { clock, losses, disk, rows } = setUp({ maxPending: 2, batchRows: 2 });
  disk.failure = new Error('full');
  for (let row = 0; row < 3; row += 1) rows.add(row);
  await rows.flush();
  rows.add(3);
  await clock.advanceAsync(3_000);
  assert.equal(losses.length, 0);
  disk.failure = undefined;
  await clock.advanceAsync(30_000);
  assert.deepEqual(
    losses.map((loss) => loss.rows),
    [2],
  );
  assert.deepEqual(rows.status(), { pending: 0, written: 2, dropped: 2, degraded: false });
});

test('a write that never ends holds up nobody: rows pile up to the bound', async () => {
  const clock = new FakeClock();
  const rows = new WriteBehind<number>({ write: () => new Promise(() => {}), clock, maxPending: 10, batchRows: 2 });
  for (let row = 0; row < 50; row += 1) rows.add(row);
  await clock.advanceAsync(60_000);
  assert.deepEqual(rows.status(), { pending: 10, written: 0, dropped: 40, degraded: false });
});

test('closing writes what waits', async () => {
  const { clock, batches, rows } = setUp({ batchRows: 2 });
  for (let row = 1; row <= 3; row += 1) rows.add(row);
  await rows.close();
  assert.deepEqual(batches, [[1, 2], [3]]);
  assert.equal(clock.pendingTimers, 0);
});

test('closing on a failing disk ends after one try and counts the loss', async () => {
  const { clock, disk, rows } = setUp();
  disk.failure = new Error('full');
  rows.add(1);
  await rows.close();
  assert.deepEqual(rows.status(), { pending: 0, written: 0, dropped: 1, degraded: true });
  assert.equal(clock.pendingTimers, 0);
});

test('rows that the database refuses are dropped, counted and told of, and the others are written', async () => {
  const { clock, batches, health, losses, disk, rows } = setUp();
  disk.refused.add(3).add(64);
  for (let row = 1; row <= 70; row += 1) rows.add(row);
  await settle();
  await clock.advanceAsync(100);
  assert.deepEqual(
    batches.flat(),
    Array.from({ length: 70 }, (_, index) => index + 1).filter((row) => !disk.refused.has(row)),
  );
  assert.deepEqual(rows.status(), { pending: 0, written: 68, dropped: 2, degraded: false });
  assert.deepEqual(
    health.map((change) => [change.type, change.type === 'degraded' ? undefined : change.dropped]),
    [['refused', 2]],
  );
  assert.deepEqual(
    losses.map(({ rows: lost }) => lost),
    [2],
  );
});

test('a database that goes away while refused rows are looked for keeps every row', async () => {
  const { clock, batches, disk, rows } = setUp();
  disk.refused.add(1);
  rows.add(1);
  rows.add(2);
  const write = clock.advanceAsync(100);
  disk.failure = new StoreError('STORE_UNREACHABLE', 'gone');
  await write;
  assert.deepEqual([rows.status().pending, rows.status().dropped], [2, 0]);
  disk.failure = undefined;
  await clock.advanceAsync(1_000);
  assert.deepEqual(batches, [[2]]);
  assert.deepEqual([rows.status().pending, rows.status().dropped], [0, 1]);
});

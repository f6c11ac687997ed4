import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import type { DeviceRecord } from '../core/devices.ts';
import { createLogger } from '../telemetry/log.ts';
import { Registrar } from './registrar.ts';

const record = { id: 'dev-a', publicKey: 'k', name: 'phone', createdMs: 0 };

function registrar() {
  const clock = new FakeClock();
  const rows: DeviceRecord[] = [];
  let release = (): void => {};
  let isAway = false;
  const registry = {
    list: async () => rows,
    seen: async () => {},
    save: (row: DeviceRecord) =>
      new Promise<void>((resolve, reject) => {
        release = () => {
          if (isAway) return reject(new Error('away'));
          rows.push(row);
          resolve();
        };
      }),
  };
  return {
    clock,
    rows,
    under: new Registrar(registry, clock, createLogger({ level: 'fatal', destination: { write() {} } })),
    setAway: (to: boolean) => (isAway = to),
    written: async (): Promise<void> => {
      release();
      await settle();
    },
  };
}

test('a removal that comes while an older row is being written is written next, not some time later', async () => {
  const { under, rows, written, clock } = registrar();
  under.save({ ...record, lastSeenMs: 1 });
  const { publicKey: _, ...removed } = record;
  under.save(removed);
  await written();
  await written();
  assert.deepEqual(rows, [{ ...record, lastSeenMs: 1 }, removed]);
  assert.equal(clock.pendingTimers, 0);
});

test('a database that is away is tried again', async () => {
  const { under, rows, written, clock, setAway } = registrar();
  setAway(true);
  under.save(record);
  await written();
  setAway(false);
  await clock.advanceAsync(5_000);
  await written();
  assert.deepEqual(rows, [record]);
});

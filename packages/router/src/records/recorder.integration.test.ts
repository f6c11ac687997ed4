import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DatabaseSync } from 'node:sqlite';
import { sql } from 'kysely';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { BoundedSignatureStore } from '../backends/engines/gemini/signature-store.ts';
import { beginTrace } from '../core/trace.ts';
import { Recorder } from './recorder.ts';
import { StoredJournal } from './journal.ts';
import { SqliteStore } from './store/sqlite-store.ts';

function temporaryFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-records-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'lfo.db');
}

function trace(id: string) {
  const request = { id, model: 'lfo-auto', stream: false, hints: { mode: 'auto' } } as const;
  return beginTrace(request, { startMs: 0, startedAtMs: 1 }, 0.7);
}

test('fault 45: while the database cannot be opened rows wait, and they are there once it can', async (t) => {
  const file = temporaryFile(t);
  const clock = new FakeClock();
  mkdirSync(file);
  const store = new SqliteStore(file);
  t.after(() => store.close());
  const recorder = new Recorder(store, clock);
  recorder.record(trace('a'), { status: 200 });
  await recorder.flush();
  assert.deepEqual(recorder.status(), { pending: 1, written: 0, dropped: 0, degraded: true });
  rmSync(file, { recursive: true });
  recorder.record(trace('b'), { status: 200 });
  await recorder.flush();
  assert.deepEqual(recorder.status(), { pending: 0, written: 2, dropped: 0, degraded: false });
  const rows = await store.db.selectFrom('requests').select('id').orderBy('id').execute();
  assert.deepEqual(
    rows.map(({ id }) => id),
    ['a', 'b'],
  );
});

test('fault 44: a full disk degrades the records and loses none that fit in memory; room brings them back', async (t) => {
  const store = new SqliteStore(temporaryFile(t));
  t.after(() => store.close());
  const recorder = new Recorder(store, new FakeClock());
  recorder.record(trace('first'), { status: 200 });
  await recorder.flush();
  const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(store.db);
  await sql.raw(`pragma max_page_count = ${rows[0]?.page_count}`).execute(store.db);
  for (let row = 0; row < 200; row += 1) recorder.record(trace(`row-${row}`), { status: 200 });
  await recorder.flush();
  assert.deepEqual(recorder.status(), { pending: 200, written: 1, dropped: 0, degraded: true });
  await assert.rejects(store.append('signatures', [{ key: 'k', signature: 's'.repeat(100_000), time_ms: 1 }]), {
    code: 'SQLITE_FULL',
  });
  await sql`pragma max_page_count = 100000`.execute(store.db);
  await recorder.flush();
  assert.deepEqual(recorder.status(), { pending: 0, written: 201, dropped: 0, degraded: false });
});

test(
  'fault 45: a database locked by another process holds up nobody and is written once it is free',
  { timeout: 30_000 },
  async (t) => {
    const file = temporaryFile(t);
    const store = new SqliteStore(file);
    t.after(() => store.close());
    const recorder = new Recorder(store, new FakeClock());
    recorder.record(trace('first'), { status: 200 });
    await recorder.flush();
    const other = new DatabaseSync(file);
    t.after(() => other.close());
    other.exec('begin immediate');
    recorder.record(trace('second'), { status: 200 });
    let turns = 0;
    const ticking = setInterval(() => (turns += 1), 10);
    await recorder.flush();
    clearInterval(ticking);
    assert.equal(recorder.status().degraded, true);
    assert.ok(turns > 20, 'the event loop kept turning while the database was locked');
    other.exec('commit');
    await recorder.flush();
    assert.deepEqual(recorder.status(), { pending: 0, written: 2, dropped: 0, degraded: false });
  },
);

test('signatures survive a restart, the oldest beyond the limit do not', async (t) => {
  const file = temporaryFile(t);
  const clock = new FakeClock();
  const call = (id: string) => ({ id, name: 'f', arguments: `{"id":"${id}"}` });
  const store = new SqliteStore(file);
  const journal = new StoredJournal(store, clock);
  const before = new BoundedSignatureStore(undefined, journal);
  for (const id of ['one', 'two', 'three']) {
    before.put('key', call(id), `signature ${id}`);
    clock.advance(1);
  }
  await journal.close();
  await store.close();

  const reopened = new SqliteStore(file);
  t.after(() => reopened.close());
  const after = new BoundedSignatureStore(undefined, new StoredJournal(reopened, clock, undefined, 4));
  await after.restore();
  assert.equal(after.get('key', call('one')), undefined);
  assert.equal(after.get('key', call('two')), 'signature two');
  assert.equal(after.get('key', call('three')), 'signature three');
  assert.equal(after.get('other', call('three')), undefined);
  const left = await reopened.db.selectFrom('signatures').select('key').execute();
  assert.equal(left.length, 4);
});

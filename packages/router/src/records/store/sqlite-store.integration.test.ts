import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CompiledQuery } from 'kysely';
import { batchRollUp } from './roll-up-triggers.ts';
import { SqliteStore } from './sqlite-store.ts';
import { describeStore, sampleRow } from './store-contract.ts';

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-store-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function openStore(t: TestContext, file: string): SqliteStore {
  const store = new SqliteStore(file);
  t.after(() => store.close());
  return store;
}

const files = new WeakMap<object, string>();

describeStore('sqlite', {
  async open(t) {
    const file = join(temporaryFolder(t), 'data', 'lfo.db');
    const store = openStore(t, file);
    files.set(store, file);
    return store;
  },
  async openAgain(t, first) {
    return openStore(t, files.get(first) ?? '');
  },
});

test('the folder and every file of the database are for their owner alone', async (t) => {
  const folder = join(temporaryFolder(t), 'data');
  const store = openStore(t, join(folder, 'lfo.db'));
  await store.append('requests', [sampleRow('a')]);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  for (const suffix of ['', '-wal', '-shm']) {
    assert.equal(statSync(join(folder, `lfo.db${suffix}`)).mode & 0o777, 0o600, suffix);
  }
});

test('rows are there after the store was closed and opened again', async (t) => {
  const file = join(temporaryFolder(t), 'lfo.db');
  const first = new SqliteStore(file);
  await first.append('requests', [sampleRow('a')]);
  await first.close();
  const found = await openStore(t, file).db.selectFrom('requests').select('id').execute();
  assert.equal(found.length, 1);
});

test('a database that cannot be opened rejects, and is opened once it can be', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'lfo.db');
  mkdirSync(file);
  const store = openStore(t, file);
  await assert.rejects(store.append('requests', [sampleRow('a')]));
  rmSync(file, { recursive: true });
  await store.append('requests', [sampleRow('a')]);
});

test('however slowly a new schema is made, whoever opens the same file waits for it', async (t) => {
  const file = join(temporaryFolder(t), 'lfo.db');
  const turn = new Int32Array(new SharedArrayBuffer(4));
  // Makes each statement of the schema take this long, the transaction as a whole longer than SQLite waits for a lock.
  const slow = setInterval(() => Atomics.wait(turn, 0, 0, 120), 1);
  t.after(() => clearInterval(slow));
  const [first, second] = [openStore(t, file), openStore(t, file)].map(({ db }) =>
    db.selectFrom('requests').select('id').execute(),
  );
  assert.deepEqual(await Promise.race([first, second]), []);
  clearInterval(slow);
  assert.deepEqual(await Promise.all([first, second]), [[], []]);
});

test('a new schema is waited for while another process makes it, for longer than a statement waits', async (t) => {
  const file = join(temporaryFolder(t), 'lfo.db');
  const other = new DatabaseSync(file);
  t.after(() => other.close());
  other.exec('pragma journal_mode = wal; begin immediate');
  const store = openStore(t, file);
  const stored = store.append('requests', [sampleRow('a')]);
  await delay(3_000);
  other.exec('commit');
  await stored;
  const { rows } = await store.db.executeQuery<{ timeout: number }>(CompiledQuery.raw('pragma busy_timeout'));
  assert.deepEqual(rows, [{ timeout: 2_000 }], 'a statement waits as before');
});

test('a file that is no database is refused with its code and left as it is', async (t) => {
  const file = join(temporaryFolder(t), 'lfo.db');
  const content = 'not a database, '.repeat(100);
  writeFileSync(file, content);
  chmodSync(file, 0o600);
  const store = openStore(t, file);
  await assert.rejects(store.append('requests', [sampleRow('a')]), { name: 'StoreError', code: 'SQLITE_NOTADB' });
  assert.equal(statSync(file).size, content.length);
});

test('counting a batch reads the rows that it added, not those of before', async (t) => {
  const store = openStore(t, join(temporaryFolder(t), 'lfo.db'));
  await store.append('requests', [sampleRow('a')]);
  for (const statement of batchRollUp.statements) {
    const plan = CompiledQuery.raw(`explain query plan ${statement}`, [0]);
    const { rows } = await store.db.executeQuery<{ detail: string }>(plan);
    const reads = rows.map(({ detail }) => detail).filter((detail) => detail.includes('requests'));
    assert.deepEqual(reads, ['SEARCH requests USING INTEGER PRIMARY KEY (rowid>?)']);
  }
});

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { assertWithin } from '@lfo/testing/figure.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { scaled } from '@lfo/testing/test-scale.ts';
import { sql } from 'kysely';
import { beginTrace } from '../core/trace.ts';
import { Recorder } from './recorder.ts';
import { PostgresStore } from './store/postgres-store.ts';
import { SqliteStore } from './store/sqlite-store.ts';
import { sampleRow } from './store/store-contract.ts';

const server = postgresOfFile();

function trace(id: string) {
  const request = { id, model: 'lfo-auto', stream: false, hints: { mode: 'auto' } } as const;
  return beginTrace(request, { startMs: 0, startedAtMs: 1 }, 0.7);
}

function postgres(t: TestContext, url: string): PostgresStore {
  const store = new PostgresStore(url);
  t.after(() => store.close());
  return store;
}

async function idsOf(store: PostgresStore | SqliteStore): Promise<readonly string[]> {
  const rows = await store.db.selectFrom('requests').select('id').orderBy('id').execute();
  return rows.map(({ id }) => id);
}

/** Longest turn of the event loop while something happens, in milliseconds. */
async function longestTurn(work: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1);
  await work();
  clearInterval(timer);
  return longest;
}

test('fault 44: writing errors of the disk degrade the records, and the rows are kept until it takes them', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-faults-'));
  const file = join(folder, 'lfo.db');
  const store = new SqliteStore(file);
  t.after(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
  const recorder = new Recorder(store, new FakeClock());
  recorder.record(trace('a'), { status: 200 });
  await recorder.flush();
  // What SQLite answers when the disk fails, made by a trigger: the driver cannot tell the two apart.
  await sql`create trigger broken before insert on requests begin select raise(abort, 'disk I/O error'); end`.execute(
    store.db,
  );
  recorder.record(trace('b'), { status: 200 });
  await recorder.flush();
  assert.deepEqual(recorder.status(), { pending: 1, written: 1, dropped: 0, degraded: true });
  await sql`drop trigger broken`.execute(store.db);
  await recorder.flush();
  assert.deepEqual(recorder.status(), { pending: 0, written: 2, dropped: 0, degraded: false });
});

test('fault 44: memory stays bounded while nothing can be stored, and the rows lost are counted', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-faults-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const store = new SqliteStore(join(folder, 'a folder, not a file', '..'));
  t.after(() => store.close());
  const recorder = new Recorder(store, new FakeClock());
  for (let row = 0; row < 50_000; row += 1) recorder.record(trace(`row-${row}`), { status: 200 });
  await recorder.flush();
  assert.deepEqual(recorder.status(), { pending: 10_000, written: 0, dropped: 40_000, degraded: true });
});

test(
  'fault 45: PostgreSQL dies and comes back; nobody waits, and no row is lost or doubled',
  { skip: withoutPostgres, timeout: 60_000 },
  async (t) => {
    const store = postgres(t, await server().database());
    const recorder = new Recorder(store, new FakeClock());
    recorder.record(trace('a'), { status: 200 });
    await recorder.flush();
    await server().crash();
    const recording = performance.now();
    for (let row = 0; row < 100; row += 1) recorder.record(trace(`b-${row}`), { status: 200 });
    assertWithin(t, 'recording 100 rows, which waits for no database', performance.now() - recording, 50);
    assertWithin(t, 'longest turn of the event loop', await longestTurn(() => recorder.flush()), 500);
    assert.equal(recorder.status().degraded, true);
    await assert.rejects(idsOf(store), { name: 'StoreError', message: 'PostgreSQL cannot be reached.' });
    await server().restart();
    await recorder.flush();
    assert.deepEqual(recorder.status(), { pending: 0, written: 101, dropped: 0, degraded: false });
    assert.equal((await idsOf(store)).length, 101);
  },
);

/** A way to the server that can fall silent, as a failing over or partitioned one does. */
async function silentWay(t: TestContext, socketFolder: string) {
  const sockets = new Set<Socket>();
  let isSilent = false;
  const way: Server = createServer((client) => {
    const upstream = connect(join(socketFolder, '.s.PGSQL.5432'));
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    client.on('data', (bytes) => isSilent || upstream.write(bytes));
    upstream.on('data', (bytes) => isSilent || client.write(bytes));
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => way.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    way.close();
  });
  const address = way.address();
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    setSilent: (silent: boolean) => (isSilent = silent),
  };
}

test(
  'fault 45: a PostgreSQL that falls silent is given up in time and found again',
  { skip: withoutPostgres, timeout: 60_000 },
  async (t) => {
    const url = new URL(await server().database());
    const way = await silentWay(t, server().socketFolder);
    const store = postgres(t, `postgresql://lfo@127.0.0.1:${way.port}${url.pathname}`);
    await store.append('requests', [sampleRow('a')]);
    way.setSilent(true);
    const from = performance.now();
    const turn = await longestTurn(() =>
      assert.rejects(store.append('requests', [sampleRow('b')]), { name: 'StoreError' }),
    );
    assertWithin(t, 'given up', performance.now() - from, 20_000);
    assertWithin(t, 'longest turn of the event loop', turn, 1_000);
    way.setSilent(false);
    await store.append('requests', [sampleRow('b')]);
    assert.deepEqual(await idsOf(store), ['a', 'b']);
  },
);

test('fault 45: a server that has become a replica is left for its successor', { skip: withoutPostgres }, async (t) => {
  const store = postgres(t, await server().database());
  await store.append('requests', [sampleRow('a')]);
  await store.db.connection().execute(async (db) => {
    await sql`set session characteristics as transaction read only`.execute(db);
    await assert.rejects(db.insertInto('requests').values(sampleRow('b')).execute(), { code: '25006' });
  });
  await store.append('requests', [sampleRow('b')]);
  assert.deepEqual(await idsOf(store), ['a', 'b']);
});

const writer = new URL('./store/sqlite-store.ts', import.meta.url).href;
const sample = new URL('./store/store-contract.ts', import.meta.url).href;

/** Writes batches of 20 rows until it is killed; says each batch once it is acknowledged. */
function writingProgram(file: string): string {
  return `
    const { SqliteStore } = await import(${JSON.stringify(writer)});
    const { sampleRow } = await import(${JSON.stringify(sample)});
    const store = new SqliteStore(${JSON.stringify(file)});
    await store.db.selectFrom('requests').select('id').limit(1).execute();
    process.stdout.write('open\\n');
    for (let batch = 0; ; batch += 1) {
      await store.append('requests', Array.from({ length: 20 }, (_, row) => sampleRow(process.pid + '-' + batch + '-' + row)));
      process.stdout.write(process.pid + '-' + batch + '\\n');
    }`;
}

test(
  'fault 46: kill -9 under write load, again and again: what was acknowledged is there, and the database is sound',
  { timeout: scaled({ always: 170_000, full: 1_700_000 }) },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'lfo-faults-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'lfo.db');
    const acknowledged: string[] = [];
    const rounds = scaled({ always: 5, full: 50 });
    for (let round = 0; round < rounds; round += 1) {
      const child = spawn(process.execPath, ['--input-type=module', '--eval', writingProgram(file)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let output = '';
      for await (const chunk of child.stdout) {
        output += chunk;
        if (output.split('\n').length > 3 + (round % 7)) child.kill('SIGKILL');
      }
      acknowledged.push(...output.split('\n').slice(1, -1));
    }
    const db = new DatabaseSync(file);
    t.after(() => db.close());
    assert.equal(db.prepare('pragma integrity_check').get()?.['integrity_check'], 'ok');
    assert.ok(acknowledged.length >= 2 * rounds, `${acknowledged.length} batches were acknowledged`);
    const count = db.prepare('select count(*) as count from requests where id >= ? and id < ?');
    for (const batch of acknowledged) assert.equal(count.get(`${batch}-`, `${batch}.`)?.['count'], 20, batch);
    const rows = db.prepare('select count(*) as count from requests').get()?.['count'];
    assert.equal(db.prepare('select sum(requests) as count from usage_counts').get()?.['count'], rows);
    const from = performance.now();
    const store = new SqliteStore(file);
    t.after(() => store.close());
    await store.append('requests', [sampleRow('after')]);
    assertWithin(t, 'first write after it', performance.now() - from, 2_000);
  },
);

test(
  'fault 53: six routers start at once on one empty PostgreSQL; one migrates, all write, each row counts once',
  { skip: withoutPostgres, timeout: 60_000 },
  async (t) => {
    const url = await server().database();
    const stores = Array.from({ length: 6 }, () => postgres(t, url));
    const rowsOf = (router: number) => Array.from({ length: 50 }, (_, row) => sampleRow(`${router}-${row}`));
    await Promise.all(stores.map((store, router) => store.append('requests', rowsOf(router))));
    await Promise.all(stores.map((store, router) => store.append('requests', rowsOf(router))));
    const [store] = stores;
    assert.ok(store !== undefined);
    assert.equal((await idsOf(store)).length, 300);
    const { rows: steps } = await sql<{ name: string }>`select name from schema_steps order by name`.execute(store.db);
    assert.equal(new Set(steps.map(({ name }) => name)).size, steps.length);
    const counted = await store.db.selectFrom('usage_counts').select('requests').execute();
    assert.deepEqual(
      counted.map(({ requests }) => requests),
      [300],
    );
  },
);

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { runLfo, startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { startPostgres, withoutPostgres } from '@lfo/testing/postgres.ts';
import type { RequestRow } from '../src/records/tables.ts';
import { KeyTable } from '../src/keys/key-table.ts';
import { PostgresStore } from '../src/records/store/postgres-store.ts';
import { SqliteStore } from '../src/records/store/sqlite-store.ts';
import { sampleRow } from '../src/records/store/store-contract.ts';

/** A data folder in which these rows were recorded; the store stays open, as a running router's does. */
async function recorded(t: TestContext, rows: readonly RequestRow[]) {
  const cwd = workingFolder(t);
  const store = new SqliteStore(join(cwd, 'data', 'lfo.db'));
  t.after(() => store.close());
  await store.append('requests', rows);
  return { cwd, store };
}

/** Ids in the order of their times, as the router makes them. */
function idAt(timeMs: number, digit: number): string {
  const hex = timeMs.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-00000000000${digit}`;
}

function rowsOf(nowMs: number): readonly RequestRow[] {
  const row = (digit: number, agoMs: number, changes: Partial<RequestRow>) =>
    sampleRow(idAt(nowMs - agoMs, digit), { time_ms: nowMs - agoMs, ...changes });
  return [
    row(1, 60_000, { cost_usd: 0, cost_avoided_usd: 0.5, total_ms: 100 }),
    row(2, 50_000, { route: 'cloud', backend: 'gemini', reason: 'low_confidence', cost_usd: 0.25, total_ms: 2_000 }),
    row(3, 40_000, {
      route: null,
      backend: '=cmd()',
      status: 502,
      error_code: 'upstream_timeout',
      finish_reason: null,
    }),
    row(4, 2 * 86_400_000, {}),
  ];
}

test('stats sums up the last day, or since when it is told, for people and for programs', async (t) => {
  const { cwd } = await recorded(t, rowsOf(Date.now()));
  const day = await runLfo(t, ['stats', '--json'], { cwd });
  assert.equal(day.code, 0, day.stderr);
  const found = JSON.parse(day.stdout);
  assert.deepEqual(
    [found.requests, found.local, found.cloud, found.failed, found.local_share, found.cost_usd, found.saved_usd],
    [3, 1, 1, 1, 0.5, 0.250125, 0.5],
  );
  assert.ok(Math.abs(found.latency_ms.local.p50 - 100) < 6);
  assert.equal(JSON.parse((await runLfo(t, ['stats', '--since', '7d', '--json'], { cwd })).stdout).requests, 4);
  const text = await runLfo(t, ['stats'], { cwd });
  assert.match(text.stdout, /local share +50 % +1 local \(0 degraded\), 1 cloud/);
  assert.match(text.stdout, /saved +\$0\.5000/);
});

test('stats says when rows were lost', async (t) => {
  const nowMs = Date.now();
  const { cwd, store } = await recorded(t, rowsOf(nowMs));
  const gap = (id: string, from_ms: number, requests: number) => ({ id, from_ms, until_ms: from_ms + 500, requests });
  await store.append('record_gaps', [gap('b', nowMs - 60_000, 1200), gap('a', nowMs - 3 * 86_400_000, 7)]);
  const { lost } = JSON.parse((await runLfo(t, ['stats', '--json'], { cwd })).stdout);
  const iso = (unixMs: number) => new Date(unixMs).toISOString();
  assert.deepEqual(lost, [{ requests: 1200, from: iso(nowMs - 60_000), until: iso(nowMs - 59_500) }]);
  const { stdout } = await runLfo(t, ['stats', '--since', '7d'], { cwd });
  assert.match(stdout, /7 rows were lost between \S+Z and \S+Z: [^]*1,200 rows were lost between/);
});

test('requests lists the newest first and filters by route, reason, backend, status and time', async (t) => {
  const { cwd } = await recorded(t, rowsOf(Date.now()));
  const digits = async (...args: readonly string[]) => {
    const { stdout, code, stderr } = await runLfo(t, ['requests', '--json', ...args], { cwd });
    assert.equal(code, 0, stderr);
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => String(JSON.parse(line).id).at(-1))
      .join('');
  };
  assert.equal(await digits(), '3214');
  assert.equal(await digits('--limit', '2'), '32');
  assert.equal(await digits('--route', 'cloud'), '2');
  assert.equal(await digits('--reason', 'low_confidence'), '2');
  assert.equal(await digits('--backend', 'gemini'), '2');
  assert.equal(await digits('--status', '502'), '3');
  assert.equal(await digits('--since', '1h'), '321');
  const table = await runLfo(t, ['requests', '--status', '502'], { cwd });
  assert.match(table.stdout, /^time +st[^\n]+\n[^\n]+ 502 +– /);
});

test('the CSV export quotes what needs it and holds no formula', async (t) => {
  const { cwd } = await recorded(t, rowsOf(Date.now()));
  const { stdout } = await runLfo(t, ['requests', '--format', 'csv', '--status', '502'], { cwd });
  const [head, line] = stdout.split('\r\n');
  assert.ok(head?.startsWith('id,time_ms,client_key'));
  assert.match(line ?? '', /,'=cmd\(\),/);
  assert.match(line ?? '', /,"\[""confident"",""local_first""\]",/);
});

test(
  'requests --follow shows a request once, when it is stored, until it is interrupted',
  { timeout: 30_000 },
  async (t) => {
    const { cwd, store } = await recorded(t, rowsOf(Date.now() - 1_000_000));
    const following = startLfo(t, ['requests', '--follow', '--json'], { cwd });
    let told = '';
    await new Promise<void>((resolve) => {
      following.child.stderr?.on('data', (text: string) => {
        told += text;
        if (told.includes('Waiting')) resolve();
      });
    });
    await store.append('requests', [sampleRow(idAt(Date.now(), 9), { backend: 'late' })]);
    await following.output(/"late"/);
    following.child.kill('SIGINT');
    const { code, stdout } = await following.finished;
    assert.equal(code, 0);
    assert.equal(stdout.split('\n').filter(Boolean).length, 1);
  },
);

test('requests --follow --key shows the requests of the key of that name', { timeout: 30_000 }, async (t) => {
  const { cwd, store } = await recorded(t, rowsOf(Date.now() - 1_000_000));
  const { key } = await new KeyTable(store).create({ name: 'laptop', scopes: ['chat'], limits: {} }, Date.now());
  const following = startLfo(t, ['requests', '--follow', '--json', '--key', 'laptop'], { cwd });
  await new Promise<void>((resolve) => {
    following.child.stderr?.on('data', (text: string) => {
      if (text.includes('Waiting')) resolve();
    });
  });
  await store.append('requests', [
    sampleRow(idAt(Date.now(), 8), { backend: 'foreign', client_key: 'other' }),
    sampleRow(idAt(Date.now(), 9), { backend: 'own', client_key: key.id }),
  ]);
  await following.output(/"own"/);
  following.child.kill('SIGINT');
  assert.doesNotMatch((await following.finished).stdout, /foreign/);
});

test('requests --key shows the requests of every key of that name, the newest first', async (t) => {
  const rows = rowsOf(Date.now());
  const { cwd, store } = await recorded(t, []);
  const table = new KeyTable(store);
  const make = async (name: string) => (await table.create({ name, scopes: ['chat'], limits: {} }, 1)).key.id;
  const keys = [await make('laptop'), await make('laptop'), await make('ci'), await make('laptop')];
  await store.append(
    'requests',
    rows.map((row, at) => ({ ...row, client_key: keys[at] ?? null })),
  );
  const digits = async (...args: readonly string[]) => {
    const { stdout } = await runLfo(t, ['requests', '--json', ...args], { cwd });
    return Array.from(stdout.matchAll(/"id":"[^"]*(\d)"/g), ([, digit]) => digit).join('');
  };
  assert.equal(await digits('--key', 'laptop'), '214');
  assert.equal(await digits('--key', 'laptop', '--limit', '2'), '21');
  assert.equal(await digits('--key', keys[1] ?? ''), '2');
  assert.equal(await digits('--key', 'nobody'), '');
});

test('no name in a table of stats moves the cursor', async (t) => {
  const { cwd } = await recorded(t, [sampleRow(idAt(Date.now(), 1), { time_ms: Date.now(), model: 'small\u001b[2J' })]);
  const { stdout } = await runLfo(t, ['stats', '--by', 'model'], { cwd });
  assert.match(stdout, /^small\[2J +1 /m);
});

test('a backup is a whole database for its owner alone, and overwrites nothing', async (t) => {
  const { cwd } = await recorded(t, rowsOf(Date.now()));
  assert.equal((await runLfo(t, ['db', 'backup', 'copy.db'], { cwd })).code, 0);
  const file = join(cwd, 'copy.db');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const copy = new DatabaseSync(file, { readOnly: true });
  t.after(() => copy.close());
  assert.equal(copy.prepare('select count(*) as count from requests').get()?.['count'], 4);
  assert.equal(copy.prepare('pragma integrity_check').get()?.['integrity_check'], 'ok');
  mkdirSync(join(cwd, 'data', 'fleet'), { recursive: true, mode: 0o700 });
  writeFileSync(join(cwd, 'data', 'fleet', 'router.key'), 'a key', { mode: 0o600 });
  assert.equal((await runLfo(t, ['db', 'backup', 'with-key.db'], { cwd })).code, 0);
  const key = join(cwd, 'with-key.db.router.key');
  assert.deepEqual([readFileSync(key, 'utf8'), statSync(key).mode & 0o777], ['a key', 0o600]);
  const again = await runLfo(t, ['db', 'backup', 'copy.db'], { cwd });
  assert.equal(again.code, 1);
  assert.match(again.stderr, /exists already/);
});

test('vacuum gives room back while the database is open elsewhere, and migrate names the schema', async (t) => {
  const { cwd, store } = await recorded(
    t,
    Array.from({ length: 5_000 }, (_, index) => sampleRow(`id-${index}`)),
  );
  await store.db.deleteFrom('requests').execute();
  const file = join(cwd, 'data', 'lfo.db');
  assert.equal((await runLfo(t, ['db', 'vacuum'], { cwd })).code, 0);
  await store.close();
  assert.ok(statSync(file).size < 1_000_000);
  assert.match((await runLfo(t, ['db', 'migrate'], { cwd })).stdout, /up to date \(\d{3}-/);
});

test('without records the commands say so, make no file, and fail; wrong words are wrong usage', async (t) => {
  const cwd = workingFolder(t);
  const { code, stderr } = await runLfo(t, ['stats'], { cwd });
  assert.equal(code, 1);
  assert.match(stderr, /Nothing is recorded yet/);
  assert.equal(existsSync(join(cwd, 'data', 'lfo.db')), false);
  assert.equal((await runLfo(t, ['requests', '--since', 'yesterday'], { cwd })).code, 2);
  assert.equal((await runLfo(t, ['requests', '--route', 'moon'], { cwd })).code, 2);
  for (const words of [['stats'], ['requests'], ['db'], ['db', 'backup']]) {
    assert.match((await runLfo(t, [...words, '--help'], { cwd })).stdout, /Examples?:\n {2}\S/);
  }
});

test('the same commands read PostgreSQL where DATABASE_URL names it', { skip: withoutPostgres }, async (t) => {
  const server = await startPostgres();
  t.after(() => server.stop());
  const url = await server.database();
  const store = new PostgresStore(url);
  await store.append('requests', rowsOf(Date.now()));
  await store.close();
  const options = { cwd: workingFolder(t), env: { DATABASE_URL: url } };
  assert.equal(JSON.parse((await runLfo(t, ['stats', '--json'], options)).stdout).requests, 3);
  assert.equal((await runLfo(t, ['requests', '--json'], options)).stdout.split('\n').length, 5);
  assert.equal((await runLfo(t, ['db', 'vacuum'], options)).code, 0);
  const backup = await runLfo(t, ['db', 'backup', 'x.db'], options);
  assert.equal(backup.code, 1);
  assert.match(backup.stderr, /pg_dump/);
});

test('what an operator can cause is told in one sentence, without a stack', async (t) => {
  const { cwd } = await recorded(t, rowsOf(Date.now()));
  writeFileSync(join(cwd, 'file'), '');
  for (const [args, env, sentence] of [
    [
      ['db', 'backup', join(cwd, 'nowhere', 'copy.db')],
      {},
      /^\S+copy\.db cannot be written \(ENOENT\): name a file in a folder/,
    ],
    [
      ['keys', 'create', '--name', 'x'],
      { LFO_DATA_DIR: join(cwd, 'file', 'data') },
      /^The data folder \S+ cannot be made \(ENOTDIR\): name one that you may write to/,
    ],
    [
      ['keys', 'list'],
      { DATABASE_URL: 'postgresql://lfo@127.0.0.1:1/lfo' },
      /^The database cannot be used \(ECONNREFUSED\)/,
    ],
    [['stats'], { DATABASE_URL: 'postgresql://lfo@127.0.0.1:1/lfo' }, /ECONNREFUSED/],
    [['requests'], { DATABASE_URL: 'postgresql://lfo@127.0.0.1:1/lfo' }, /ECONNREFUSED/],
  ] as const) {
    const { code, stdout, stderr } = await runLfo(t, args, { cwd, env });
    assert.deepEqual([code, stdout, stderr.trimEnd().split('\n').length], [1, '', 1], stderr);
    assert.match(stderr.trimEnd(), sentence);
  }
});

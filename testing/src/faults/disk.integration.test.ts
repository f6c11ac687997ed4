import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, copyFileSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { assertWithin } from '../figure.ts';
import { workingFolder } from '../lfo-process.ts';
import { at } from '../sse.ts';
import { faultTest } from './fault-test.ts';
import { counted, type KeyedProcess, keysOf, serveKeyed, until } from './keyed-process.ts';

/** A router whose disk can be made to fail while it serves. */
interface FailingDisk {
  readonly router: KeyedProcess;
  readonly fail: () => void;
  readonly mend: () => void;
}

/** Whether a command exists and may do what is asked; anything else is the reason to skip. */
function problem(reason: string, command: string, ...args: readonly string[]): string | undefined {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return undefined;
  } catch {
    return reason;
  }
}

const mountSmall = 'mount -t tmpfs -o size=16m,mode=0700 lfo "$0" && exec "$@"';
const withoutMounts = problem(
  'mount namespaces are not permitted here, or the program unshare is missing',
  'unshare',
  '-Urm',
  'sh',
  '-c',
  mountSmall,
  '/mnt',
  'true',
);
const withoutLimits = problem('the program prlimit is missing', 'prlimit', '--version');
const withoutCompiler = problem('needs a C compiler', 'cc', '--version');

/** The data folder is a file system of 16 MB that only the router's process has; this one reaches it through proc(5). */
async function smallDisk(t: TestContext): Promise<FailingDisk> {
  const cwd = workingFolder(t);
  const folder = join(cwd, 'data');
  mkdirSync(folder);
  const router = await serveKeyed(t, {
    cwd,
    under: ['unshare', '-Urm', 'sh', '-c', mountSmall, folder],
    env: { NODE_COMPILE_CACHE: join(cwd, 'cache') },
    besideIt: (pid) => ['nsenter', '-t', String(pid), '-U', '-m', '--preserve-credentials', `--wd=${cwd}`],
  });
  const filler = `/proc/${router.lfo.child.pid}/root${folder}/filler`;
  return { router, fail: () => fillUp(filler), mend: () => rmSync(filler) };
}

/** Writes until the file system takes not one byte more. */
function fillUp(file: string): void {
  const descriptor = openSync(file, 'a');
  for (let bytes = 1 << 20; bytes >= 1; bytes >>= 1) {
    try {
      for (;;) writeSync(descriptor, Buffer.alloc(bytes));
    } catch {
      // Full for so many bytes; fewer may fit.
    }
  }
  closeSync(descriptor);
}

/** From some moment on no file of the process may grow: the database's writes fail half-way. */
async function growthLimit(t: TestContext): Promise<FailingDisk> {
  const cwd = workingFolder(t);
  const router = await serveKeyed(t, { cwd, env: { NODE_COMPILE_CACHE: join(cwd, 'cache') } });
  const limit = (bytes: string): void =>
    void execFileSync('prlimit', ['--pid', String(router.lfo.child.pid), `--fsize=${bytes}:`]);
  return { router, fail: () => limit('8192'), mend: () => limit('unlimited') };
}

/** Every read and write of the database's files ends in EIO, as on a dying disk. */
async function deadDisk(t: TestContext): Promise<FailingDisk> {
  const cwd = workingFolder(t);
  const [source, library, flag] = [join(cwd, 'disk.c'), join(cwd, 'disk.so'), join(cwd, 'dead')];
  copyFileSync(fileURLToPath(new URL('failing-disk.c', import.meta.url)), source);
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, source, '-ldl']);
  const router = await serveKeyed(t, { cwd, env: { LD_PRELOAD: library, LFO_TEST_EIO: flag } });
  const fail = (): void => writeFileSync(flag, '');
  return { router, fail, mend: () => rmSync(flag) };
}

const unknownKey = `lfo_${'c'.repeat(12)}_${'0123456789'.repeat(4)}`;

/** Who comes in, whatever the database does: nobody but the known keys. */
async function assertClosed({ chat }: KeyedProcess, known: string, revoked: string): Promise<void> {
  const statuses = await Promise.all(
    [undefined, unknownKey, revoked, known].map(async (key) => (await chat(key)).status),
  );
  assert.deepEqual(statuses, [401, 401, 401, 200]);
}

/** What one key or nobody gets, as long as the database fails and afterwards. */
async function survives(t: TestContext, disk: FailingDisk): Promise<void> {
  const { router } = disk;
  const { admin, key } = await keysOf(router);
  const last = await router.run('keys', 'create', '--name', 'last');
  const revoked = await router.run('keys', 'create', '--name', 'old');
  await router.run('keys', 'revoke', 'old');
  await until('the revocation is known', async () => (await router.chat(revoked)).status === 401);
  const value = (name: string): Promise<number> => counted(router, admin, name);
  await until('rows are stored', async () => (await value('written_total')) > 0);

  disk.fail();
  await until('the database refuses rows', async () => {
    assert.equal((await router.chat(key)).status, 200);
    assert.ok(await router.streams(key));
    return (await value('degraded')) === 1;
  });
  assert.deepEqual((await router.request('GET', '/health')).json, { status: 'ok' });
  const status = await router.request('GET', '/dashboard/api/fleet', admin);
  assert.equal(at(status.json, 'records', 'degraded'), true);
  await assertClosed(router, key, revoked);
  await lose(router, key, async () => (await value('dropped_total')) >= 100);
  assert.ok((await value('pending')) <= 10_000);
  await assertClosed(router, key, revoked);
  assert.equal(router.log().match(/The database refuses rows/g)?.length, 1, 'told once');

  disk.mend();
  await until('rows flow again', async () => (await value('degraded')) === 0 && (await value('pending')) === 0);
  assert.match(router.log(), /The database takes rows again/);
  const [written, dropped] = [await value('written_total'), await value('dropped_total')];
  await router.run('db', 'backup', 'copy.db');
  const database = new DatabaseSync(join(router.cwd, 'copy.db'));
  try {
    assert.equal(database.prepare('pragma integrity_check').get()?.['integrity_check'], 'ok');
    assert.equal(
      database.prepare('select count(*) as count from requests where turned_away = 0').get()?.['count'],
      written,
    );
    assert.equal(database.prepare('select sum(requests) as count from record_gaps').get()?.['count'], dropped);
  } finally {
    database.close();
  }
  assert.match(await router.run('stats'), new RegExp(`${dropped.toLocaleString('en-US')} rows were lost between`));
  await router.run('keys', 'revoke', 'app');
  const deadMs = await until('the key is dead', async () => (await router.chat(key)).status === 401);
  assertWithin(t, 'key dead', deadMs, 1_000);

  disk.fail();
  await until('it fails again', async () => {
    assert.equal((await router.chat(last)).status, 200);
    return (await value('degraded')) === 1;
  });
  router.lfo.child.kill('SIGTERM');
  const { code } = await router.lfo.finished;
  assert.equal(code, 0);
  assert.match(router.log(), /The database did not take the last rows; they are lost/);
}

/** More answers than rows may wait: what is turned away may be counted without a row. */
async function lose(router: KeyedProcess, key: string, isEnough: () => Promise<boolean>): Promise<void> {
  while (!(await isEnough())) {
    const asked = Array.from({ length: 64 }, async () => {
      for (let request = 0; request < 20; request++) {
        assert.equal((await router.chat(key)).status, 200);
      }
    });
    await Promise.all(asked);
  }
}

const shown = 'chats answered, strangers kept out, rows lost counted and told, the rest stored when it is over';

for (const [name, skip, open] of [
  ['a full disk', withoutMounts, smallDisk],
  ['a file that may not grow', withoutLimits, growthLimit],
  ['a disk that answers EIO', withoutCompiler, deadDisk],
] as const) {
  const bound = 'every chat; the router process; back within 45 s';
  faultTest({ row: 44, what: `${name}: ${shown}`, bound, skip, timeoutMs: 120_000 }, async (t) =>
    survives(t, await open(t)),
  );
}

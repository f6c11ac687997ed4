import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

const program = '/usr/sbin/pgbouncer';

/** Why there is no PgBouncer to test with, or `false`: for the `skip` option of a test. */
export const withoutPgBouncer: string | false = existsSync(program)
  ? false
  : 'needs a PgBouncer: apt-get install pgbouncer';

/** A PgBouncer in transaction mode before this database's server, with few connections; answers the address by way of it. */
export async function startPgBouncer(t: TestContext, databaseUrl: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-bouncer-'));
  const url = new URL(databaseUrl);
  const host = url.searchParams.get('host') ?? '';
  const users = join(folder, 'users');
  const file = join(folder, 'pgbouncer.ini');
  writeFileSync(users, '"lfo" ""\n');
  writeFileSync(
    file,
    `[databases]
* = host=${host} port=5432
[pgbouncer]
unix_socket_dir = ${folder}
listen_port = 6432
auth_type = trust
auth_file = ${users}
pool_mode = transaction
default_pool_size = 5
`,
  );
  const account = unprivileged();
  if (account !== undefined) for (const path of [folder, users, file]) chownSync(path, account.uid, account.gid);
  const server: ChildProcess = spawn(program, [file], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], ...account });
  const ready = Promise.withResolvers<void>();
  let said = '';
  server.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-10_000);
    if (said.includes('process up')) ready.resolve();
  });
  server.once('exit', () => ready.reject(new Error(`PgBouncer ended before it was ready: ${said}`)));
  t.after(async () => {
    if (server.exitCode === null && server.signalCode === null && server.kill('SIGKILL')) await once(server, 'exit');
    rmSync(folder, { recursive: true, force: true });
  });
  await ready.promise;
  url.port = '6432';
  url.searchParams.set('host', folder);
  return url.href;
}

/** It refuses to run as root. */
function unprivileged(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const [, uid, gid] = /^postgres:[^:]*:(\d+):(\d+)/m.exec(readFileSync('/etc/passwd', 'utf8')) ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}

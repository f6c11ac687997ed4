import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before } from 'node:test';
import { Client } from 'pg';
import { childrenOf } from './process-group.ts';

/** A PostgreSQL server of its own, in a temporary folder, behind a Unix socket. */
export interface PostgresServer {
  /** Folder of the socket `.s.PGSQL.5432`. */
  readonly socketFolder: string;
  /** Creates an empty database and says its address. */
  database(): Promise<string>;
  /** Ends it as a crash would: connections break, nothing is tidied up. */
  crash(): Promise<void>;
  /** It and all its processes stand still, as those of a hanging disk do: what is asked is never answered. */
  freeze(): void;
  thaw(): void;
  /** What it has written into its log as an error since it started. */
  errors(): readonly string[];
  /** Starts it again on the same data. */
  restart(): Promise<void>;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

/** Why there is no PostgreSQL server to test with, or `false`: for the `skip` option of a test. */
export const withoutPostgres: string | false =
  binaries() === undefined ? 'needs a PostgreSQL server: apt-get install postgresql' : false;

/** Starts one; takes a second or two. */
export async function startPostgres(): Promise<PostgresServer> {
  const bin = binaries();
  if (bin === undefined) throw new Error('There is no PostgreSQL server on this machine.');
  const account = unprivileged();
  const folder = mkdtempSync(join(tmpdir(), 'lfo-pg-'));
  if (account !== undefined) chownSync(folder, account.uid, account.gid);
  const data = join(folder, 'data');
  const setUp = ['-D', data, '-U', 'lfo', '--auth=trust', '--no-sync', '--encoding=UTF8', '--locale=C'];
  const [code] = await once(spawn(join(bin, 'initdb'), setUp, { cwd: folder, stdio: 'ignore', ...account }), 'exit');
  if (code !== 0) throw new Error(`initdb ended with ${code}`);

  const settings = ['listen_addresses=', `unix_socket_directories=${folder}`, 'fsync=off', 'max_connections=50'];
  const errors: string[] = [];
  const start = (): Promise<ChildProcess> =>
    started(
      spawn(join(bin, 'postgres'), ['-D', data, ...settings.flatMap((setting) => ['-c', setting])], {
        cwd: folder,
        stdio: ['ignore', 'ignore', 'pipe'],
        ...account,
      }),
      errors,
    );
  let server = await start();
  const end = async (signal: 'SIGQUIT' | 'SIGINT'): Promise<void> => {
    if (server.exitCode === null && server.signalCode === null && server.kill(signal)) await once(server, 'exit');
  };
  const signal = (name: 'SIGSTOP' | 'SIGCONT'): void => {
    for (const pid of [server.pid, ...childrenOf(server.pid)]) if (pid !== undefined) sent(pid, name);
  };
  const address = (name: string): string => `postgresql://lfo@localhost/${name}?host=${encodeURIComponent(folder)}`;
  return {
    socketFolder: folder,
    async database() {
      const name = `t${randomUUID().replaceAll('-', '')}`;
      const client = new Client(address('postgres'));
      await client.connect();
      await client.query(`create database ${name}`);
      await client.end();
      return address(name);
    },
    crash: () => end('SIGQUIT'),
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    errors: () => errors,
    async restart() {
      server = await start();
    },
    async stop() {
      signal('SIGCONT');
      await end('SIGINT');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** One server for all tests of a file, where there can be one; call it within tests that are skipped without. */
export function postgresOfFile(): () => PostgresServer {
  let server: PostgresServer | undefined;
  before(async () => {
    if (withoutPostgres === false) server = await startPostgres();
  });
  after(() => server?.stop());
  return () => {
    if (server === undefined) throw new Error('There is no PostgreSQL server for this test.');
    return server;
  };
}

/** Transactions in the database of a connection so far, its own included. */
export async function transactionsOf(client: Client): Promise<number> {
  await client.query('select pg_stat_clear_snapshot()');
  const { rows } = await client.query<{ count: string }>(
    'select xact_commit + xact_rollback as count from pg_stat_database where datname = current_database()',
  );
  return Number(rows[0]?.count);
}

/** A process of a connection may end between being listed and being reached: that is no error. */
function sent(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Debian keeps each version in a folder of its own; the newest is taken. */
function binaries(): string | undefined {
  const [newest] = globSync('/usr/lib/postgresql/*/bin/postgres').toSorted().toReversed();
  return newest === undefined ? undefined : dirname(newest);
}

/** PostgreSQL refuses to run as root: its own account is used then. */
function unprivileged(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const [, uid, gid] = /^postgres:[^:]*:(\d+):(\d+)/m.exec(readFileSync('/etc/passwd', 'utf8')) ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}

/** Reads its log to the end: a server whose log nobody takes stands still. */
async function started(server: ChildProcess, errors: string[]): Promise<ChildProcess> {
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  let said = '';
  server.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-10_000);
    errors.push(...text.split('\n').filter((line) => / (ERROR|FATAL|PANIC):/.test(line)));
    if (said.includes('ready to accept connections')) resolve();
  });
  server.once('exit', () => reject(new Error(`PostgreSQL ended before it was ready: ${said}`)));
  await ready;
  return server;
}

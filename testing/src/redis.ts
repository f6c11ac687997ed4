import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { freePort } from './free-port.ts';

/** A Redis server of its own on loopback, without a file. */
export interface RedisServer {
  readonly url: string;
  /** Forgets everything. */
  empty(): Promise<void>;
  /** Ends it at once. */
  crash(): Promise<void>;
  /** It answers nothing any more, and its connections stay open. */
  freeze(): void;
  thaw(): void;
  /** Starts it again on the same port, empty. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const programs = ['/usr/bin/redis-server', '/usr/bin/valkey-server'];
const program = programs.find((file) => existsSync(file));

/** Why there is no Redis to test with, or `false`: for the `skip` option of a test. */
export const withoutRedis: string | false =
  program === undefined ? 'needs a Redis or Valkey server: apt-get install redis-server' : false;

export async function startRedis(): Promise<RedisServer> {
  if (program === undefined) throw new Error('There is no Redis server on this machine.');
  const folder = mkdtempSync(join(tmpdir(), 'lfo-redis-'));
  const port = await freePort();
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder];
  const start = (): Promise<ChildProcess> => started(spawn(program, settings, { stdio: ['ignore', 'pipe', 'ignore'] }));
  let server = await start();
  const end = async (): Promise<void> => {
    if (server.exitCode === null && server.signalCode === null && server.kill('SIGKILL')) await once(server, 'exit');
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    async empty() {
      const { Redis } = await import('ioredis');
      const client = new Redis(port, '127.0.0.1');
      await client.flushall();
      client.disconnect();
    },
    crash: end,
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
    async restart() {
      server = await start();
    },
    async stop() {
      await end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** One server for all tests of a file, where there can be one; call it within tests that are skipped without. */
export function redisOfFile(): () => RedisServer {
  let server: RedisServer | undefined;
  before(async () => {
    if (withoutRedis === false) server = await startRedis();
  });
  after(() => server?.stop());
  return () => {
    if (server === undefined) throw new Error('There is no Redis server for this test.');
    return server;
  };
}

async function started(server: ChildProcess): Promise<ChildProcess> {
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  let said = '';
  server.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-10_000);
    if (said.includes('Ready to accept connections')) resolve();
  });
  server.once('exit', () => reject(new Error(`Redis ended before it was ready: ${said}`)));
  await ready;
  return server;
}

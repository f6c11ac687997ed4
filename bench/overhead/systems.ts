import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '@lfo/testing/free-port.ts';
import { type Cell, chunksAStream } from './cells.ts';
import { pin, wholeCpuMsOf } from './process-tree.ts';

/** What stands between the client and the upstream. */
export interface System {
  readonly name: string;
  readonly origin: string;
  readonly pid: number;
  /** What it calls the model of a cell; absent: it cannot be asked for that. */
  readonly models: Readonly<Partial<Record<Cell['model'], string>>>;
  readonly headers?: Readonly<Partial<Record<Cell['model'], Readonly<Record<string, string>>>>>;
  /** Its streams cannot be measured. */
  readonly isUnaryOnly?: true;
}

/** The same for each: a yardstick passes on whatever it is asked for. */
export const anyModel: System['models'] = { local: 'bench', gemini: 'bench', auto: 'bench' };

const here = fileURLToPath(new URL('.', import.meta.url));
const launcher = join(here, '../../packages/router/bin/lfo.js');

/** What `npm start` tells Node. */
const flags =
  /exec node (.*?)packages/
    .exec(readFileSync(join(here, '../../package.json'), 'utf8'))?.[1]
    ?.split(' ')
    .filter(Boolean) ?? [];

/** Client and upstream share one core, the system under test has the other. */
const clientCore = 0;
const systemCore = 1;

/** Starts what the bench needs, and ends it all. */
export class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), 'lfo-bench-'));
  readonly #started: ChildProcess[] = [];

  constructor() {
    pin(process.pid, clientCore);
  }

  /** Streams of so many chunks, live ones so many milliseconds apart. */
  async upstream(chunks = chunksAStream, paceMs = 10): Promise<string> {
    const args = [join(here, 'upstream.ts'), String(chunks), String(paceMs)];
    const { origin } = await this.run(process.execPath, args, asOrigin, {}, clientCore);
    return origin;
  }

  /** `node:http` and undici's `dispatch`. */
  async dispatch(upstream: string): Promise<System> {
    return { ...(await this.#node('dispatch-proxy.ts', upstream)), name: 'dispatch', models: anyModel };
  }

  /** Fastify and undici's `request`, the body parsed and written again. */
  async bare(upstream: string): Promise<System> {
    return { ...(await this.#node('bare-proxy.ts', upstream)), name: 'fastify', models: anyModel };
  }

  /** `undefined` where it is not installed. */
  async nginx(upstream: string): Promise<System | undefined> {
    if (spawnSync('nginx', ['-v']).error !== undefined) return undefined;
    const port = await freePort();
    const folder = join(this.folder, 'nginx');
    mkdirSync(folder);
    const file = join(folder, 'nginx.conf');
    writeFileSync(file, nginxConfig(folder, upstream, port));
    const child = this.#spawn('nginx', ['-p', folder, '-c', file], {}, systemCore);
    const origin = `http://127.0.0.1:${port}`;
    await listening(origin);
    return { name: 'nginx', origin, pid: pidOf(child), models: anyModel };
  }

  /** As a user starts it, by its launcher, without npm; with other flags for V8 where some are to be compared. */
  async lfo(
    upstream: string,
    script = launcher,
    nodeFlags: readonly string[] = flags,
  ): Promise<System & { readonly startCpuMs: number }> {
    const folder = mkdtempSync(join(this.folder, 'lfo-'));
    writeFileSync(join(folder, 'lfo.yaml'), lfoConfig(upstream));
    const env = {
      PORT: '0',
      LFO_LOCAL_MODEL: 'none',
      LFO_DATA_DIR: join(folder, 'data'),
      LFO_CONFIG: join(folder, 'lfo.yaml'),
    };
    const { origin, pid } = await this.run(
      process.execPath,
      [...nodeFlags, script, 'serve'],
      (line) => /"url":"(http:[^"]+)"/.exec(line)?.[1],
      env,
      systemCore,
      folder,
    );
    await listening(origin);
    const startCpuMs = wholeCpuMsOf(pid);
    return {
      name: 'lfo',
      origin,
      pid,
      startCpuMs,
      models: { local: 'lfo-local', gemini: 'gemini-bench', auto: 'lfo-auto' },
    };
  }

  /** Starts a command and resolves once a line of its output says where it listens. */
  async run(
    command: string,
    args: readonly string[],
    originIn: (line: string) => string | undefined,
    env: Readonly<Record<string, string>> = {},
    core = systemCore,
    cwd = this.folder,
  ): Promise<{ readonly origin: string; readonly pid: number }> {
    const child = this.#spawn(command, args, env, core, cwd);
    if (child.stdout === null) throw new Error('no output');
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      const origin = originIn(line);
      if (origin === undefined) continue;
      lines.close();
      child.stdout.resume();
      return { origin, pid: pidOf(child) };
    }
    throw new Error(`${command} ${args.join(' ')} ended before it listened`);
  }

  /** Starts a command that listens on a known port. */
  async runOn(
    origin: string,
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    const child = this.#spawn(command, args, env, systemCore);
    child.stdout?.resume();
    await listening(origin);
    return pidOf(child);
  }

  async end(): Promise<void> {
    for (const child of this.#started.toReversed()) {
      if (child.exitCode === null && child.signalCode === null && child.kill('SIGTERM')) await once(child, 'exit');
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #node(script: string, upstream: string): Promise<{ readonly origin: string; readonly pid: number }> {
    return await this.run(process.execPath, [join(here, script), upstream], asOrigin);
  }

  #spawn(
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    core: number,
    cwd = this.folder,
  ): ChildProcess {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], cwd, env: { ...process.env, ...env } });
    child.on('error', () => undefined);
    this.#started.push(child);
    pin(pidOf(child), core);
    return child;
  }
}

/** Waits until something answers, whatever it says. */
export async function listening(origin: string, timeoutMs = 60_000): Promise<void> {
  const untilMs = performance.now() + timeoutMs;
  while (true) {
    try {
      await (await fetch(`${origin}/health`)).text();
      return;
    } catch (error) {
      if (performance.now() > untilMs) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function asOrigin(line: string): string | undefined {
  return line.startsWith('http') ? line.trim() : undefined;
}

function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error(`${child.spawnfile} cannot be started`);
  return child.pid;
}

/** One process, so that ending it ends it all. */
function nginxConfig(folder: string, upstream: string, port: number): string {
  return `daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  client_body_buffer_size 256k; client_max_body_size 16m; keepalive_requests 1000000000;
  upstream bench { server ${new URL(upstream).host}; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://bench; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}
`;
}

/** A local server and a cloud, so that \`auto\` is gated. Log, records and metrics stay on, as they ship. */
function lfoConfig(upstream: string): string {
  return `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${upstream}/v1", models: [bench], concurrency: 1000 }
  - { name: far, kind: gemini, tier: cloud, base_url: "${upstream}", api_key: bench-key, models: [gemini-bench], concurrency: 1000 }
`;
}

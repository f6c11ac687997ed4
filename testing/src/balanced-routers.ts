import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { freePorts } from './free-port.ts';
import { type Finished, type LfoProcess, startLfo } from './lfo-process.ts';

const nginx = '/usr/sbin/nginx';

/** Why there is no balancer to test with, or `false`: for the `skip` option of a test. */
export const withoutNginx: string | false = existsSync(nginx) ? false : 'needs nginx: apt-get install nginx-light';

export interface BalancedOptions {
  readonly routers: number;
  readonly yaml: string;
  /** Of every router. */
  readonly env: Readonly<Record<string, string>>;
}

/** Routers as processes, and an nginx before them that knows nothing of them but their addresses. */
export interface BalancedRouters {
  /** Of the balancer. */
  readonly url: string;
  /** Of each router. */
  readonly urls: readonly string[];
  /** What the balancer says went wrong. */
  balancerErrors(): string;
  /** Ends one as a deployment does; resolves with what it left once it has ended. */
  stop(index: number): Promise<Finished>;
  /** Ends one as a crash does. */
  kill(index: number): Promise<void>;
  /** Starts one that has ended; resolves when it is ready. */
  start(index: number): Promise<void>;
  /** Everything one has logged, since it was started last. */
  readonly processes: readonly LfoProcess[];
}

/** Starts them all; they end with the test. */
export async function startBalanced(t: TestContext, options: BalancedOptions): Promise<BalancedRouters> {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-balanced-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const ports = await freePorts(options.routers + 1);
  const balancer = ports.pop() ?? 0;
  const processes: LfoProcess[] = [];
  const start = async (index: number): Promise<void> => {
    const cwd = join(folder, `r${index}`);
    mkdirSync(cwd, { recursive: true });
    writeFileSync(join(cwd, 'lfo.yaml'), options.yaml);
    const env = { ...options.env, PORT: String(ports[index]), LFO_ROUTER_NAME: `r${index}` };
    const lfo = startLfo(t, ['serve'], { cwd, env });
    processes[index] = lfo;
    await lfo.output(/is ready/);
  };
  await Promise.all(ports.map((_port, index) => start(index)));
  await startNginx(t, folder, balancer, ports);
  const ended = (index: number): Promise<Finished> =>
    processes[index]?.finished ?? Promise.reject(new Error(`There is no router ${index}.`));
  return {
    url: `http://127.0.0.1:${balancer}`,
    urls: ports.map((port) => `http://127.0.0.1:${port}`),
    processes,
    balancerErrors: () => readFileSync(join(folder, 'error.log'), 'utf8'),
    start,
    stop(index) {
      processes[index]?.child.kill('SIGTERM');
      return ended(index);
    },
    async kill(index) {
      processes[index]?.child.kill('SIGKILL');
      await ended(index);
    },
  };
}

async function startNginx(t: TestContext, folder: string, port: number, routers: readonly number[]): Promise<void> {
  const servers = routers.map((router) => `server 127.0.0.1:${router} max_fails=1 fail_timeout=1s;`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  );
  const file = join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; user root; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log off; ${temporary.join(' ')}
  upstream lfo { ${servers.join(' ')} keepalive 32; keepalive_timeout 1s; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://lfo;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_buffering off;
      proxy_read_timeout 60s;
      proxy_next_upstream error timeout;
    }
  }
}
`,
  );
  const server = spawn(nginx, ['-p', folder, '-c', file], { stdio: 'ignore' });
  t.after(async () => {
    if (server.exitCode === null && server.kill('SIGTERM')) await once(server, 'exit');
  });
  const url = `http://127.0.0.1:${port}/health`;
  for (let look = 0; look < 200; look++) {
    const isUp = await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('nginx did not start.');
}

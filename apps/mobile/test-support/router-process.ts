import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(__dirname, '..', '..', '..');
const launcher = join(root, 'packages', 'router', 'bin', 'lfo.js');
/** The Node that the router needs, where the repository has been installed. */
const bundledNode = join(root, 'node_modules', 'node', 'bin', 'node');
const node = existsSync(bundledNode) ? bundledNode : process.execPath;

/** An answer, with the body that its reader expects of it where it is JSON. */
export interface Answer<Body> {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly json: Body;
  readonly text: string;
}

export interface ChatBody {
  readonly choices: readonly [
    {
      readonly message: {
        readonly content: string | null;
        readonly tool_calls: readonly [{ readonly function: { readonly name: string } }];
      };
      readonly finish_reason: string;
    },
  ];
  readonly lfo_metadata: { readonly device: { readonly name: string } };
  /** In place of all of that. */
  readonly error: { readonly message: string };
}

export interface PairingBody {
  readonly id: string;
  readonly uri: string;
  readonly code: string;
  readonly state: string;
}

export interface DeviceBody {
  readonly id: string;
  readonly name: string;
  readonly fingerprint: string;
  readonly state: string;
  readonly code: string | null;
}

/** A real router, as its own process: `lfo serve` without a local model, on loopback. */
export class RouterProcess {
  readonly #folder = mkdtempSync(join(tmpdir(), 'lfo-phone-'));
  #child: ChildProcess | undefined;
  #output = '';
  port = 0;
  fleetPort = 0;

  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    this.port ||= await freePort();
    this.fleetPort ||= await freePort();
    const child = spawn(node, [launcher, 'serve'], {
      cwd: this.#folder,
      env: {
        NODE_ENV: 'production',
        PATH: process.env['PATH'],
        HOME: this.#folder,
        LFO_DATA_DIR: join(this.#folder, 'data'),
        LFO_LOCAL_MODEL: 'none',
        LFO_FLEET_LISTEN: `127.0.0.1:${this.fleetPort}`,
        PORT: String(this.port),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#output = '';
    const take = (chunk: Buffer): void => void (this.#output += chunk.toString());
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    await until(
      async () => (await this.get('/health').catch(() => undefined))?.status === 200,
      () => `a router: ${this.#output}`,
    );
  }

  /** Everything it has printed. */
  get output(): string {
    return this.#output;
  }

  /** `SIGKILL` leaves no time for a word. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  async remove(): Promise<void> {
    await this.stop('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get<Body>(path: string): Promise<Answer<Body>> {
    return this.send('GET', path);
  }

  send<Body>(method: string, path: string, body?: unknown): Promise<Answer<Body>> {
    return new Promise((resolve, reject) => {
      const sent = httpRequest(
        {
          host: '127.0.0.1',
          port: this.port,
          method,
          path,
          headers: body === undefined ? {} : { 'content-type': 'application/json' },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => (text += chunk));
          response.on('error', reject);
          response.on('end', () => {
            const isJson = String(response.headers['content-type']).startsWith('application/json');
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text,
              json: isJson ? JSON.parse(text) : undefined,
            });
          });
        },
      );
      sent.on('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  chat(content: string, more: Readonly<Record<string, unknown>> = {}): Promise<Answer<ChatBody>> {
    return this.send('POST', '/v1/chat/completions', {
      model: 'lfo-local',
      messages: [{ role: 'user', content }],
      ...more,
    });
  }

  /** A streamed answer; `abort` leaves as a client would. */
  stream(
    content: string,
    more: Readonly<Record<string, unknown>> = {},
  ): { readonly text: () => string; readonly ended: Promise<string>; abort(): void } {
    let raw = '';
    const sent = httpRequest({
      host: '127.0.0.1',
      port: this.port,
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { 'content-type': 'application/json' },
    });
    const ended = new Promise<string>((resolve) => {
      sent.on('response', (response) => {
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (raw += chunk));
        response.on('close', () => resolve(raw));
      });
      sent.on('error', () => resolve(raw));
    });
    sent.end(JSON.stringify({ model: 'lfo-local', stream: true, messages: [{ role: 'user', content }], ...more }));
    return { text: () => spoken(raw), ended, abort: () => void sent.destroy() };
  }

  /** A pairing's link and typed code. */
  async invite(): Promise<{ readonly uri: string; readonly code: string }> {
    return (await this.send<PairingBody>('POST', '/admin/devices/pairings', {})).json;
  }

  async devices(): Promise<readonly DeviceBody[]> {
    return (await this.get<{ readonly devices: readonly DeviceBody[] }>('/admin/devices')).json.devices;
  }

  /** Waits until its one device is so. */
  async device(state: string): Promise<DeviceBody> {
    let found: DeviceBody | undefined;
    const what = (): string => `a device that is ${state}: ${JSON.stringify(found)}`;
    await until(async () => {
      [found] = await this.devices();
      return found?.state === state;
    }, what);
    if (found === undefined) throw new Error(`There was no ${what()}`);
    return found;
  }
}

/** The text of an event stream's deltas. */
export function spoken(raw: string): string {
  return raw
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice(6)).choices?.[0]?.delta?.content ?? '')
    .join('');
}

/** Waits for what must come to be soon, on a busy machine too. */
export async function until(isSo: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  const deadline = performance.now() + 40_000;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`There was no ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

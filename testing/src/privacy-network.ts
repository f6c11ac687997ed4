import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Pool } from 'undici';
import * as z from 'zod';

import { compileCache } from './lfo-process.ts';
import { listenTo } from './listen-to.ts';
import type { Mutation } from './mutate.ts';
import { CanaryNetwork, canaryAddress, routerLanAddress, silentLanAddress } from './network-namespace.ts';
import { childrenOf } from './process-group.ts';
import { tinyGguf } from './tiny-gguf.ts';

/** What a test sends: `raw` as it is, or `body` as JSON. */
export interface Asked {
  readonly path?: string;
  readonly method?: 'GET' | 'POST';
  readonly body?: unknown;
  readonly raw?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The client leaves after so long. */
  readonly leaveAfterMs?: number;
}

/** A real `lfo serve` whose only way out leads to the canary, with local and cloud backends configured. */
export interface PrivacyNetwork {
  readonly network: CanaryNetwork;
  /** Status of the answer and its text; status 0 where there was none. */
  readonly ask: (asked: Asked) => Promise<{ readonly status: number; readonly text: string }>;
  /** Kills the process of the embedded model. */
  readonly killModel: () => void;
  readonly signal: (name: NodeJS.Signals) => void;
  /** Pairs a device host, a process of another machine of the local network, and starts it; resolves when it serves. */
  readonly startDevice: (name: string) => Promise<PrivacyDevice>;
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
  readonly output: () => string;
}

/** A device of that network: its name there, and its process. */
export interface PrivacyDevice {
  readonly name: string;
  readonly signal: (name: NodeJS.Signals) => void;
}

const port = 8080;
const main = fileURLToPath(new URL('../../packages/router/src/main.ts', import.meta.url));
const scene = fileURLToPath(new URL('privacy-scene.ts', import.meta.url));
const mutate = fileURLToPath(new URL('mutate.ts', import.meta.url));

/** Starts everything; with mutations, the router without what they take away. */
export async function startPrivacyNetwork(
  t: TestContext,
  mutations: readonly Mutation[] = [],
): Promise<PrivacyNetwork> {
  const network = await CanaryNetwork.open(t);
  const folder = mkdtempSync(join(tmpdir(), 'lfo-privacy-'));
  const socketPath = join(folder, 'router.sock');
  const startAt = (
    [program, ...rest]: readonly [string, ...string[]],
    env: Readonly<Record<string, string>>,
    isGroup = false,
  ) => {
    const child = spawn(program, rest, {
      cwd: folder,
      env: { PATH: process.env['PATH'], HOME: folder, ...compileCache(), ...env },
      detached: isGroup,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return { child, heard: listenTo(child) };
  };
  const start = (env: Readonly<Record<string, string>>, ...args: readonly string[]) =>
    startAt(network.inside(process.execPath, ...args), env);
  const devices: ChildProcess[] = [];

  const { child: server, heard: served } = start({}, scene, socketPath, String(port));
  const [origin] = await served.until(/http:\S+(?=\s)/);
  writeFileSync(join(folder, 'lfo.yaml'), configuration(origin));
  writeFileSync(join(folder, 'broken.gguf'), tinyGguf());

  const env = {
    GEMINI_API_KEY: 'a-key-that-goes-nowhere',
    LFO_LOCAL_MODEL: join(folder, 'broken.gguf'),
    LFO_DATA_DIR: join(folder, 'data'),
    LFO_OFFLINE: '1',
    LFO_TEST_MUTATIONS: JSON.stringify(mutations),
  };
  const { child: router, heard } = start(env, ...(mutations.length === 0 ? [] : ['--import', mutate]), main, 'serve');
  const ended = new Promise<number | null>((resolve) => router.on('exit', resolve));
  const pool = new Pool('http://localhost', { connect: { socketPath }, connections: 64 });
  t.after(async () => {
    await pool.destroy();
    for (const { pid } of devices) if (isAlive(pid)) process.kill(-(pid ?? 0), 'SIGKILL');
    for (const child of [router, server]) child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  await heard.until(/LFO is ready/);

  return {
    network,
    ended,
    output: heard.text,
    signal: (name) => void router.kill(name),
    async startDevice(name) {
      const pairing = await pool.request({ path: '/admin/devices/pairings', method: 'POST' });
      const { uri } = z.object({ uri: z.string() }).parse(await pairing.body.json());
      const args = [main, 'device', '--engine', 'scripted', '--model', 'tiny', '--tokens-per-second', '400', '--json'];
      const to = ['--pair', uri, '--router', `${routerLanAddress}:4870`, '--name', name];
      const { child, heard: said } = startAt(
        network.onLan(process.execPath, ...args, ...to),
        {
          LFO_DATA_DIR: join(folder, name),
          LFO_LOCAL_MODEL: 'none',
        },
        true,
      );
      devices.push(child);
      await said.until(/"event":"connected"/);
      return { name, signal: (signal) => void process.kill(-(child.pid ?? 0), signal) };
    },
    killModel() {
      for (const pid of childrenOf(router.pid)) process.kill(pid, 'SIGKILL');
    },
    async ask({ path = '/v1/chat/completions', method = 'POST', body, raw, headers = {}, leaveAfterMs }) {
      const signal = leaveAfterMs === undefined ? undefined : AbortSignal.timeout(leaveAfterMs);
      const sent = method === 'GET' ? null : (raw ?? JSON.stringify(body));
      try {
        const response = await pool.request({
          path,
          method,
          headers: { 'content-type': 'application/json', ...headers },
          body: sent,
          ...(signal !== undefined && { signal }),
        });
        return { status: response.statusCode, text: await response.body.text() };
      } catch {
        return { status: 0, text: '' };
      }
    },
  };
}

/** Asks all of it at once; the packets that this has sent out, once no more come. */
export async function packetsOf({ ask, network }: PrivacyNetwork, asked: readonly Asked[]): Promise<number> {
  const before = network.packets();
  await Promise.all(asked.map(ask));
  return (await network.quiet(300)) - before;
}

/** Whether a process of the group is left: the command of a device has one of its own. */
function isAlive(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(-pid, 0);
  } catch {
    return false;
  }
}

/** Short budgets, so that a silent backend costs little time; breakers and budgets that never close the way out. */
function configuration(origin: string): string {
  const local = (name: string, url: string) =>
    `  - { name: ${name}, kind: openai-compatible, tier: local, base_url: "${url}/v1", models: [${name}-model], embedding_models: [${name}-embed], context_tokens: 4096 }\n`;
  return `server: { port: ${port} }
limits: { answer_tokens: 500, answer_bytes: 200000 }
retry: { budget_ratio: 1, base_delay_ms: 1, max_delay_ms: 2 }
breaker: { failures: 10000 }
budgets:
  local: { connect_ms: 300, first_token_ms: 700, idle_ms: 500, total_ms: 4000 }
  cloud: { connect_ms: 100, first_token_ms: 1000, idle_ms: 1000, total_ms: 4000 }
backends:
${local('near', origin)}${local('closed', 'http://127.0.0.1:1')}${local('silent', `http://${silentLanAddress}:9`)}${local('named', 'http://models.example:9')}${local('foreign', `http://${canaryAddress}:80`)}  - { name: far, kind: openai-compatible, tier: cloud, base_url: "http://${canaryAddress}:80/v1", models: [far-model], embedding_models: [far-embed], api_key: another-key-for-nobody }
`;
}

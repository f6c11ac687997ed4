import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Pool } from 'undici';
import { listenTo } from './listen-to.ts';
import { compileCache } from './lfo-process.ts';
import { lies } from './lying-edge.ts';
import { CanaryNetwork, canaryAddress, siteAddress } from './network-namespace.ts';

const port = 8080;
const liarPort = 8081;
const edgeKey = 'the-key-that-the-centre-has-of-its-site';
const main = fileURLToPath(new URL('../../packages/router/src/main.ts', import.meta.url));
const scene = fileURLToPath(new URL('privacy-scene.ts', import.meta.url));
const liar = fileURLToPath(new URL('lying-edge-scene.ts', import.meta.url));

/** A centre and a site, each an `lfo serve` in a network of its own whose only way out leads to the canary. */
export interface SiteNetwork {
  readonly network: CanaryNetwork;
  /** Asks the centre; status 0 where there was no answer. */
  readonly ask: (body: unknown) => Promise<{ readonly status: number; readonly text: string; readonly egress: string }>;
  readonly signalSite: (name: NodeJS.Signals) => void;
}

/** Starts both, and at the site one that lies, by as many backends as there are lies. */
export async function startSiteNetwork(t: TestContext): Promise<SiteNetwork> {
  const network = await CanaryNetwork.open(t, { withSite: true });
  const folder = mkdtempSync(join(tmpdir(), 'lfo-site-'));
  const children: ChildProcess[] = [];
  const ended: Promise<unknown>[] = [];
  const start = (
    [program, ...args]: readonly [string, ...string[]],
    cwd: string,
    env: Readonly<Record<string, string>> = {},
  ) => {
    mkdirSync(cwd, { recursive: true });
    const child = spawn(program, args, {
      cwd,
      env: {
        PATH: process.env['PATH'],
        HOME: cwd,
        ...compileCache(),
        LFO_DATA_DIR: join(cwd, 'data'),
        LFO_LOCAL_MODEL: 'none',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    ended.push(once(child, 'exit'));
    const { until } = listenTo(child);
    return { child, said: (pattern: RegExp) => until(pattern, 60_000) };
  };
  t.after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(ended);
    rmSync(folder, { recursive: true, force: true });
  });

  const site = join(folder, 'site');
  const centre = join(folder, 'centre');
  const sockets = [join(folder, 'site.sock'), join(folder, 'centre.sock')] as const;
  const insideSite = network.insideSite.bind(network);
  const engine = start(insideSite(process.execPath, scene, sockets[0], String(port)), site);
  const [origin] = await engine.said(/http:\S+(?=\s)/);
  writeFileSync(join(site, 'lfo.yaml'), siteYaml(origin));
  const edge = start(insideSite(process.execPath, main, 'serve'), site, { LFO_AUTH_TOKEN: edgeKey });
  const lying = start(insideSite(process.execPath, liar, siteAddress, String(liarPort)), site);
  await Promise.all([edge.said(/LFO is ready/), lying.said(/ready/)]);
  return { network, ask: await startCentre(), signalSite: (name) => void edge.child.kill(name) };

  async function startCentre(): Promise<SiteNetwork['ask']> {
    const inside = network.inside.bind(network);
    const own = start(inside(process.execPath, scene, sockets[1], String(port)), centre);
    await own.said(/http:\S+(?=\s)/);
    writeFileSync(join(centre, 'lfo.yaml'), centreYaml());
    await start(inside(process.execPath, main, 'serve'), centre).said(/LFO is ready/);
    const pool = new Pool('http://localhost', { connect: { socketPath: sockets[1] }, connections: 64 });
    t.after(() => pool.destroy());
    return async (body) => {
      try {
        const response = await pool.request({
          path: '/v1/chat/completions',
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        });
        const egress = String(response.headers['x-lfo-egress']);
        return { status: response.statusCode, text: await response.body.text(), egress };
      } catch {
        return { status: 0, text: '', egress: '' };
      }
    };
  }
}

const budgets = (firstTokenMs: number): string => `limits: { answer_tokens: 500, answer_bytes: 200000 }
retry: { budget_ratio: 1, base_delay_ms: 1, max_delay_ms: 2 }
breaker: { failures: 10000 }
budgets:
  local: { connect_ms: 300, first_token_ms: ${firstTokenMs}, idle_ms: ${firstTokenMs}, total_ms: 4000 }
  cloud: { connect_ms: 100, first_token_ms: 1000, idle_ms: 1000, total_ms: 4000 }
`;

const cloud = `  - { name: far, kind: openai-compatible, tier: cloud, base_url: "http://${canaryAddress}:80/v1", models: [far-model], api_key: nobodys }\n`;

/** A cloud of its own, which mode \`local\` must not reach. */
function siteYaml(origin: string): string {
  return `server: { host: ${siteAddress}, port: ${port}, allowed_hosts: ["${siteAddress}"] }
${budgets(500)}backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${origin}/v1", models: [near-model], context_tokens: 4096 }
${cloud}`;
}

function centreYaml(): string {
  const liars = lies.map(
    (lie) =>
      `  - { name: ${lie}, kind: lfo, tier: local, base_url: "http://${siteAddress}:${liarPort}", models: [${lie}] }\n`,
  );
  return `server: { port: ${port} }
${budgets(900)}backends:
  - { name: site, kind: lfo, tier: local, base_url: "http://${siteAddress}:${port}", api_key: ${edgeKey}, models: [lfo-local] }
${liars.join('')}${cloud}`;
}

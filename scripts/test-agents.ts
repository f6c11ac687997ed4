/**
 * Runs unmodified agents, headless, against a real router: each gets a plain answer and really runs a tool, on each of
 * the three aliases. Writes what was seen into `docs/clients.md`. Agents are installed into a folder of their own.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AgentUpstream, marker, startAgentUpstream } from '../testing/src/agents/agent-upstream.ts';

interface Agent {
  readonly name: string;
  readonly package: string;
  readonly version: string;
  readonly wire: string;
  /** Files under the agent's home. */
  files(base: string, model: string): Readonly<Record<string, string>>;
  env(base: string, model: string): Readonly<Record<string, string>>;
  command(prompt: string, model: string): readonly string[];
}

const agents: readonly Agent[] = [
  {
    name: 'Claude Code',
    package: '@anthropic-ai/claude-code',
    version: '2.1.197',
    wire: 'Messages',
    files: () => ({}),
    env: (base, model) => ({
      ANTHROPIC_BASE_URL: base,
      ANTHROPIC_AUTH_TOKEN: 'none',
      ANTHROPIC_MODEL: model,
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    }),
    command: (prompt) => ['claude', '-p', prompt, '--allowedTools', 'Bash'],
  },
  {
    name: 'Codex',
    package: '@openai/codex',
    version: '0.171.0',
    wire: 'Responses',
    files: (base, model) => ({
      '.codex/config.toml': `model = "${model}"\nmodel_provider = "lfo"\n[model_providers.lfo]\nname = "LFO"\nbase_url = "${base}/v1"\nwire_api = "responses"\n`,
    }),
    env: () => ({}),
    command: (prompt) => ['codex', 'exec', '--skip-git-repo-check', '--sandbox', 'danger-full-access', prompt],
  },
  {
    name: 'Gemini CLI',
    package: '@google/gemini-cli',
    version: '0.61.0',
    wire: 'Gemini',
    files: () => ({
      '.gemini/settings.json':
        '{"security":{"auth":{"selectedType":"gemini-api-key"}},"privacy":{"usageStatisticsEnabled":false}}',
    }),
    env: (base) => ({ GOOGLE_GEMINI_BASE_URL: base, GEMINI_API_KEY: 'none' }),
    command: (prompt, model) => ['gemini', '--skip-trust', '-m', model, '-y', '-p', prompt],
  },
];

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = process.env['LFO_AGENTS_DIR'] ?? join(tmpdir(), 'lfo-agents');
const longestMs = 120_000;
const said = 'LFO answered this.';

install();
const work = mkdtempSync(join(tmpdir(), 'lfo-agents-work-'));
const local = await startAgentUpstream('small');
const cloud = await startAgentUpstream('large');
const router = await startRouter();
const results: { readonly agent: Agent; readonly model: string; readonly problem: string | undefined }[] = [];
try {
  for (const agent of agents) {
    for (const model of ['lfo-local', 'lfo-cloud', 'lfo-auto']) {
      const problem = await tryAgent(agent, model);
      results.push({ agent, model, problem });
      process.stdout.write(`${problem === undefined ? 'ok' : 'FAILED'} ${agent.name} ${agent.version} ${model}`);
      process.stdout.write(problem === undefined ? '\n' : `: ${problem}\n`);
    }
  }
} finally {
  router.stop();
  await Promise.all([local.close(), cloud.close()]);
  rmSync(work, { recursive: true, force: true });
}
writeTable();
const failed = results.filter(({ problem }) => problem !== undefined).length;
process.stdout.write(`${results.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

function install(): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  const wanted = agents.map((agent) => `${agent.package}@${agent.version}`);
  const { status } = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--save-exact', ...wanted], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) throw new Error('The agents could not be installed.');
}

/** A real router between both upstreams; the privacy of `lfo-local` is read off the second one. */
async function startRouter(): Promise<{ readonly base: string; stop(): void }> {
  const port = await freePort();
  const config = join(work, 'lfo.yaml');
  const backend = (name: string, tier: string, { origin }: AgentUpstream, model: string): string =>
    `  - { name: ${name}, kind: openai-compatible, tier: ${tier}, base_url: "${origin}/v1", models: [${model}], context_tokens: 200000, api_key: none }\n`;
  const backends = backend('near', 'local', local, 'small') + backend('far', 'cloud', cloud, 'large');
  writeFileSync(config, `backends:\n${backends}`, { mode: 0o600 });
  const child = spawn(process.execPath, [join(root, 'packages/router/bin/lfo.js'), 'serve'], {
    cwd: work,
    env: {
      PATH: process.env['PATH'],
      HOME: work,
      PORT: String(port),
      LFO_CONFIG: config,
      LFO_DATA_DIR: join(work, 'data'),
      LFO_LOCAL_MODEL: 'none',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => reject(new Error('The router did not start.')));
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes.toString();
      if (output.includes('LFO is ready')) resolve();
    });
  });
  return { base: `http://127.0.0.1:${port}`, stop: () => void child.kill('SIGTERM') };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** What went wrong, if anything did. */
async function tryAgent(agent: Agent, model: string): Promise<string | undefined> {
  const home = mkdtempSync(join(work, 'home-'));
  for (const [path, text] of Object.entries(agent.files(router.base, model))) {
    mkdirSync(join(home, path, '..'), { recursive: true });
    writeFileSync(join(home, path), text);
  }
  const before = { local: local.requests.length, cloud: cloud.requests.length };
  const [program = '', ...args] = agent.command('Use the shell to echo a marker, then say done.', model);
  const child = spawn(join(folder, 'node_modules/.bin', program), args, {
    cwd: home,
    env: { PATH: process.env['PATH'], HOME: home, TERM: 'dumb', ...agent.env(router.base, model) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes: Buffer) => {
      output += bytes.toString();
    });
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), longestMs);
  await once(child, 'exit');
  clearTimeout(timer);
  const asked = [...local.requests.slice(before.local), ...cloud.requests.slice(before.cloud)];
  if (!output.includes(said)) return `it did not say what the model said: ${output.slice(-300)}`;
  if (!asked.some(({ results: texts }) => texts.some((text) => text.includes(marker)))) return 'no tool was run';
  if (model === 'lfo-local' && cloud.requests.length > before.cloud) return 'a request of lfo-local reached the cloud';
  if (model === 'lfo-cloud' && local.requests.length > before.local) return 'a request of lfo-cloud stayed local';
  return undefined;
}

function writeTable(): void {
  const page = join(root, 'docs/clients.md');
  const text = readFileSync(page, 'utf8');
  const [begin, end] = ['<!-- agents: written by npm run test:agents -->\n', '<!-- end of the agents -->'];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from === -1 || to === -1) throw new Error('docs/clients.md has lost the marks around its table of agents.');
  const rows = agents.map(({ name, version, wire }) => {
    const cells = results
      .filter(({ agent }) => agent.name === name)
      .map(({ problem }) => (problem === undefined ? 'answer and tool' : 'fails'));
    return `| ${name} | ${version} | ${wire} | ${cells.join(' | ')} |`;
  });
  const day = new Date().toISOString().slice(0, 10);
  const table = `\nUnmodified, headless, against scripted models (${day}, \`npm run test:agents\`):\n\n| agent | version | wire | \`lfo-local\` | \`lfo-cloud\` | \`lfo-auto\` |\n| --- | --- | --- | --- | --- | --- |\n${rows.join('\n')}\n\n`;
  writeFileSync(page, text.slice(0, from + begin.length) + table + text.slice(to));
}

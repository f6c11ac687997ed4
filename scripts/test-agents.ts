/**
 * Runs unmodified agents, headless, against a real router, each as its snippet in `docs/clients.md` says: a plain answer and
 * a tool that really runs, on each of the three aliases. Writes what was seen into that page, and what the agents sent into
 * `testing/agent-recordings`, which CI replays. Agents are installed into a folder of their own.
 *
 * `npm run test:agents -- [--only codex] [--keep]`; `--keep` leaves the page and the recordings as they are.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type AgentUpstream, marker, startAgentUpstream } from '../testing/src/agents/agent-upstream.ts';
import { type TriedAgent, triedAgents } from '../testing/src/agents/agents.ts';
import { type Recording, startRecorder } from '../testing/src/agents/recording.ts';
import { runAgent } from '../testing/src/agents/run-agent.ts';
import { freePort } from '../testing/src/free-port.ts';
import { listenTo } from '../testing/src/listen-to.ts';

const { values: options } = parseArgs({
  options: { only: { type: 'string', default: '' }, keep: { type: 'boolean', default: false } },
});
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = process.env['LFO_AGENTS_DIR'] ?? join(tmpdir(), 'lfo-agents');
const page = join(root, 'docs/clients.md');
const recordings = join(root, 'testing/agent-recordings');
const longestMs = 150_000;
const said = 'LFO answered this.';
const models = ['lfo-local', 'lfo-cloud', 'lfo-auto'] as const;

const agents = triedAgents.filter(({ name }) => name.toLowerCase().includes(options.only.toLowerCase()));
install();
const work = mkdtempSync(join(tmpdir(), 'lfo-agents-work-'));
const local = await startAgentUpstream('small');
const cloud = await startAgentUpstream('large');
const router = await startRouter();
const recorder = await startRecorder(router.base);
const results: { readonly agent: TriedAgent; readonly model: string; readonly problem: string | undefined }[] = [];
try {
  for (const agent of agents) {
    for (const model of models) {
      const problem = await tryAgent(agent, model);
      results.push({ agent, model, problem });
      process.stdout.write(`${problem === undefined ? 'ok' : 'FAILED'} ${agent.name} ${agent.version} ${model}`);
      process.stdout.write(problem === undefined ? '\n' : `: ${problem}\n`);
    }
  }
} finally {
  router.stop();
  await Promise.all([local.close(), cloud.close(), recorder.close()]);
  rmSync(work, { recursive: true, force: true });
}
if (!options.keep && agents.length === triedAgents.length) writeTable();
const failed = results.filter(({ problem }) => problem !== undefined).length;
process.stdout.write(`${results.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

/** Each into a folder of its own, so that one that cannot be had keeps none of the others. */
function install(): void {
  for (const { package: name, version } of agents) {
    const own = folderOf(name);
    mkdirSync(own, { recursive: true });
    writeFileSync(join(own, 'package.json'), '{"private":true}');
    const { status } = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--save-exact', `${name}@${version}`], {
      cwd: own,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    if (status !== 0) process.stdout.write(`${name}@${version} could not be installed.\n`);
  }
}

function folderOf(name: string): string {
  return join(folder, name.replace(/[^a-z0-9-]/g, '_'));
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
  await listenTo(child).until(/LFO is ready/);
  return { base: `http://127.0.0.1:${port}`, stop: () => void child.kill('SIGTERM') };
}

/** What went wrong, if anything did. What it sent in `auto` is kept. */
async function tryAgent(agent: TriedAgent, model: string): Promise<string | undefined> {
  const before = { local: local.requests.length, cloud: cloud.requests.length };
  recorder.take();
  const output = await runAgent({
    agent,
    model,
    base: recorder.base,
    page: readFileSync(page, 'utf8'),
    bin: join(folderOf(agent.package), 'node_modules/.bin'),
    home: mkdtempSync(join(work, 'home-')),
    longestMs,
  });
  const requests = recorder.take();
  const asked = [...local.requests.slice(before.local), ...cloud.requests.slice(before.cloud)];
  if (!output.includes(said)) return `it did not say what the model said: ${output.slice(-400)}`;
  if (!asked.some(({ results: texts }) => texts.some((text) => text.includes(marker)))) return 'no tool was run';
  if (model === 'lfo-local' && cloud.requests.length > before.cloud) return 'a request of lfo-local reached the cloud';
  if (model === 'lfo-cloud' && local.requests.length > before.local) return 'a request of lfo-cloud stayed local';
  if (model === 'lfo-auto' && !options.keep) {
    const { name, version } = agent;
    const recording: Recording = { agent: name, version, requests };
    mkdirSync(recordings, { recursive: true });
    const file = `${name.toLowerCase().replaceAll(' ', '-')}.json`;
    writeFileSync(join(recordings, file), `${JSON.stringify(recording, null, 1)}\n`);
  }
  return undefined;
}

function writeTable(): void {
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
  const table = `\nUnmodified, headless, set up as below, against scripted models (${day}, \`npm run test:agents\`):\n\n| agent | version | wire | \`lfo-local\` | \`lfo-cloud\` | \`lfo-auto\` |\n| --- | --- | --- | --- | --- | --- |\n${rows.join('\n')}\n\n`;
  writeFileSync(page, text.slice(0, from + begin.length) + table + text.slice(to));
}

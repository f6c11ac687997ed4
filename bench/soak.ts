/**
 * Runs one router process under mixed work for a while: `node bench/soak.ts [--minutes 10]`. 64 connections ask for whole
 * answers and streams, leave in the middle, and meet faults. Prints a table; exits 1 when a limit is broken.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { parseJson } from '@lfo/router/src/core/json.ts';
import { percentile } from '@lfo/testing/faults/percentile.ts';
import {
  cloudServer,
  eventStream,
  fleetYaml,
  localServer,
  shortBudgets,
  type FaultSubject,
} from '@lfo/testing/faults/subject.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import type { Exchange } from '@lfo/testing/upstream/exchange.ts';
import { Agent, request } from 'undici';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } });
const runMs = Number(values.minutes) * 60_000;
const connections = 64;
const limits = { grownMb: 50, loopP99Ms: 50 };
const kinds = ['whole', 'stream', 'departure', 'refusing', 'cut', 'silent', 'nonsense'] as const;
type Kind = (typeof kinds)[number];

/** What the router's process says of itself, each second and at the end. */
interface Vitals {
  readonly heldMb: number;
  readonly timers: number;
  readonly loopP99Ms: number;
}

const counts = new Map<string, number>();
const wrong: string[] = [];
const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);

/** The fault and the words of the answer come with the prompt, so that each answer can be checked. */
function play(subject: FaultSubject) {
  return async (exchange: Exchange): Promise<void> => {
    if (exchange.request.method === 'GET') return exchange.json(200, { data: [] });
    const [, kind, word = ''] = /soak (\w+) (\w+)/.exec(exchange.request.text) ?? [];
    await exchange.pause(Math.random() * 30);
    if (kind === 'refusing') return exchange.json(503, { error: { message: 'no' } });
    if (kind === 'silent') return exchange.silence();
    if (at(exchange.request.json, 'stream') !== true) return exchange.json(200, subject.whole(`${word} `.repeat(10)));
    exchange.head(200, eventStream);
    if (kind === 'nonsense') return exchange.finish(`${subject.text(word)}data: {{{\n\n`);
    for (let part = 0; part < 10; part++) {
      await exchange.write(subject.text(`${word} `));
      if (kind === 'cut' && part === 5) return exchange.reset();
      await exchange.pause(kind === 'departure' ? 40 : Math.random() * 5);
    }
    exchange.finish(subject.end);
  };
}

async function ask(url: string, agent: Agent, kind: Kind): Promise<void> {
  const tier = Math.random() < 0.5 ? 'local' : 'cloud';
  const word = Math.random().toString(36).slice(2);
  const stream = kind === 'stream' || kind === 'cut' || (kind !== 'whole' && Math.random() < 0.5);
  const leaves = new AbortController();
  const leave = kind === 'departure' ? setTimeout(() => leaves.abort(), Math.random() * 150) : undefined;
  const headers = { 'content-type': 'application/json', ...(kind === 'silent' && { 'x-lfo-deadline-ms': '300' }) };
  const body = JSON.stringify({
    model: `lfo-${tier}`,
    stream,
    messages: [{ role: 'user', content: `soak ${kind} ${word}` }],
  });
  try {
    const response = await request(`${url}/v1/chat/completions`, {
      method: 'POST',
      dispatcher: agent,
      headers,
      body,
      signal: leaves.signal,
    });
    const text = await response.body.text();
    count(`${kind} ${response.statusCode}`);
    const fault = faultOf(kind, response.statusCode, stream, text, `${word} `.repeat(10));
    if (fault !== undefined) wrong.push(`${kind}, ${response.statusCode}: ${fault}: ${text.slice(0, 200)}`);
  } catch (error) {
    if (leaves.signal.aborted) count('departure left');
    else wrong.push(`${kind}: ${String(error)}`);
  } finally {
    clearTimeout(leave);
  }
}

/** What is wrong with an answer; a refusal is right where the backends had trouble, a wrong word never. */
function faultOf(kind: Kind, status: number, stream: boolean, text: string, words: string): string | undefined {
  if (status !== 200) {
    if (at(parseJson(text), 'error', 'code') === undefined) return 'no envelope';
    if ([429, 502, 503, 504].includes(status)) return undefined;
    return 'unexpected status';
  }
  if (!stream) return at(parseJson(text), 'choices', 0, 'message', 'content') === words ? undefined : 'other words';
  const said = [...text.matchAll(/"content":"([^"]*)"/g)].map(([, part]) => part).join('');
  const isDone = text.endsWith('data: [DONE]\n\n');
  if (isDone && (kind === 'cut' || kind === 'nonsense')) return 'a cut that looks like an end';
  if (isDone) return said === words ? undefined : 'other words';
  if (!words.startsWith(said)) return 'other words before the cut';
  return text.includes('data: {"error"') ? undefined : 'neither end nor error frame';
}

const folder = mkdtempSync(join(tmpdir(), 'lfo-soak-'));
const [local, cloud] = await Promise.all([
  ScriptedUpstream.start(play(localServer)),
  ScriptedUpstream.start(play(cloudServer)),
]);
const entries = [localServer.entry(local.origin), cloudServer.entry(cloud.origin)];
writeFileSync(
  join(folder, 'lfo.yaml'),
  fleetYaml(entries, `${shortBudgets}breaker: { failures: 50, open_ms: 200 }\nlog_level: warn`),
);
// The router as it is, with a thread's worth of self-observation loaded beside it.
writeFileSync(join(folder, 'vitals.mjs'), vitalsSource());
const router = spawn(
  process.execPath,
  [
    '--expose-gc',
    '--import',
    join(folder, 'vitals.mjs'),
    fileURLToPath(import.meta.resolve('@lfo/router/src/main.ts')),
    'serve',
  ],
  {
    cwd: folder,
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      LFO_DATA_DIR: join(folder, 'data'),
      LFO_LOCAL_MODEL: 'none',
      PORT: '0',
      LFO_LOG_LEVEL: 'info',
    },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  },
);
const url = await new Promise<string>((resolve) => {
  router.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const found = /http:\/\/[^"\s]+:\d+/.exec(text)?.[0];
    if (found !== undefined) resolve(found);
  });
});

async function vitals(): Promise<Vitals & { readonly descriptors: number }> {
  const said = await new Promise<unknown>((resolve) => {
    router.once('message', resolve);
    router.send('vitals');
  });
  const descriptors = readdirSync(`/proc/${router.pid}/fd`).length;
  return {
    heldMb: Number(at(said, 'heldMb')),
    timers: Number(at(said, 'timers')),
    loopP99Ms: Number(at(said, 'loopP99Ms')),
    descriptors,
  };
}

const agent = new Agent({ connections });
async function work(untilMs: number): Promise<void> {
  const client = async (): Promise<void> => {
    while (performance.now() < untilMs)
      await ask(url, agent, kinds[Math.floor(Math.random() ** 2 * kinds.length)] ?? 'whole');
  };
  await Promise.all(Array.from({ length: connections }, client));
}
const quiet = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

await work(performance.now() + Math.min(30_000, runMs / 4));
await quiet(2000);
const before = await vitals();
const startMs = performance.now();
const loopP99s: number[] = [];
const watching = setInterval(() => void vitals().then(({ loopP99Ms }) => loopP99s.push(loopP99Ms)), 10_000);
await work(startMs + runMs);
const tookS = (performance.now() - startMs) / 1000;
clearInterval(watching);
await quiet(2000);
const after = await vitals();

const answers = [...counts.values()].reduce((sum, n) => sum + n, 0);
const loopP99Ms = percentile(loopP99s.length > 0 ? loopP99s : [after.loopP99Ms], 0.5);
const rows: readonly (readonly [what: string, value: string, limit: string, isGood: boolean])[] = [
  ['requests', `${answers} in ${Math.round(tookS)} s`, '', answers > 0],
  ['wrong answers', String(wrong.length), '0', wrong.length === 0],
  [
    'memory held after warm-up, then at the end',
    `${before.heldMb.toFixed(1)} → ${after.heldMb.toFixed(1)} MB`,
    `< +${limits.grownMb} MB`,
    after.heldMb - before.heldMb < limits.grownMb,
  ],
  [
    'descriptors when idle',
    `${before.descriptors} → ${after.descriptors}`,
    '≤ +8',
    after.descriptors <= before.descriptors + 8,
  ],
  ['timers when idle', `${before.timers} → ${after.timers}`, '≤ +8', after.timers <= before.timers + 8],
  [
    'event-loop delay, p99 (median of 10 s windows)',
    `${loopP99Ms.toFixed(1)} ms`,
    `< ${limits.loopP99Ms} ms`,
    loopP99Ms < limits.loopP99Ms,
  ],
];
process.stdout.write(`| what | measured | limit | |\n|---|---|---|---|\n`);
for (const [what, value, limit, isGood] of rows)
  process.stdout.write(`| ${what} | ${value} | ${limit} | ${isGood ? 'pass' : '**fail**'} |\n`);
process.stdout.write(
  `\n${[...counts]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([what, n]) => `${what}: ${n}`)
    .join(', ')}\n`,
);
for (const line of wrong.slice(0, 10)) process.stderr.write(`${line}\n`);
process.exitCode = rows.every(([, , , isGood]) => isGood) ? 0 : 1;

await agent.destroy();
const gone = new Promise((resolve) => router.once('exit', resolve));
router.kill('SIGTERM');
await gone;
await Promise.all([local.close(), cloud.close()]);
rmSync(folder, { recursive: true, force: true });

/** Runs inside the router's process: answers each message with what it holds, its timers, and its delay since the last. */
function vitalsSource(): string {
  return `import { monitorEventLoopDelay } from 'node:perf_hooks';
const loop = monitorEventLoopDelay({ resolution: 10 });
loop.enable();
process.on('message', () => {
  const loopP99Ms = loop.percentile(99) / 1e6 - 10;
  loop.reset();
  global.gc();
  const { heapUsed, external } = process.memoryUsage();
  const timers = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  process.send({ heldMb: (heapUsed + external) / 1048576, timers, loopP99Ms });
});
process.channel.unref();
`;
}

/**
 * What the router costs: the same client against the upstream alone, through a bare Fastify and undici proxy of 20
 * lines, and through LFO, in turns within one run. `node bench/overhead/overhead.ts [--rounds 7] [--json]`
 *
 * Prints medians over the rounds and ratios within them. CPU is user and system time of the proxy's process alone.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '7' }, json: { type: 'boolean', default: false } },
});
const rounds = Number(options.rounds);
const chunksPerStream = 100;
const here = fileURLToPath(new URL('.', import.meta.url));

interface Target {
  readonly name: 'direct' | 'bare' | 'lfo';
  readonly origin: string;
  readonly pid: number;
}

interface Case {
  readonly name: string;
  readonly body: string;
  readonly stream: boolean;
}

interface Sample {
  readonly p50Ms: number;
  readonly perSecond: number;
  readonly cpuMsPer1000: number;
}

const started: ChildProcess[] = [];
const folder = mkdtempSync(join(tmpdir(), 'lfo-bench-'));

async function start(
  args: readonly string[],
  origin: (line: string) => string | undefined,
): Promise<{ origin: string; pid: number }> {
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: folder,
    env: { ...process.env, PORT: '0', LFO_LOCAL_MODEL: 'none', LFO_DATA_DIR: join(folder, 'data') },
  });
  started.push(child);
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    const found = origin(line);
    if (found !== undefined && child.pid !== undefined) {
      lines.close();
      child.stdout.resume();
      return { origin: found, pid: child.pid };
    }
  }
  throw new Error(`${args.join(' ')} ended before it listened`);
}

/** User and system time of a process in milliseconds (proc(5): clock ticks of 10 ms). */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

async function send(pool: Pool, body: string): Promise<void> {
  const answer = await pool.request({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { 'content-type': 'application/json' },
    body,
  });
  let bytes = 0;
  for await (const part of answer.body) bytes += Buffer.byteLength(part);
  if (answer.statusCode !== 200 || bytes < 100)
    throw new Error(`unexpected answer: ${answer.statusCode}, ${bytes} bytes`);
}

async function load(target: Target, one: Case, concurrency: number, requests: number): Promise<Sample> {
  const pool = new Pool(target.origin, { connections: concurrency, pipelining: 1 });
  await Promise.all(Array.from({ length: concurrency }, () => send(pool, one.body)));
  const times: number[] = [];
  let left = requests;
  const cpuBefore = cpuMs(target.pid);
  const began = performance.now();
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const from = performance.now();
      await send(pool, one.body);
      times.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  const took = performance.now() - began;
  const cpu = cpuMs(target.pid) - cpuBefore;
  await pool.close();
  return { p50Ms: median(times), perSecond: (requests / took) * 1000, cpuMsPer1000: (cpu / requests) * 1000 };
}

function bodyOf(bytes: number, stream: boolean): string {
  const messages = [];
  for (let left = bytes - 100; left > 0; left -= 1000) {
    messages.push({ role: messages.length % 2 === 0 ? 'user' : 'assistant', content: 'x'.repeat(Math.min(left, 960)) });
  }
  return JSON.stringify({ model: 'bench', messages, stream });
}

const cases: readonly Case[] = [
  { name: 'unary, 1 KB', body: bodyOf(1000, false), stream: false },
  { name: 'unary, 40 KB', body: bodyOf(40_000, false), stream: false },
  { name: `stream of ${chunksPerStream} chunks, 1 KB`, body: bodyOf(1000, true), stream: true },
  { name: `stream of ${chunksPerStream} chunks, 40 KB`, body: bodyOf(40_000, true), stream: true },
];

try {
  const upstream = await start([join(here, 'upstream.ts'), String(chunksPerStream)], (line) => line);
  const bare = await start([join(here, 'bare-proxy.ts'), upstream.origin], (line) => line);
  writeFileSync(
    join(folder, 'lfo.yaml'),
    `backends:\n  - { name: bench, kind: openai-compatible, tier: cloud, base_url: ${upstream.origin}/v1, models: [bench] }\n`,
  );
  const router = await start(
    [join(here, '../../packages/router/src/main.ts'), 'serve'],
    (line) => /"url":"(http:[^"]+)"/.exec(line)?.[1],
  );
  const targets: readonly Target[] = [
    { name: 'direct', ...upstream },
    { name: 'bare', ...bare },
    { name: 'lfo', ...router },
  ];
  const results = new Map<string, Sample[]>();
  const record = (key: string, sample: Sample): void => void results.set(key, [...(results.get(key) ?? []), sample]);
  for (const one of cases) for (const target of targets) await load(target, one, 16, one.stream ? 200 : 1500);
  for (let round = 0; round < rounds; round++) {
    for (const one of cases) {
      for (const target of round % 2 === 0 ? targets : targets.toReversed()) {
        record(`${one.name}|${target.name}|1`, await load(target, one, 1, one.stream ? 100 : 400));
        record(`${one.name}|${target.name}|64`, await load(target, one, 64, one.stream ? 400 : 2500));
      }
    }
  }
  report(results);
} finally {
  for (const child of started) {
    if (child.exitCode === null && child.kill('SIGTERM')) await once(child, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
}

function report(results: ReadonlyMap<string, readonly Sample[]>): void {
  const samples = (one: Case, name: Target['name'], concurrency: 1 | 64): readonly Sample[] =>
    results.get(`${one.name}|${name}|${concurrency}`) ?? [];
  const paired = (a: readonly Sample[], b: readonly Sample[], of: (a: Sample, b: Sample) => number): number =>
    median(
      a.flatMap((sample, index) => {
        const other = b[index];
        return other === undefined ? [] : [of(sample, other)];
      }),
    );
  const rows = cases.map((one) => {
    const [direct1, bare1, lfo1] = [samples(one, 'direct', 1), samples(one, 'bare', 1), samples(one, 'lfo', 1)];
    const [bare64, lfo64] = [samples(one, 'bare', 64), samples(one, 'lfo', 64)];
    const unit = one.stream ? chunksPerStream : 1;
    return {
      case: one.name,
      'added p50, bare (ms)': paired(bare1, direct1, (a, b) => a.p50Ms - b.p50Ms).toFixed(2),
      'added p50, lfo (ms)': paired(lfo1, direct1, (a, b) => a.p50Ms - b.p50Ms).toFixed(2),
      [`per second at 64, bare`]: Math.round(median(bare64.map((s) => s.perSecond)) * unit),
      [`per second at 64, lfo`]: Math.round(median(lfo64.map((s) => s.perSecond)) * unit),
      'CPU ms per 1,000, bare': Math.round(median(bare64.map((s) => s.cpuMsPer1000))),
      'CPU ms per 1,000, lfo': Math.round(median(lfo64.map((s) => s.cpuMsPer1000))),
      'CPU ratio': paired(lfo64, bare64, (a, b) => a.cpuMsPer1000 / b.cpuMsPer1000).toFixed(2),
    };
  });
  if (options.json) {
    console.log(JSON.stringify({ cpu: cpus()[0]?.model, cores: cpus().length, node: process.version, rounds, rows }));
    return;
  }
  const head = Object.keys(rows[0] ?? {});
  console.log(
    `${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}, ${rounds} rounds; rows of streams count chunks per second\n`,
  );
  console.log(`| ${head.join(' | ')} |\n|${head.map(() => '---').join('|')}|`);
  for (const row of rows) console.log(`| ${Object.values(row).join(' | ')} |`);
}

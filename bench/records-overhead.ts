/**
 * What recording costs: two routers in front of one upstream, one that records and one that does not, asked in turns
 * within one run. `node bench/records-overhead.ts [--rounds 20] [--seconds 10] [--json]`
 *
 * Prints the paired ratio of throughputs, the p99 latency that is added to one request at a time, and the rows a second SQLite takes
 * when a recorder is fed for `--seconds` as fast as its queue allows.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { systemClock } from '@lfo/router/src/core/clock.ts';
import { beginAttempt, beginTrace } from '@lfo/router/src/core/trace.ts';
import { Recorder } from '@lfo/router/src/records/recorder.ts';
import { SqliteStore } from '@lfo/router/src/records/store/sqlite-store.ts';
import { Pool } from 'undici';
import { median } from './figures.ts';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const requestsARound = 2_000;
const turnsARound = 300;
const here = fileURLToPath(new URL('.', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'lfo-bench-'));
const started: ChildProcess[] = [];
const body = JSON.stringify({ model: 'bench', messages: [{ role: 'user', content: 'x'.repeat(800) }] });

async function start(
  args: readonly string[],
  cwd: string,
  find: (line: string) => string | undefined,
): Promise<string> {
  mkdirSync(cwd, { recursive: true });
  const env = {
    ...process.env,
    PORT: '0',
    LFO_LOCAL_MODEL: 'none',
    LFO_LOG_LEVEL: 'info',
    LFO_DATA_DIR: join(cwd, 'data'),
  };
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], cwd, env });
  started.push(child);
  for await (const line of createInterface({ input: child.stdout })) {
    const origin = find(line);
    if (origin === undefined) continue;
    child.stdout.resume();
    return origin;
  }
  throw new Error(`${args.join(' ')} ended before it listened`);
}

function startRouter(name: string, upstream: string, isRecording: boolean): Promise<string> {
  const cwd = join(folder, name);
  mkdirSync(cwd);
  writeFileSync(
    join(cwd, 'lfo.yaml'),
    `records: { enabled: ${isRecording} }\nbackends:\n  - { name: bench, kind: openai-compatible, tier: cloud, base_url: ${upstream}/v1, models: [bench] }\n`,
  );
  return start(
    [join(here, '../packages/router/src/main.ts'), 'serve'],
    cwd,
    (line) => /"url":"(http:[^"]+)"/.exec(line)?.[1],
  );
}

async function send(pool: Pool): Promise<number> {
  const from = performance.now();
  const answer = await pool.request({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { 'content-type': 'application/json' },
    body,
  });
  await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`unexpected status ${answer.statusCode}`);
  return performance.now() - from;
}

/** Requests a second with 64 at once. */
async function throughput(origin: string): Promise<number> {
  const pool = new Pool(origin, { connections: 64, pipelining: 1 });
  let left = requestsARound;
  const from = performance.now();
  await Promise.all(
    Array.from({ length: 64 }, async () => {
      while (left-- > 0) await send(pool);
    }),
  );
  const perSecond = requestsARound / ((performance.now() - from) / 1000);
  await pool.close();
  // What is still to be written is not the next one's burden.
  await delay(200);
  return perSecond;
}

interface Times {
  readonly on: number[];
  readonly off: number[];
}

/** One request at a time, each router in turn, so that what else happens on the machine meets both alike. */
async function timeInTurns(on: string, off: string, times: Times): Promise<void> {
  const pools = { on: new Pool(on, { connections: 1 }), off: new Pool(off, { connections: 1 }) };
  for (let turn = 0; turn < turnsARound; turn += 1) {
    const order = turn % 2 === 0 ? (['on', 'off'] as const) : (['off', 'on'] as const);
    for (const which of order) times[which].push(await send(pools[which]));
  }
  await Promise.all([pools.on.close(), pools.off.close()]);
}

/** 90 % interval of what the p99 grew by, from resampled rounds. */
function interval({ on, off }: Times): readonly [number, number] {
  const differences = Array.from({ length: 400 }, () => {
    const chosen = Array.from({ length: rounds }, () => Math.floor(Math.random() * rounds));
    const pick = (values: readonly number[]) =>
      chosen.flatMap((round) => values.slice(round * turnsARound, (round + 1) * turnsARound));
    return p99(pick(on)) - p99(pick(off));
  }).toSorted((a, b) => a - b);
  return [differences[20] ?? Number.NaN, differences[379] ?? Number.NaN];
}

const p99 = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? Number.NaN;

/** As routing and judge record them. */
const sampleFeatures = {
  messages: 4,
  tools: 2,
  uses_tools: true,
  response_format: 'text',
  warm_tokens: 0,
  max_local_tokens: 1500,
  first_token_budget_ms: 10_000,
  predicted_first_token_ms: 180,
  local_ready: 1,
  cloud_ready: 1,
};
const sampleSignals = { judge: 'answer-judge', text_tokens: 16, text_nats: 2.5291, text_worst_nats: [1.3434, 0.7127] };

/** Rows a second that reach the file while the recorder is kept full, and how many bytes each takes there. */
async function sustained(seconds: number): Promise<{ rowsPerSecond: number; bytesPerRow: number; dropped: number }> {
  const file = join(folder, 'sustained.db');
  const store = new SqliteStore(file);
  const recorder = new Recorder(store, systemClock);
  const request = { id: '', model: 'bench', stream: true, hints: { mode: 'auto' } } as const;
  const from = performance.now();
  let number = 0;
  while (performance.now() - from < seconds * 1000) {
    while (recorder.status().pending < 5_000) {
      number += 1;
      const trace = beginTrace(
        { ...request, id: `id-${String(number).padStart(32, '0')}` },
        { startMs: 0, startedAtMs: Date.now() },
        0.7,
      );
      Object.assign(trace, {
        route: 'local',
        backend: 'embedded',
        reason: 'confident',
        reasons: ['confident', 'local_first'],
        endMs: number % 1_000,
        firstTokenMs: 5,
        finishReason: 'stop',
        features: sampleFeatures,
        usage: { promptTokens: 120, completionTokens: 40 },
      });
      Object.assign(beginAttempt(trace, 'local', 0.4), {
        backend: 'embedded',
        model: 'qwen2.5-coder-0.5b',
        leasedMs: 0.5,
        firstEventMs: 5,
        endMs: number % 1_000,
        outcome: 'answered',
        reason: 'confident',
        score: 0.91,
        heldMs: 40,
        heldTokens: 16,
        signals: sampleSignals,
      });
      recorder.record(trace, { status: 200 });
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await recorder.flush();
  const took = (performance.now() - from) / 1000;
  const { written, dropped } = recorder.status();
  await recorder.close();
  await store.close();
  return { rowsPerSecond: written / took, bytesPerRow: statSync(file).size / written, dropped };
}

try {
  const upstream = await start([join(here, 'overhead/upstream.ts'), '1'], folder, (line) => line);
  const on = await startRouter('on', upstream, true);
  const off = await startRouter('off', upstream, false);
  for (const origin of [on, off, on, off]) await throughput(origin);
  const ratios: number[] = [];
  const times: Times = { on: [], off: [] };
  for (let index = 0; index < rounds; index += 1) {
    const order = index % 2 === 0 ? [on, off] : [off, on];
    const perSecond = new Map<string, number>();
    for (const origin of order) perSecond.set(origin, await throughput(origin));
    ratios.push((perSecond.get(on) ?? Number.NaN) / (perSecond.get(off) ?? Number.NaN));
    await timeInTurns(on, off, times);
  }
  for (const child of started.splice(0)) if (child.kill('SIGTERM')) await once(child, 'exit');
  const result = {
    throughputRatio: median(ratios),
    addedP50Ms: median(times.on) - median(times.off),
    addedP99Ms: p99(times.on) - p99(times.off),
    addedP99IntervalMs: interval(times),
    ...(await sustained(Number(options.seconds))),
  };
  if (options.json)
    console.log(
      JSON.stringify({ cpu: cpus()[0]?.model, cores: cpus().length, node: process.version, rounds, ...result }),
    );
  else {
    console.log(`${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}, ${rounds} rounds`);
    console.log(`throughput, recording against not (median of pairs): ${result.throughputRatio.toFixed(3)}`);
    const [low, high] = result.addedP99IntervalMs;
    console.log(`added p50, one request at a time: ${result.addedP50Ms.toFixed(3)} ms`);
    console.log(
      `added p99: ${result.addedP99Ms.toFixed(2)} ms (90 % interval ${low.toFixed(2)} to ${high.toFixed(2)}) of ${p99(times.off).toFixed(2)} ms`,
    );
    console.log(
      `rows a second into SQLite, sustained: ${Math.round(result.rowsPerSecond)}; ${Math.round(result.bytesPerRow)} bytes each; ${result.dropped} dropped`,
    );
  }
} finally {
  for (const child of started) if (child.exitCode === null && child.kill('SIGTERM')) await once(child, 'exit');
  rmSync(folder, { recursive: true, force: true });
}

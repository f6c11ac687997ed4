import { appendFileSync, existsSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { setPriority } from 'node:os';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { labelTokens } from '@lfo/device-core/token-labels';
import { hashOf } from '@lfo/router/src/confidence/fitting/random.ts';
import { Wakes } from '@lfo/router/src/backends/wake.ts';
import { createLocalTier } from '@lfo/router/src/app/local-tier.ts';
import { withoutSecrets } from '@lfo/router/src/config/environment.ts';
import { loadConfig } from '@lfo/router/src/config/load.ts';
import type { Backend } from '@lfo/router/src/core/backend.ts';
import { systemClock } from '@lfo/router/src/core/clock.ts';
import type { FinishEvent, TokenScore } from '@lfo/router/src/core/events.ts';
import { createLogger } from '@lfo/router/src/telemetry/log.ts';
import { readCases, type EvalCase } from './cases.ts';
import { readTraces, recordedTokens } from './trace-file.ts';

// Records the answers of a local model to cases, one line each, in the format that `npm run eval` reads:
// `npm run record -- --cases DIR --out FILE [--minutes M] [--limit N]`. Asks through the device host, as the router does,
// with one thread at the lowest priority. What the file holds already is not asked again, and half a last line is cut off;
// cases come in an even order, so that any prefix is a sample.

const usage = 'Usage: npm run record -- --cases DIR --out FILE [--minutes M] [--limit N] [--threads T]';
const { values } = parseArgs({
  options: {
    cases: { type: 'string' },
    out: { type: 'string' },
    minutes: { type: 'string', default: '60' },
    limit: { type: 'string', default: '1000000' },
    threads: { type: 'string', default: '1' },
  },
});
const { cases: folder, out } = values;
if (folder === undefined || out === undefined) {
  console.error(usage);
  process.exit(2);
}
setPriority(19);
const cases = inEvenOrder([...readCases(pathToFileURL(`${folder}/`)).values()]);
const known = recordedIds(out);
const left = cases.filter(({ id }) => !known.has(id)).slice(0, Number(values.limit));
console.log(`${cases.length} cases, ${known.size} recorded, ${left.length} to ask.`);

const config = loadConfig({ env: process.env, cwd: process.cwd() });
const log = createLogger({ level: 'warn', clock: systemClock });
const embedded = { ...config.embedded, slots: 1, threads: Number(values.threads) };
const tier = createLocalTier(
  { ...config, backends: [], embedded },
  {
    clock: systemClock,
    log,
    execPath: process.execPath,
    wakes: new Wakes(systemClock),
    childEnv: withoutSecrets(process.env),
  },
);
const backend = tier.embedded;
if (backend === undefined) {
  console.error('There is no embedded model: LFO_LOCAL_MODEL is none.');
  process.exit(2);
}
await ready(backend);
const untilMs = systemClock.nowMs() + Number(values.minutes) * 60_000;
let done = 0;
for (const one of left) {
  if (systemClock.nowMs() > untilMs) break;
  appendFileSync(out, `${JSON.stringify(await record(backend, one))}\n`);
  done += 1;
  if (done % 10 === 0) console.log(`${known.size + done} recorded.`);
}
console.log(`${done} more recorded, ${known.size + done} in all.`);
await backend.close();

/** By a hash of the id, whatever the category. */
function inEvenOrder(all: readonly EvalCase[]): readonly EvalCase[] {
  return all.toSorted((a, b) => hashOf(`record ${a.id}`) - hashOf(`record ${b.id}`));
}

/** Ids on record; half a last line, of a run that was cut off, is taken away. */
function recordedIds(file: string): ReadonlySet<string> {
  if (!existsSync(file)) return new Set();
  const bytes = readFileSync(file);
  const end = bytes.lastIndexOf('\n') + 1;
  if (end < statSync(file).size) truncateSync(file, end);
  return new Set(readTraces(pathToFileURL(file)).map(({ id }) => id));
}

async function ready(engine: Backend): Promise<void> {
  for (;;) {
    const { state, detail } = engine.status();
    if (state === 'ready') return;
    if (state === 'down') throw new Error(detail ?? 'The model cannot be loaded.');
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function record(engine: Backend, { id, category, request }: EvalCase): Promise<object> {
  const [model = ''] = engine.models;
  const asked = { ...request, sampling: { ...request.sampling, temperature: 0, maxTokens: recordedTokens } };
  const scores: TokenScore[] = [];
  let firstMs: number | undefined;
  let finish: FinishEvent | undefined;
  const startMs = systemClock.nowMs();
  const call = {
    signal: new AbortController().signal,
    clock: systemClock,
    model,
    wantScores: true,
    alternatives: 8,
    warn() {},
    keepAlive() {},
  };
  for await (const batch of engine.infer(asked, call)) {
    for (const event of batch) {
      if (event.type === 'token-scores') {
        firstMs ??= systemClock.nowMs();
        scores.push(...event.scores);
      } else if (event.type === 'finish') finish = event;
    }
  }
  const endMs = systemClock.nowMs();
  const { engine: name, engineVersion, template } = engine.identify?.(model) ?? { model };
  const isEnd = (token: string): boolean => token.startsWith('<|im_end') || token.startsWith('<|endoftext');
  const pieces = scores.map(({ token }) => token);
  const labels = labelTokens(pieces, request.tools).map(({ label }) => label);
  return {
    id,
    cat: category,
    model,
    ...(name !== undefined && { engine: engineVersion === undefined ? name : `${name} ${engineVersion}` }),
    ...(template !== undefined && { template }),
    prompt_tokens: finish?.usage.promptTokens ?? 0,
    reused: finish?.usage.cachedTokens ?? 0,
    text: scores.flatMap(({ token }) => (isEnd(token) ? [] : [token])).join(''),
    pieces,
    lp: scores.map(({ logprob }) => Math.round(logprob * 1e4) / 1e4),
    first: scores[0]?.top?.slice(0, 8).map(({ token, logprob }) => [token, Math.round(logprob * 1e4) / 1e4]) ?? [],
    labels,
    finish: finish?.reason === 'length' ? 'length' : 'stop',
    prefill_ms: Math.round((firstMs ?? endMs) - startMs),
    decode_ms: Math.round(endMs - (firstMs ?? endMs)),
  };
}

/**
 * What judging costs: the shipped judge over the recorded answers, event by event, warm. `node bench/judging.ts
 * [--rounds 3]`; needs the reference data. Prints CPU a token, at the end of a call, and of a look at the request alone,
 * beside the aims of 20 µs, 1 ms, 200 µs, and the size of the calibration (400 kB).
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { shippedHeads } from '@lfo/router/src/app/estimator.ts';
import { expectedRight } from '@lfo/router/src/confidence/heads/expected-right.ts';
import { headsEstimator } from '@lfo/router/src/confidence/heads/heads-estimator.ts';
import { readCases } from '../eval/cases.ts';
import { findData } from '../eval/reference-data.ts';
import { eventsOf, readTraces } from '../eval/trace-file.ts';

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '3' } } });
const data = findData();
if (data === undefined) throw new Error('The reference data is not here; name its folder in LFO_REFERENCE_DATA.');
const heads = shippedHeads();
const judge = headsEstimator(heads);
const model = { model: 'qwen2.5-coder-0.5b' };
const cases = readCases(new URL('bfcl/', data));
const answers = readTraces(new URL('traces/bfcl-qwen2.5-coder-0.5b.jsonl.gz', data)).flatMap((trace) => {
  const request = cases.get(trace.id)?.request;
  return request === undefined ? [] : [{ request, events: eventsOf(trace, request.tools) }];
});

const perToken: number[] = [];
const callEnds: number[] = [];
const asked: number[] = [];
for (let round = 0; round <= Number(options.rounds); round += 1) {
  // The first round warms up.
  if (round === 1) for (const list of [perToken, callEnds, asked]) list.length = 0;
  for (const { request, events } of answers) {
    let from = performance.now();
    expectedRight(heads, request, model);
    asked.push(performance.now() - from);
    const session = judge.begin({ request, model, threshold: 0.7, delivery: 'stream' });
    let tokens = 0;
    let spent = 0;
    for (const event of events) {
      from = performance.now();
      session.observe(event);
      const took = performance.now() - from;
      if (event.type === 'tool-call-end' || event.type === 'finish') callEnds.push(took);
      else spent += took;
      if (event.type === 'token-scores') tokens += event.scores.length;
    }
    if (tokens > 0) perToken.push(spent / tokens);
  }
}

const kilobytes = readFileSync(
  new URL('../packages/router/src/confidence/calibration/qwen2.5-coder-0.5b.json', import.meta.url),
).length;
const at = (list: readonly number[], share: number): number =>
  list.toSorted((a, b) => a - b)[Math.floor(share * (list.length - 1))] ?? Number.NaN;
const row = (name: string, list: readonly number[], factor: number, unit: string, aim: number): string =>
  `${name.padEnd(28)}${[0.5, 0.95, 0.99].map((share) => (at(list, share) * factor).toFixed(1).padStart(9)).join('')} ${unit}   ${at(list, 0.5) * factor <= aim ? 'met' : 'MISSED'} (≤ ${aim})`;
const load = loadavg()[0] ?? 0;
process.stdout.write(
  `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, load ${load.toFixed(1)}; ${answers.length} answers\n`,
);
process.stdout.write(`${''.padEnd(28)}      p50      p95      p99\n`);
process.stdout.write(`${row('a token', perToken, 1000, 'µs', 20)}\n`);
process.stdout.write(`${row('the end of a call or answer', callEnds, 1000, 'µs', 1000)}\n`);
process.stdout.write(`${row('the request alone', asked, 1000, 'µs', 200)}\n`);
process.stdout.write(
  `calibration ${Math.round(kilobytes / 1000)} kB   ${kilobytes < 400_000 ? 'met' : 'MISSED'} (< 400)\n`,
);

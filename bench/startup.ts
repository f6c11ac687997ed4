/**
 * How long a start takes, weights fetched before: `npm start` to `/ready`, and on to the end of a first short answer.
 * `node bench/startup.ts [--runs 7] [--model qwen2.5-coder-0.5b]`
 *
 * Prints medians over the runs; the first one, which fills Node's cache of compiled code, apart.
 */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { npmStart } from '@lfo/testing/npm-start.ts';
import { median } from './figures.ts';

const { values: options } = parseArgs({
  options: { runs: { type: 'string', default: '7' }, model: { type: 'string', default: 'qwen2.5-coder-0.5b' } },
});

interface Sample {
  readonly readyMs: number;
  readonly answeredMs: number;
}

async function measure(): Promise<Sample> {
  const product = await npmStart({ LFO_LOCAL_MODEL: options.model });
  try {
    const askedAt = performance.now();
    const response = await fetch(`${product.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'What is 2+2?' }], metadata: { mode: 'local' } }),
    });
    await response.text();
    if (response.status !== 200) throw new Error(`the first request was answered ${response.status}`);
    const answeredMs = product.startedMs + performance.now() - askedAt;
    await product.stop();
    return { readyMs: product.startedMs, answeredMs };
  } finally {
    product.discard();
  }
}

function row(name: string, samples: readonly Sample[]): void {
  const ms = (key: keyof Sample): string => `${median(samples.map((sample) => sample[key])).toFixed(0)} ms`.padStart(9);
  process.stdout.write(`${name.padEnd(14)}${ms('readyMs')}${ms('answeredMs')}\n`);
}

const load = loadavg()[0] ?? 0;
process.stdout.write(
  `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, load ${load.toFixed(1)} before; ${options.model}\n`,
);
process.stdout.write(`${''.padEnd(14)}${'ready'.padStart(9)}${'answered'.padStart(9)}\n`);
row('first', [await measure()]);
const samples: Sample[] = [];
for (let run = 0; run < Number(options.runs); run += 1) {
  samples.push(await measure());
  row(`later ${run + 1}`, samples.slice(-1));
}
row('median', samples);
row('fastest', [samples.toSorted((a, b) => a.readyMs - b.readyMs)[0] ?? { readyMs: NaN, answeredMs: NaN }]);

import { createWriteStream, existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { readCases } from './cases.ts';
import { shippedEstimator } from '@lfo/router/src/app/estimator.ts';
import { gateTrace } from './evaluate.ts';
import { readTraces } from './trace-file.ts';

// The shipped gate, defaults and calibration over a file of traces, one line of JSON an answer:
// `npm run eval -- --traces FILE --cases DIR --out FILE`. Formats: docs/routing-quality.md.

const { values } = parseArgs({
  options: { traces: { type: 'string' }, cases: { type: 'string' }, out: { type: 'string' } },
});
if (values.traces === undefined || values.cases === undefined || values.out === undefined) {
  console.error('Usage: npm run eval -- --traces FILE --cases DIR --out FILE');
  process.exit(2);
}

for (const [option, path] of [
  ['--traces', values.traces],
  ['--cases', values.cases],
] as const) {
  if (existsSync(path)) continue;
  console.error(`${option}: there is no ${path}.`);
  process.exit(2);
}
const cases = readCases(pathToFileURL(`${values.cases}/`));
if (cases.size === 0) {
  console.error(`--cases: ${values.cases} holds neither BFCL_v*_*.json nor questions.jsonl with cases.`);
  process.exit(2);
}
const traces = readTraces(pathToFileURL(values.traces));
if (traces.length === 0) {
  console.error(`--traces: ${values.traces} holds no line with an id and a text.`);
  process.exit(2);
}
const estimator = shippedEstimator();
const out = createWriteStream(values.out);
let local = 0;
let judged = 0;
let unknown = 0;
for (const trace of traces) {
  const one = cases.get(trace.id);
  if (one === undefined) {
    unknown += 1;
    continue;
  }
  const result = gateTrace(trace, one.request, estimator);
  judged += 1;
  local += Number(result.route === 'local');
  out.write(`${JSON.stringify(result)}\n`);
}
out.end();
console.log(`${judged} answers judged, ${local} local; ${unknown} without a case left out.`);

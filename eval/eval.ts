import { createWriteStream } from 'node:fs';
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
if (values.traces === undefined || values.cases === undefined || values.out === undefined)
  throw new Error('Usage: npm run eval -- --traces FILE --cases DIR --out FILE');

const cases = readCases(pathToFileURL(`${values.cases}/`));
const estimator = shippedEstimator();
const out = createWriteStream(values.out);
let local = 0;
let judged = 0;
let unknown = 0;
for (const trace of readTraces(pathToFileURL(values.traces))) {
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

import { createWriteStream, existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { areRight } from './bfcl-judge.ts';
import { readCases, readTruths } from './cases.ts';
import { shippedEstimator } from '@lfo/router/src/app/estimator.ts';
import { gateTrace } from './evaluate.ts';
import { gradeTable, type GradedResult } from './report/grades.ts';
import { callsOf, eventsOf, readTraces } from './trace-file.ts';

// The shipped gate, defaults and calibration over a file of traces, one line of JSON an answer:
// `npm run eval -- --traces FILE --cases DIR --out FILE [--except FILE]`. Formats: docs/routing-quality.md. Where the folder
// of cases says which calls are right, as BFCL's does, it prints how well the scores tell them. `--except` leaves out the ids
// of another file of traces, such as the one that the calibration was fitted on.

const { values } = parseArgs({
  options: {
    traces: { type: 'string' },
    cases: { type: 'string' },
    out: { type: 'string' },
    except: { type: 'string' },
  },
});
if (values.traces === undefined || values.cases === undefined || values.out === undefined) {
  console.error('Usage: npm run eval -- --traces FILE --cases DIR --out FILE [--except FILE]');
  process.exit(2);
}

for (const [option, path] of [
  ['--traces', values.traces],
  ['--cases', values.cases],
  ['--except', values.except],
] as const) {
  if (path === undefined || existsSync(path)) continue;
  console.error(`${option}: there is no ${path}.`);
  process.exit(2);
}
const folder = pathToFileURL(`${values.cases}/`);
const cases = readCases(folder);
const truths = readTruths(folder);
const excepted = new Set(
  values.except === undefined ? [] : readTraces(pathToFileURL(values.except)).map(({ id }) => id),
);
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
const graded: GradedResult[] = [];
for (const trace of traces) {
  if (excepted.has(trace.id)) continue;
  const one = cases.get(trace.id);
  if (one === undefined) {
    unknown += 1;
    continue;
  }
  const result = gateTrace(trace, one.request, estimator);
  judged += 1;
  local += Number(result.route === 'local');
  out.write(`${JSON.stringify(result)}\n`);
  const { tools } = one.request;
  const truth = truths.get(trace.id);
  const isRight = areRight(callsOf(eventsOf(trace, tools, false)), truth, tools);
  graded.push({ result, isRight, expectedCalls: truth?.length ?? 0 });
}
out.end();
console.log(`${judged} answers judged, ${local} local; ${unknown} without a case left out.`);
if (truths.size > 0) console.log(`\n${gradeTable(graded)}`);

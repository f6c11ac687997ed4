/**
 * Runs the fault tests, one file at a time, and writes how each went into the table of `docs/reliability.md`. Fails when
 * one of them fails.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';

import { type FaultOutcome, faultTable } from '../testing/src/faults/fault-table.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = `${root}docs/reliability.md`;
const [begin, end] = ['<!-- table: written by npm run reliability -->\n', '<!-- end of the table -->'];

const outcomes: FaultOutcome[] = [];
const startMs = performance.now();
const files = globSync(`${root}testing/src/faults/*.integration.test.ts`).toSorted();
for await (const { type, data } of run({ files, concurrency: 1, timeout: 180_000 })) {
  if (type === 'test:fail') {
    outcomes.push({ title: data.name, result: 'fail' });
    process.stdout.write(`FAILED ${data.name}\n${String(data.details.error.cause ?? data.details.error)}\n`);
    process.exitCode = 1;
  } else if (type === 'test:pass') {
    const { skip } = data;
    outcomes.push({ title: data.name, result: skip === undefined || skip === false ? 'pass' : { skip: String(skip) } });
    process.stdout.write(`${skip === undefined ? 'ok' : 'skipped'} ${data.name}\n`);
  } else if (type === 'test:diagnostic' && data.nesting > 0) {
    process.stdout.write(`   ${data.message}\n`);
  }
}

const text = readFileSync(page, 'utf8');
const from = text.indexOf(begin);
const to = text.indexOf(end);
if (from === -1 || to === -1) throw new Error('docs/reliability.md has lost the marks around its table.');
writeFileSync(page, `${text.slice(0, from + begin.length)}\n${faultTable(outcomes)}\n${text.slice(to)}`);
process.stdout.write(`${outcomes.length} tests in ${Math.round((performance.now() - startMs) / 1000)} s\n`);

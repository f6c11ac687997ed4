/**
 * Runs the fault tests, one file at a time, judges what they measured by the bounds themselves, and writes how each
 * went into the table of `docs/reliability.md`, beside the speed of the machine. Fails when a test fails or a bound is
 * not kept.
 */
import { createHash } from 'node:crypto';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';

import { type FaultOutcome, faultTable } from '../testing/src/faults/fault-table.ts';
import { type Figure, isKept, readFigure } from '../testing/src/figure.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = `${root}docs/reliability.md`;
const [begin, end] = ['<!-- table: written by npm run reliability -->\n', '<!-- end of the table -->'];

const outcomes: (Omit<FaultOutcome, 'figures'> & { readonly figures: Figure[] })[] = [];
const startMs = performance.now();
const files = globSync(`${root}testing/src/faults/*.integration.test.ts`).toSorted();
for await (const { type, data } of run({ files, concurrency: 1, timeout: 400_000 })) {
  if (type === 'test:fail') {
    outcomes.push({ title: data.name, result: 'fail', figures: [] });
    process.stdout.write(`FAILED ${data.name}\n${String(data.details.error.cause ?? data.details.error)}\n`);
    process.exitCode = 1;
  } else if (type === 'test:pass') {
    const { skip } = data;
    const result = skip === undefined || skip === false ? 'pass' : { skip: String(skip) };
    outcomes.push({ title: data.name, result, figures: [] });
    process.stdout.write(`${skip === undefined ? 'ok' : 'skipped'} ${data.name}\n`);
  } else if (type === 'test:diagnostic' && data.file !== undefined) {
    // What a test says comes right after how it went; the runner's own counts belong to no file.
    const figure = readFigure(data.message);
    if (figure === undefined) process.stdout.write(`   ${data.message}\n`);
    else note(figure);
  }
}

const text = readFileSync(page, 'utf8');
const from = text.indexOf(begin);
const to = text.indexOf(end);
if (from === -1 || to === -1) throw new Error('docs/reliability.md has lost the marks around its table.');
const table = `${machine()}\n\n${faultTable(outcomes)}`;
writeFileSync(page, `${text.slice(0, from + begin.length)}\n${table}\n${text.slice(to)}`);
process.stdout.write(`${outcomes.length} tests in ${Math.round((performance.now() - startMs) / 1000)} s\n`);

function note(figure: Figure): void {
  outcomes.at(-1)?.figures.push(figure);
  const { what, value, bound, unit } = figure;
  process.stdout.write(`   ${isKept(figure) ? '' : 'OVER '}${what}: ${value} of ${bound} ${unit}\n`);
  if (!isKept(figure)) process.exitCode = 1;
}

/** A sentence about what the figures were measured on. */
function machine(): string {
  const cores = cpus();
  const bytes = Buffer.alloc(64 << 20);
  const tookMs = Array.from({ length: 5 }, () => {
    const fromMs = performance.now();
    createHash('sha256').update(bytes).digest();
    return performance.now() - fromMs;
  });
  const date = new Date().toISOString().slice(0, 10);
  return `Measured on ${date} with Node ${process.versions.node} on ${cores.length} × ${cores[0]?.model ?? 'unknown'}, which hashes 64 MiB by SHA-256 in ${Math.round(Math.min(...tookMs))} ms.`;
}

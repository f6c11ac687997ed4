import { readFileSync, writeFileSync } from 'node:fs';
import { bfclReport } from './report/bfcl.ts';
import { goalsReport } from './report/goals.ts';
import { tablesReport } from './report/tables.ts';
import { findData } from './reference-data.ts';

// Out-of-fold quality over the shared data, written between the marks of docs/routing-quality.md: `npm run eval:cv`, or
// one part of it: `npm run eval:cv -- tables`.

const data = findData();
if (data === undefined) throw new Error('The reference data is not here; name its folder in LFO_REFERENCE_DATA.');
const page = new URL('../docs/routing-quality.md', import.meta.url);
const reports = { bfcl: bfclReport, goals: goalsReport, tables: tablesReport };
const [only] = process.argv.slice(2);
const chosen = Object.entries(reports).filter(([name]) => only === undefined || name === only);
if (chosen.length === 0) throw new Error(`There is no part "${only}": ${Object.keys(reports).join(', ')}.`);
writeReports(page, Object.fromEntries(chosen.map(([name, report]) => [name, report(data)])));

function writeReports(file: URL, reports: Readonly<Record<string, string>>): void {
  let text = readFileSync(file, 'utf8');
  for (const [name, report] of Object.entries(reports)) {
    const [open, close] = [`<!-- ${name}: written by npm run eval:cv -->`, `<!-- end of ${name} -->`];
    const [from, to] = [text.indexOf(open), text.indexOf(close)];
    if (from < 0 || to < from) throw new Error(`docs/routing-quality.md has no place for the part "${name}".`);
    text = `${text.slice(0, from + open.length)}\n\n${report.trim()}\n\n${text.slice(to)}`;
  }
  writeFileSync(file, text);
}

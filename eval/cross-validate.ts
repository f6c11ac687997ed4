import { readFileSync, writeFileSync } from 'node:fs';
import { bfclReport } from './report/bfcl.ts';
import { tablesReport } from './report/tables.ts';
import { findData } from './reference-data.ts';

// Out-of-fold quality over the shared data, written between the marks of docs/routing-quality.md: `npm run eval:cv`.

const data = findData();
if (data === undefined) throw new Error('The reference data is not here; name its folder in LFO_REFERENCE_DATA.');
const page = new URL('../docs/routing-quality.md', import.meta.url);
const parts = { bfcl: bfclReport(data), tables: tablesReport(data) };
writeReports(page, parts);

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

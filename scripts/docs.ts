import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { generated } from './generated-docs.ts';

/** Writes the files that are generated from the code; with `--check` says which are out of date and exits 1. */
const isCheck = process.argv.includes('--check');
for (const [file, render] of generated) {
  const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
  const content = render();
  if (!isCheck) writeFileSync(path, content);
  else if (readFileSync(path, 'utf8') !== content) {
    process.stderr.write(`${file} is out of date: run node scripts/docs.ts\n`);
    process.exitCode = 1;
  }
}

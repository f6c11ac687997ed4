import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configJsonSchema } from '../packages/router/src/config/json-schema.ts';
import { configReference } from '../packages/router/src/config/reference.ts';

/** Writes the files that are generated from the code; with `--check` says which are out of date and exits 1. */
const generated: readonly (readonly [file: string, render: () => string])[] = [
  ['../packages/router/lfo.schema.json', () => `${JSON.stringify(configJsonSchema(), null, 2)}\n`],
  ['../docs/configuration.md', configReference],
];

const isCheck = process.argv.includes('--check');
for (const [file, render] of generated) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const content = render();
  if (!isCheck) writeFileSync(path, content);
  else if (readFileSync(path, 'utf8') !== content) {
    process.stderr.write(`${file.slice(3)} is out of date: run node scripts/docs.ts\n`);
    process.exitCode = 1;
  }
}

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { generated } from './generated-docs.ts';

/** Writes the files that are generated from the code; `docs.test.ts` says which are out of date. */
for (const [file, render] of generated) writeFileSync(fileURLToPath(new URL(`../${file}`, import.meta.url)), render());

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { catalogue, catalogued, defaultModel } from './catalogue.ts';

const page = join(import.meta.dirname, '..', '..', '..', '..', 'docs', 'models.md');

test('the default is of the catalogue, and can be had without the hub', () => {
  assert.ok((catalogued(defaultModel)?.packages.length ?? 0) > 0);
});

test('names and files are unique, so that no two models share a file or its record', () => {
  assert.equal(new Set(catalogue.map((model) => model.id)).size, catalogue.length);
  assert.equal(new Set(catalogue.map((model) => model.file.toLowerCase())).size, catalogue.length);
});

test('the documentation shows the catalogue as it is', async () => {
  const rows = (await readFile(page, 'utf8')).split('\n').filter((line) => /^\| `[\w.-]+` \| .*\.gguf/.test(line));
  const expected = catalogue.map(({ id, note, file, bytes, exact, sha256, licence }) => {
    const size = `${exact ? '' : 'about '}${bytes.toLocaleString('en-US')}`;
    const hash = sha256 === undefined ? 'recorded on first use' : `\`${sha256}\``;
    return `| \`${id}\` | ${note} | \`${file}\` | ${size} | ${hash} | ${licence} |`;
  });
  assert.deepEqual(rows, expected);
});

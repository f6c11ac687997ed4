import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8');
const words = [...page.matchAll(/`([^`\n]+)`/g)].map(([, word = '']) => word);

test('every code that troubleshooting names is one that LFO really says', () => {
  const codes = words.filter((word) => /^[a-z]+(_[a-z]+)+$/.test(word));
  const source = globSync('packages/router/src/**/*.ts', { cwd: root, exclude: ['**/*.test.ts'] })
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .join('\n');
  assert.ok(codes.length > 20);
  for (const code of codes) assert.match(source, new RegExp(`\\b${code}\\b`), code);
});

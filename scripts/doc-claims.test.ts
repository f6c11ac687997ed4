import assert from 'node:assert/strict';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isJsonObject, parseJson } from '@lfo/router/src/core/json.ts';
import { reasons } from '@lfo/router/src/core/reason.ts';
import { defaultPolicies } from '@lfo/router/src/routing/policies.ts';
import { at } from '@lfo/testing/sse.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = [
  ...globSync('docs/**/*.md', { cwd: root }),
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
];
const sources = globSync('**/*.{ts,tsx}', { cwd: root, exclude: (path) => /(^|\/)(node_modules|dist)$/.test(path) });
const textOf = (page: string): string => readFileSync(join(root, page), 'utf8');

test('routing.md has every reason with its meaning, and no other', () => {
  const listed = rowsUnder(textOf('docs/routing.md'), '## Reason codes').map(([code = '', meaning = '']) => [
    code.replaceAll('`', ''),
    meaning,
  ]);
  assert.deepEqual(listed, Object.entries(reasons));
});

test('routing.md has every policy, in the order in which they vote', () => {
  const named = rowsUnder(textOf('docs/routing.md'), '## Before anything runs').flatMap(([name = '']) =>
    name === '' ? [] : [name.replaceAll('`', '')],
  );
  assert.deepEqual(
    named,
    defaultPolicies.map(({ name }) => name),
  );
});

test('architecture.md has every folder of the router', () => {
  const named = rowsUnder(textOf('docs/architecture.md'), '## The folders of').flatMap(([names = '']) =>
    [...names.matchAll(/`([^`]+?)\/?`/g)].map(([, name = '']) => name),
  );
  assert.deepEqual(named.toSorted(), readdirSync(join(root, 'packages/router/src')).toSorted());
});

test('security.md names tests that are there', () => {
  const names = rowsUnder(textOf('docs/security.md'), '## The checklist').flatMap(([, , tests = '']) =>
    [...tests.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  );
  assert.ok(names.length > 30);
  const isThere = (name: string): boolean =>
    sources.some((file) => new RegExp(`(^|/)${name}(\\.integration|\\.model)?\\.test\\.ts$`).test(file));
  assert.deepEqual(
    names.filter((name) => !isThere(name)),
    [],
  );
});

test('every source file that a page names is there', () => {
  const lost = pages.flatMap((page) =>
    [...textOf(page).matchAll(/`([\w.-]+(?:\/[\w.-]+)+\.tsx?)`/g)]
      .filter(([, path = '']) => !sources.some((file) => file === path || file.endsWith(`/${path}`)))
      .map(([, path]) => `${page}: ${path}`),
  );
  assert.deepEqual(lost, []);
});

test('every setting that a page names exists', () => {
  const schema = parseJson(textOf('packages/router/lfo.schema.json'));
  const lost = pages.flatMap((page) =>
    [...textOf(page).matchAll(/`([a-z_]+)\.([a-z_]+)(?:\.[a-z_]+)?(?::[^`]*)?`/g)]
      .filter(([, section = '']) => isJsonObject(at(schema, 'properties', section, 'properties')))
      .filter(([, section = '', key = '']) => at(schema, 'properties', section, 'properties', key) === undefined)
      .map(([setting]) => `${page}: ${setting}`),
  );
  // A vector file of the device protocol, not a setting of the records.
  assert.deepEqual(
    lost.filter((found) => found !== 'docs/device-protocol.md: `records.json`'),
    [],
  );
});

/** The cells of the first table under a heading, without its head. */
function rowsUnder(page: string, heading: string): readonly (readonly string[])[] {
  const lines = (page.split(`\n${heading}`)[1] ?? '').split('\n');
  const from = lines.findIndex((line) => line.startsWith('|'));
  const table = lines.slice(from, from + lines.slice(from).findIndex((line) => !line.startsWith('|')));
  return table.slice(2).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { isJsonObject, type JsonObject, parseJson } from '../packages/router/src/core/json.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

function readObject(path: string): JsonObject {
  const value = parseJson(readFileSync(`${root}/${path}`, 'utf8'));
  assert.ok(isJsonObject(value), path);
  return value;
}

function group(value: JsonObject, name: string): JsonObject {
  const inner = value[name];
  return isJsonObject(inner) ? inner : {};
}

/** Text of a field; empty where there is none. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

const lock = readObject('package-lock.json');
const installed = Object.entries(group(lock, 'packages')).flatMap(([path, entry]) =>
  path.includes('node_modules/') && isJsonObject(entry) && entry['link'] !== true ? [{ path, entry }] : [],
);
const manifests = ['package.json', ...globSync('{packages/*,testing}/package.json', { cwd: root })].map((path) => ({
  path,
  manifest: readObject(path),
}));

test('security 26: the lockfile names no registry, and every package in it has its checksum', () => {
  assert.equal(lock['lockfileVersion'], 3);
  assert.ok(installed.length > 50);
  for (const { path, entry } of installed) {
    assert.doesNotMatch(textOf(entry['resolved']), /^(https?|git)/, path);
    assert.match(textOf(entry['integrity']), /^sha512-/, path);
  }
});

test('security 26: only packages on the list may run a script when installed', () => {
  const allowed = group(readObject('package.json'), 'allowScripts');
  const scripted = installed
    .filter(({ entry }) => entry['hasInstallScript'] === true)
    .map(({ path }) => path.replace(/^.*node_modules\//, ''));
  for (const name of scripted)
    assert.ok(Object.hasOwn(allowed, name), `${name} has an install script and is not in allowScripts`);
  const running = Object.keys(allowed).filter((name) => allowed[name] === true);
  assert.deepEqual(running, ['node'], 'the runtime alone needs its script');
});

test('security 26: direct dependencies are few and pinned exactly', () => {
  const direct = new Set<string>();
  for (const { path, manifest } of manifests) {
    for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies']) {
      for (const [name, version] of Object.entries(group(manifest, kind))) {
        assert.match(textOf(version), /^\d+\.\d+\.\d+(-[\w.]+)?$/, `${path}: ${name}`);
        if (kind === 'dependencies' && !name.startsWith('@lfo/') && path !== 'testing/package.json') direct.add(name);
      }
    }
  }
  assert.ok(direct.size <= 30, `${direct.size} direct dependencies: ${[...direct].join(', ')}`);
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { at } from '@lfo/testing/sse.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

test('security 26: the bill of materials lists every direct dependency with its version', { timeout: 60_000 }, () => {
  const { stdout, stderr } = spawnSync('npm', ['run', '--silent', 'sbom'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  assert.equal(stderr, '');
  const bill: unknown = JSON.parse(stdout);
  assert.equal(at(bill, 'bomFormat'), 'CycloneDX');
  const components = at(bill, 'components');
  assert.ok(Array.isArray(components));
  const listed = new Set(
    components.map((component) => `${String(at(component, 'name'))}@${String(at(component, 'version'))}`),
  );
  for (const path of [
    'package.json',
    'packages/router/package.json',
    'packages/device-core/package.json',
    'packages/device-host/package.json',
    'packages/protocol/package.json',
  ]) {
    const manifest: unknown = JSON.parse(readFileSync(`${root}/${path}`, 'utf8'));
    for (const [name, version] of Object.entries(Object(at(manifest, 'dependencies')))) {
      if (name.startsWith('@lfo/')) continue;
      assert.ok(listed.has(`${name}@${String(version)}`), `${name}@${String(version)}`);
    }
  }
});

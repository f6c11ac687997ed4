import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

/** Runs test files as `npm test` does: what the runner said, its status, and the files it names as failed. */
function run(t: TestContext, files: Readonly<Record<string, string>>) {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-runner-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, source] of Object.entries(files)) writeFileSync(join(folder, name), source);
  const list = join(folder, 'failed');
  const flags = [
    `--import=${join(import.meta.dirname, 'end-of-tests.ts')}`,
    '--test',
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    `--test-reporter=${join(import.meta.dirname, 'failed-files.ts')}`,
    `--test-reporter-destination=${list}`,
  ];
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const tests = Object.keys(files).filter((name) => name.endsWith('.test.ts'));
  const { status, stdout } = spawnSync(process.execPath, [...flags, ...tests], {
    cwd: folder,
    env: { ...environment, LFO_TESTS_GRACE_MS: '300' },
    encoding: 'utf8',
    timeout: 20_000,
  });
  const failed = readFileSync(list, 'utf8').split('\n').filter(Boolean);
  return { status, stdout, failed: failed.map((file) => file.slice(folder.length + 1)) };
}

test('a file that leaves something open ends, is said to hold it and fails', (t) => {
  const { status, stdout, failed } = run(t, {
    'held.test.ts': `import { test } from 'node:test'; test('x', () => {}); setInterval(() => {}, 1000);`,
    'other.test.ts': `import { test } from 'node:test'; test('y', () => {});`,
  });
  assert.match(stdout, /the process is held by/);
  assert.match(stdout, /✔ y/);
  assert.equal(status, 1);
  assert.deepEqual(failed, ['held.test.ts']);
});

test('a helper whose hook fails is the failure of the test file that used it', (t) => {
  const { status, failed } = run(t, {
    'helper.ts': `import { after } from 'node:test'; export const use = () => after(() => { throw new Error('no'); });`,
    'using.test.ts': `import { test } from 'node:test'; import { use } from './helper.ts'; use(); test('x', () => {});`,
  });
  assert.equal(status, 1);
  assert.deepEqual(failed, ['using.test.ts']);
});

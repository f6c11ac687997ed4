import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { type TestContext, test } from 'node:test';

import { allowedSkips } from './allowed-skips.ts';
import type { FilesRun } from './run-test-files.ts';
import type { TestFinding } from './test-record.ts';
import { hiddenBy, needsOwnProcess, onlyIn } from './test-verdict.ts';

/** Runs test files as `npm test` does: what the runner said, its status, and what is on record. */
function run(t: TestContext, files: Readonly<Record<string, string>>) {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-runner-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, source] of Object.entries(files)) writeFileSync(join(folder, name), source);
  const record = join(folder, 'record');
  const flags = [
    `--import=${join(import.meta.dirname, 'end-of-tests.ts')}`,
    '--test',
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    `--test-reporter=${join(import.meta.dirname, 'test-record.ts')}`,
    `--test-reporter-destination=${record}`,
  ];
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const tests = Object.keys(files).filter((name) => name.endsWith('.test.ts'));
  const { status, stdout } = spawnSync(process.execPath, [...flags, ...tests], {
    cwd: folder,
    env: { ...environment, LFO_TESTS_GRACE_MS: '300' },
    encoding: 'utf8',
    timeout: 20_000,
  });
  const findings = readFileSync(record, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line): TestFinding => JSON.parse(line));
  const failed = findings.filter(({ kind }) => kind === 'failed').map(({ file }) => basename(file));
  return { status, stdout, findings, failed: [...new Set(failed)] };
}

/** Runs test files in one process, as `npm run test:unit` does: which failed, and which came to their end. */
function runShared(t: TestContext, files: Readonly<Record<string, string>>) {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-runner-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, source] of Object.entries(files)) writeFileSync(join(folder, name), source);
  const tests = Object.keys(files).filter((name) => name.endsWith('.test.ts'));
  const cwd = join(import.meta.dirname, '..');
  const program = `import { writeFileSync } from 'node:fs';
    import { runTogether } from ${JSON.stringify(join(import.meta.dirname, 'run-test-files.ts'))};
    const folder = ${JSON.stringify(folder)};
    const files = ${JSON.stringify(tests.map((name) => relative(cwd, join(folder, name))))};
    const result = await runTogether(files, { folder, atOnce: 1, timeoutMs: 5_000, deadlineMs: 20_000 });
    writeFileSync(folder + '/result', JSON.stringify(result));`;
  writeFileSync(join(folder, 'program.ts'), program);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  spawnSync(process.execPath, [join(folder, 'program.ts')], { cwd, env, timeout: 30_000 });
  const { failed, findings }: FilesRun = JSON.parse(readFileSync(join(folder, 'result'), 'utf8'));
  const ran = findings.filter(({ kind }) => kind === 'ran').map(({ file }) => basename(file));
  return { failed: failed.map((file) => basename(file)).toSorted(), ran: ran.toSorted() };
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

test('of files that share a process each is named that fails, however it does', (t) => {
  const good = `import { test } from 'node:test'; test('y', () => {});`;
  const late = `import { test } from 'node:test'; test('x', () => {}); throw new Error('late');`;
  const helper = `import { test } from 'node:test'; export const use = () => test('h', () => { throw new Error('no'); });`;
  const { failed, ran } = runShared(t, {
    'helper.ts': helper,
    'late.test.ts': late,
    'leaves.test.ts': `import { test } from 'node:test'; test('x', () => process.exit(0));`,
    'using.test.ts': `import { use } from './helper.ts'; use();`,
    'good.test.ts': good,
    'hooks.test.ts': `import { afterEach, test } from 'node:test';
afterEach(() => { throw new Error('no'); });
test('z', () => {});`,
  });
  assert.deepEqual(failed, ['hooks.test.ts', 'late.test.ts', 'leaves.test.ts', 'using.test.ts']);
  assert.deepEqual(ran, ['good.test.ts', 'hooks.test.ts', 'late.test.ts', 'using.test.ts']);
  assert.deepEqual(runShared(t, { 'late.test.ts': late, 'good.test.ts': good }).failed, ['late.test.ts']);
});

test('a file whose hooks would be those of its neighbours has a process of its own', () => {
  assert.ok(needsOwnProcess(`import { before } from 'node:test';\nbefore(() => {});\n`));
  assert.ok(needsOwnProcess('// A process of its own: it is large.'));
  assert.ok(!needsOwnProcess(`describe('x', () => {\n  before(() => {});\n});\n`));
});

test('a skip that is not on the list, a test still to do and a file without tests are told', (t) => {
  const { status, findings } = run(t, {
    'empty.test.ts': 'export {};',
    'skips.test.ts': `import { describe, test } from 'node:test';
      test('named', { skip: ${JSON.stringify(allowedSkips[0]?.reason)} }, () => {});
      test('unnamed', { skip: true }, () => {});
      test('inside', (t) => t.skip('no browser'));
      describe('a suite', { skip: 'no database' }, () => test('unseen', () => {}));
      test('later', { todo: true }, () => { throw new Error('no'); });`,
  });
  assert.equal(status, 0, 'the runner itself hides all of it');
  assert.deepEqual(hiddenBy(findings), [
    'empty.test.ts has no test.',
    'skips.test.ts: "unnamed" was skipped (without a reason).',
    'skips.test.ts: "inside" was skipped (no browser).',
    'skips.test.ts: "a suite" was skipped (no database).',
    'skips.test.ts: "later" is still to do.',
  ]);
});

test('a test file in which some tests alone would run is told', () => {
  // Not written out: this file is looked at too.
  const planted = ['test.X("x", () => {})', 'test("x", { X: true }, () => {})'].map((text) =>
    text.replace('X', 'only'),
  );
  for (const source of planted) {
    assert.equal(onlyIn('x.test.ts', source).length, 1, source);
  }
  assert.deepEqual(onlyIn('x.test.ts', 'test("the only one", () => {}); readonly: true;'), []);
});

/** Runs `scripts/test.ts` itself over test files of a folder of their own. */
function runAll(
  t: TestContext,
  files: Readonly<Record<string, string>>,
  kind: string,
  env: Readonly<Record<string, string>>,
) {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-runner-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'scripts'));
  const imported = JSON.stringify(join(import.meta.dirname, 'end-of-tests.ts'));
  writeFileSync(join(folder, 'scripts/end-of-tests.ts'), `import ${imported};`);
  // Every run has to know the model file of CI.
  writeFileSync(join(folder, 'llama-engine.model.test.ts'), '');
  for (const [name, source] of Object.entries(files)) writeFileSync(join(folder, name), source);
  const { NODE_TEST_CONTEXT: _, CI: _ci, LFO_TEST_FULL: _full, LFO_TEST_RERUNS: _reruns, ...environment } = process.env;
  const { status, stdout } = spawnSync(process.execPath, [join(import.meta.dirname, 'test.ts'), kind], {
    cwd: folder,
    env: { ...environment, ...env },
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, problems: stdout.split('\n').filter((line) => line.startsWith('PROBLEM: ')), stdout };
}

test('with CI=true a skip that is not on the list fails the run, and only then', (t) => {
  const files = {
    'skips.test.ts': `import { test } from 'node:test'; test('seen', { skip: 'no browser' }, () => {});`,
    'allowed.test.ts': `import { test } from 'node:test';
      test('named', { skip: ${JSON.stringify(allowedSkips[0]?.reason)} }, () => {});`,
  };
  const strict = runAll(t, files, 'unit', { CI: 'true' });
  assert.deepEqual(strict.problems, ['PROBLEM: skips.test.ts: "seen" was skipped (no browser).']);
  assert.equal(strict.status, 1);
  assert.deepEqual([runAll(t, files, 'unit', {}).status, runAll(t, files, 'unit', { CI: 'false' }).status], [0, 0]);
});

test('at most two integration files that fail are run once more, and each is named at the end', (t) => {
  /** Fails at its first run alone. */
  const flaky = (name: string): Readonly<Record<string, string>> => ({
    [`${name}.integration.test.ts`]: `import { existsSync, writeFileSync } from 'node:fs'; import { test } from 'node:test';
      test('x', () => { if (existsSync('${name}')) return; writeFileSync('${name}', ''); throw new Error('once'); });`,
  });
  const one = runAll(t, flaky('one'), 'integration', { CI: 'true' });
  assert.match(one.stdout, /1 files run once more: one\.integration\.test\.ts/);
  assert.deepEqual([one.status, one.problems], [0, []]);
  const three = runAll(t, { ...flaky('one'), ...flaky('two'), ...flaky('three') }, 'integration', { CI: 'true' });
  assert.match(three.stdout, /0 files run once more/);
  assert.deepEqual([three.status, three.problems.length], [1, 3]);
});

test('a kind or a name that matches nothing fails the run', () => {
  for (const args of [['unti'], ['unit', 'no-such-file']]) {
    const { status } = spawnSync(process.execPath, [join(import.meta.dirname, 'test.ts'), ...args], {
      cwd: join(import.meta.dirname, '..'),
    });
    assert.equal(status, 1, args.join(' '));
  }
});

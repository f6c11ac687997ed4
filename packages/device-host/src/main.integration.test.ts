import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { env, execPath, pid } from 'node:process';
import { afterEach, beforeEach, test } from 'node:test';
import { scriptedHub } from '@lfo/testing/scripted-hub.ts';
import { tinyGguf } from '@lfo/testing/tiny-gguf.ts';

const launcher = join(import.meta.dirname, '..', 'bin', 'lfo-device-host.js');
const model = 'hf:owner/name/model.gguf';
const timeout = 60_000;

let modelsDir = '';
beforeEach(async () => void (modelsDir = await mkdtemp(join(tmpdir(), 'lfo-main-'))));
afterEach(() => rm(modelsDir, { recursive: true, force: true }));

interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the binary to its end; `onFirstErr` is called once, when the first text comes on standard error. */
function run(
  argv: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  onFirstErr: (terminate: () => void) => void = () => {},
): Promise<Result> {
  const child = spawn(execPath, [launcher, ...argv], { env: { ...env, LFO_MODELS_DIR: modelsDir, ...environment } });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  child.stderr.once('data', () => onFirstErr(() => child.kill('SIGTERM')));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, out, err })));
}

test('exit codes tell done, failed and wrong usage; a failure is one line', { timeout }, async () => {
  const [done, failed, unknown, bare] = await Promise.all([
    run(['models', 'list', '--json']),
    run(['models', 'pull', 'no-such-model']),
    run(['models', 'pul']),
    run(['models', 'list', '--no-such-option']),
  ]);
  assert.deepEqual([done.code, failed.code, unknown.code, bare.code], [0, 1, 2, 2]);
  assert.equal(done.err, '');
  assert.match(failed.err, /^No model is called "no-such-model".*\n$/);
});

test('a folder that cannot be made ends a command instead of stopping it for ever', { timeout }, async () => {
  const ended = await Promise.all([
    run(['models', 'pull', model], { LFO_MODELS_DIR: '/proc/nope/models' }),
    run(['device', '--router', '127.0.0.1:9'], { LFO_DATA_DIR: '/proc/nope' }),
  ]);
  for (const { code, err } of ended) {
    assert.equal(code, 1);
    assert.match(err, /mkdir '\/proc\/nope'/);
  }
});

test('a pull waits for the one that is fetching, and takes over when that is gone', { timeout }, async () => {
  await using hub = await scriptedHub(tinyGguf());
  const lock = join(modelsDir, 'owner--name--model.gguf.lock');
  const progress = { phase: 'download', done: 1, total: 7, what: 'model' };
  await writeFile(lock, JSON.stringify({ pid, host: hostname(), beat: 0, progress }));
  const result = await run(['models', 'pull', model, '--json'], { LFO_MODEL_BASE_URL: hub.url }, () => {
    assert.deepEqual(hub.requests, []);
    void rm(lock);
  });
  assert.equal(result.code, 0, result.err);
  assert.equal(result.err.split('\n')[0], JSON.stringify(progress));
  assert.equal(hub.requests.length, 1);
});

test('SIGTERM ends a pull with a word and without a lock', { timeout }, async () => {
  await using hub = await scriptedHub(tinyGguf(), [{ type: 'silence' }]);
  const result = await run(['models', 'pull', model], { LFO_MODEL_BASE_URL: hub.url }, (terminate) => terminate());
  assert.equal(result.code, 1);
  assert.match(result.err, /Stopped\. What was fetched is kept/);
  assert.deepEqual(await readdir(modelsDir), []);
});

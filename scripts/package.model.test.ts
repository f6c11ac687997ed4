import assert from 'node:assert/strict';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { checkout, modelsDir } from '@lfo/testing/npm-start.ts';

test('from an empty folder the packed file installs, answers and is sound', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-package-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'lfo.tgz');
  const packed = spawnSync(process.execPath, [join(checkout, 'scripts/pack.ts'), 'lfo', file], { encoding: 'utf8' });
  assert.equal(packed.status, 0, packed.stderr);

  const beganMs = performance.now();
  const installed = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--prefix', folder, file], {
    cwd: folder,
    encoding: 'utf8',
  });
  assert.equal(installed.status, 0, installed.stderr);
  t.diagnostic(`installed in ${seconds(beganMs)} s`);
  let spentMs = performance.now() - beganMs;
  const binaries = readdirSync(join(folder, 'node_modules/@node-llama-cpp'));
  assert.deepEqual(
    binaries.filter((name) => name.includes('cuda')),
    [],
  );

  const env = {
    // As somebody has it who has nothing of LFO yet.
    ...Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(LFO_|PORT$|HOST$|NODE_COMPILE_CACHE$)/.test(name)),
    ),
    LFO_DATA_DIR: join(folder, 'data'),
    LFO_MODELS_DIR: modelsDir,
    LFO_LOCAL_MODEL: 'smollm2-135m',
    LFO_FLEET_LISTEN: '127.0.0.1:0',
    PORT: '0',
  };
  const command = join(folder, 'node_modules/.bin/lfo');
  const run = (...args: readonly string[]): SpawnSyncReturns<string> =>
    spawnSync(command, args, { cwd: folder, env, encoding: 'utf8' });
  assert.equal(run('models', 'pull', 'smollm2-135m').status, 0);

  const startMs = performance.now();
  const router = spawn(command, ['serve'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => router.kill('SIGKILL'));
  const url = await new Promise<string>((resolve) => {
    createInterface({ input: router.stdout }).on('line', (line) => {
      const [, found] = /"url":"([^"]+)"/.exec(line) ?? [];
      if (found !== undefined) resolve(found);
    });
  });
  const question = { model: 'lfo-local', max_tokens: 16, messages: [{ role: 'user', content: 'What is 2+2?' }] };
  for (;;) {
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(question),
    });
    const text = await answer.text();
    if (answer.status !== 200) continue;
    assert.match(text, /"content":"[^"]*4[^"]*"[^]*"lfo_metadata"/, 'the answer is right');
    break;
  }
  t.diagnostic(`first answer ${seconds(startMs)} s after the start`);
  const doctor = run('doctor', '--url', url, '--json');
  assert.equal(doctor.status, 0, doctor.stdout);
  spentMs += performance.now() - startMs;
  t.diagnostic(
    `from an empty folder to the doctor's word in ${(spentMs / 1000).toFixed(1)} s, the model's download apart`,
  );
  const pack = run('devices', 'pack', '--out', 'device.tgz', '--json');
  assert.equal(pack.status, 0, pack.stderr);
  const ended = new Promise((resolve) => router.once('exit', resolve));
  router.kill('SIGTERM');
  assert.equal(await ended, 0);
});

function seconds(sinceMs: number): string {
  return ((performance.now() - sinceMs) / 1000).toFixed(1);
}

/**
 * From `lfo devices pair` on one terminal to the first answer served by `lfo device` on another, with the model on disk:
 * `node bench/pairing.ts [--model smollm2-135m]`. Ends with 1 where it took a minute or more.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { checkout, modelsDir } from '../testing/src/npm-start.ts';

const { values } = parseArgs({ options: { model: { type: 'string', default: 'smollm2-135m' } } });
const goalMs = 60_000;
const folder = mkdtempSync(join(tmpdir(), 'lfo-pairing-'));
const started: ChildProcess[] = [];

/** Runs the command line with data of its own; its lines are JSON. */
function lfo(data: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  const child = spawn(process.execPath, [join(checkout, 'packages/router/bin/lfo.js'), ...args], {
    cwd: folder,
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      LFO_DATA_DIR: join(folder, data),
      LFO_LOCAL_MODEL: 'none',
      LFO_MODELS_DIR: modelsDir,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  return child;
}

/** The first line of a process in which a field of this name stands. */
function line(child: ChildProcess, field: string): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it said its ${field}`)));
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on('line', (text) => {
      const value: unknown = text.startsWith('{') ? JSON.parse(text) : {};
      if (typeof value === 'object' && value !== null && field in value) resolve({ ...value });
    });
  });
}

try {
  // The model is on disk before the clock runs.
  const pull = lfo('device', ['models', 'pull', values.model]);
  await new Promise((resolve) => pull.once('exit', resolve));
  const router = lfo('router', ['serve'], { PORT: '0', LFO_FLEET_LISTEN: '127.0.0.1:0' });
  const { url } = await line(router, 'url');

  const startMs = performance.now();
  const { uri } = await line(lfo('router', ['devices', 'pair', '--json', '--url', String(url)]), 'uri');
  lfo('device', ['device', '--pair', String(uri), '--model', values.model, '--name', 'laptop', '--json']);
  const body = JSON.stringify({
    model: `${values.model}@laptop`,
    messages: [{ role: 'user', content: 'What is 2+2?' }],
    max_tokens: 8,
  });
  const headers = { 'content-type': 'application/json' };
  for (;;) {
    const answer = await fetch(`${String(url)}/v1/chat/completions`, { method: 'POST', headers, body });
    await answer.text();
    if (answer.status === 200) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const tookMs = performance.now() - startMs;
  process.stdout.write(
    `from "lfo devices pair" to the first answer of "lfo device": ${(tookMs / 1000).toFixed(1)} s\n`,
  );
  process.exitCode = tookMs < goalMs ? 0 : 1;
} finally {
  for (const child of started.toReversed().filter(({ exitCode }) => exitCode === null)) {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
}

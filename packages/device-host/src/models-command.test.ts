import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { scriptedHub } from '@lfo/testing/scripted-hub.ts';
import { tinyGguf } from '@lfo/testing/tiny-gguf.ts';
import { catalogue } from './models/catalogue.ts';
import { modelsCommand, type ModelsCommandHost } from './models-command.ts';

let modelsDir = '';
beforeEach(async () => void (modelsDir = await mkdtemp(join(tmpdir(), 'lfo-command-'))));
afterEach(() => rm(modelsDir, { recursive: true, force: true }));

/** Runs the command and gives what it printed. */
async function run(argv: readonly string[], overrides: Partial<ModelsCommandHost> = {}): Promise<readonly string[]> {
  const lines: string[] = [];
  const host: ModelsCommandHost = {
    modelsDir,
    offline: false,
    signal: () => new AbortController().signal,
    print: (line) => lines.push(line),
    progress: { update: () => {}, done: () => {} },
    ...overrides,
  };
  await modelsCommand(host).exitOverride().parseAsync(argv, { from: 'user' });
  return lines;
}

test('list shows a line for each model', async () => {
  const lines = await run(['list']);
  assert.equal(lines.length, catalogue.length);
  assert.match(lines[0] ?? '', /^qwen2\.5-coder-0\.5b +491 MB +absent +Apache-2\.0; the default$/);
});

test('list --json is one value that holds the same', async () => {
  await writeFile(join(modelsDir, 'mine.gguf'), 'GGUF');
  const [line, ...rest] = await run(['list', '--json']);
  assert.deepEqual(rest, []);
  const models: unknown = JSON.parse(line ?? '');
  assert.ok(Array.isArray(models) && models.length === catalogue.length + 1);
});

test('pull fetches, shows progress and ends the bar; remove takes it away again', async () => {
  const content = tinyGguf();
  await using hub = await scriptedHub(content);
  const shown: (number | 'done')[] = [];
  const progress = { update: ({ done }: { done: number }) => shown.push(done), done: () => shown.push('done') };
  const [line] = await run(['pull', 'hf:owner/name/model.gguf', '--json'], { baseUrl: hub.url, progress });
  const path = join(modelsDir, 'owner--name--model.gguf');
  assert.deepEqual(JSON.parse(line ?? ''), { id: 'model', path, quant: 'Q4_0' });
  assert.deepEqual(shown.slice(-2), [content.length, 'done']);
  const removed = await run(['remove', 'owner--name--model.gguf', '--json']);
  assert.deepEqual(JSON.parse(removed[0] ?? ''), { model: 'owner--name--model.gguf', freedBytes: content.length });
});

test('a failed pull ends the bar too', async () => {
  const shown: string[] = [];
  const progress = { update: () => {}, done: () => shown.push('done') };
  await assert.rejects(run(['pull', 'smollm2-135m'], { offline: true, progress }), { fault: 'offline' });
  assert.deepEqual(shown, ['done']);
});

test('--models-dir looks elsewhere', async () => {
  await writeFile(join(modelsDir, 'mine.gguf'), 'GGUF');
  const lines = await run(['list', '--models-dir', modelsDir], { modelsDir: join(modelsDir, 'none') });
  assert.match(lines.at(-1) ?? '', /^mine\.gguf/);
});

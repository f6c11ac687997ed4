import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { EngineError } from '@lfo/device-core';
import { llamaEngine } from './llama-engine.ts';
import { checkModelFile } from './loading.ts';
import { fetched, never, options } from './model-trial.ts';

describe('files llama.cpp cannot load', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lfo-engine-'));
  });
  after(() => rm(folder, { recursive: true }));

  async function loadError(path: string): Promise<string> {
    const engine = llamaEngine();
    try {
      await engine.load({ id: 'x', path }, options, () => {}, never);
    } catch (error) {
      assert.ok(error instanceof EngineError && error.code === 'engine' && !error.message.includes(folder));
      return error.message;
    } finally {
      await engine.close();
    }
    return assert.fail('it was loaded');
  }

  test('a truncated model', async () => {
    const path = join(folder, 'cut.gguf');
    await copyFile((await fetched('smollm2-135m')).path, path);
    await truncate(path, 50_000_000);
    assert.match(await loadError(path), /incomplete/);
  });

  test('something else than a model', async () => {
    const path = join(folder, 'text.gguf');
    await writeFile(path, 'not a model');
    assert.match(await loadError(path), /not a GGUF/);
  });

  test('a model larger than the free memory', async () => {
    const file = await fetched('smollm2-135m');
    await assert.rejects(
      checkModelFile(file, () => 50_000_000),
      (error) => error instanceof EngineError && /smaller model/.test(error.message),
    );
  });
});

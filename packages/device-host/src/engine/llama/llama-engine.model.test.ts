import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { describeEngine } from '../engine-contract.ts';
import { resolveModel } from '../../models/resolve.ts';
import type { ModelFile } from '../engine.ts';
import { llamaEngine } from './llama-engine.ts';

const modelsDir = env['LFO_MODELS_DIR'] ?? join(homedir(), '.local/share/lfo/models');

/** Fetched once into the models folder, then found there. */
function fetched(name: string): Promise<ModelFile> {
  return resolveModel(name, { modelsDir, offline: false }, () => {}, new AbortController().signal);
}

describeEngine('llama.cpp', async () => {
  const model = await fetched('smollm2-135m');
  assert.ok(model.path.endsWith('.gguf'));
  return {
    engine: llamaEngine(),
    model,
    options: { contextTokens: 2048, slots: 2, gpu: 'none' },
    missing: { id: 'smollm2-135m', path: join(modelsDir, 'no-such-model.gguf') },
  };
});

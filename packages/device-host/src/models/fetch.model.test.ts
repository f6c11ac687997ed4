import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { test } from 'node:test';
import { inspectGguf } from './gguf.ts';
import { ModelError } from './model-error.ts';
import type { ModelProgress } from './progress.ts';
import { resolveModel } from './resolve.ts';

const offline = env['LFO_OFFLINE'] === '1';

test(
  'smollm2-135m is really fetched, verified and found again',
  { skip: offline && 'LFO_OFFLINE is set' },
  async (context) => {
    const modelsDir = await mkdtemp(join(tmpdir(), 'lfo-fetch-'));
    const seen: ModelProgress[] = [];
    const run = () =>
      resolveModel(
        'smollm2-135m',
        { modelsDir, offline: false },
        (each) => seen.push(each),
        AbortSignal.timeout(300_000),
      );
    try {
      const file = await run();
      assert.equal(seen.at(-1)?.done, 98_362_432);
      assert.deepEqual(await inspectGguf(file.path), { architecture: 'llama', contextTokens: 8192, quant: 'Q4_1' });
      assert.equal((await readdir(modelsDir)).length, 2);
      seen.length = 0;
      assert.deepEqual(await run(), file);
      assert.deepEqual(seen, []);
    } catch (error) {
      // No source within reach is this machine's network, not our fault.
      if (!(error instanceof ModelError && error.fault === 'unavailable' && !/SHA-256/.test(error.message)))
        throw error;
      context.skip(error.message);
    } finally {
      await rm(modelsDir, { recursive: true, force: true });
    }
  },
);

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';

const scenario = fileURLToPath(import.meta.resolve('@lfo/testing/interop/portable-scenario.ts'));

test('a pairing, a return and 1,000 messages need nothing but the language: no global of Node or browsers', async () => {
  const { outputFiles } = await build({
    entryPoints: [scenario],
    bundle: true,
    write: false,
    format: 'iife',
    globalName: 'scenario',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    target: 'es2022',
    logLevel: 'error',
  });
  const context = createContext(Object.create(null));
  runInContext(outputFiles[0]?.text ?? '', context);
  assert.equal(runInContext('typeof TextDecoder + typeof crypto + typeof setTimeout', context), 'undefined'.repeat(3));
  runInContext(
    `let state = 1;
    const random = (length) => Uint8Array.from({ length }, () => (state = (state * 1103515245 + 12345) % 2147483648) >> 8);
    globalThis.arrived = scenario.portableScenario(random);`,
    context,
  );
  const arrived: unknown = await runInContext('arrived', context);
  assert.equal(arrived, 1000);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LfoConfig } from './config.ts';
import { createConfigHandle } from './handle.ts';
import { loadConfig } from './load.ts';

function config(env: Record<string, string> = {}): LfoConfig {
  return loadConfig({ env: { HOME: '/h', ...env }, cwd: '/nonexistent' });
}

test('a reload takes over what can change while requests run, and names what needs a restart', () => {
  const handle = createConfigHandle(config(), () =>
    config({ MAX_LOCAL_TOKENS: '7', LFO_LOG_LEVEL: 'debug', PORT: '1', LFO_DATA_DIR: '/other' }),
  );
  const seen: LfoConfig[] = [];
  handle.onChange((next) => seen.push(next));
  const result = handle.reload();
  assert.deepEqual(result, {
    type: 'applied',
    sections: ['routing', 'logLevel'],
    restart: ['server', 'embedded', 'dataDir'],
  });
  assert.equal(handle.current().routing.maxLocalTokens, 7);
  assert.equal(handle.current().server.port, 8080);
  assert.deepEqual(seen, [handle.current()]);
});

test('a broken new configuration leaves the old one in force', () => {
  const initial = config();
  const handle = createConfigHandle(initial, () => config({ PORT: 'x' }));
  let calls = 0;
  handle.onChange(() => (calls += 1));
  const result = handle.reload();
  assert.equal(result.type, 'refused');
  assert.equal(handle.current(), initial);
  assert.equal(calls, 0);
});

test('nothing changed, nobody is told, and a listener can leave', () => {
  let env: Record<string, string> = {};
  const handle = createConfigHandle(config(), () => config(env));
  let calls = 0;
  const leave = handle.onChange(() => (calls += 1));
  assert.deepEqual(handle.reload(), { type: 'unchanged' });
  leave();
  env = { MAX_LOCAL_TOKENS: '3' };
  assert.equal(handle.reload().type, 'applied');
  assert.equal(calls, 0);
});

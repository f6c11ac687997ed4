import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LfoConfig } from './config.ts';
import { createConfigHandle } from './handle.ts';
import { loadConfig } from './load.ts';

function config(env: Record<string, string> = {}): LfoConfig {
  return loadConfig({ env: { HOME: '/h', ...env }, cwd: '/nonexistent' });
}

test('a reload takes over what can change while requests run, and names what needs a restart', () => {
  const handle = createConfigHandle(config(), () =>
    config({ MAX_LOCAL_TOKENS: '7', LFO_LOG_LEVEL: 'debug', PORT: '1', LFO_DATA_DIR: '/other', GEMINI_API_KEY: 'k' }),
  );
  assert.deepEqual(handle.reload(), {
    type: 'applied',
    changed: ['routing.max_local_tokens', 'backends', 'log_level'],
    restart: ['server.port', 'embedded', 'data_dir'],
  });
  const { routing, server, logLevel, backends } = handle.current();
  const names = backends.map(({ name }) => name);
  assert.deepEqual([routing.maxLocalTokens, server.port, logLevel, names], [7, 8080, 'debug', ['gemini']]);
});

test('of one group some settings are taken over and others wait for a restart', (t) => {
  const cwd = mkdtempSync(join(tmpdir(), 'lfo-handle-'));
  t.after(() => rmSync(cwd, { recursive: true }));
  const load = (yaml: string): LfoConfig => {
    writeFileSync(join(cwd, 'lfo.yaml'), yaml);
    return loadConfig({ env: { HOME: '/h' }, cwd });
  };
  const handle = createConfigHandle(load('{}'), () =>
    load(`
limits: { concurrency: 5, body_bytes: 9 }
budgets: { local: { idle_ms: 4, connect_ms: 3 } }
server: { heartbeat_ms: 7, body_timeout_ms: 8 }
retry: { max_retries: 0 }
breaker: { failures: 1 }
records: { capture: true }
`),
  );
  const before = handle.current();
  assert.deepEqual(handle.reload(), {
    type: 'applied',
    changed: ['server.heartbeat_ms', 'budgets.local.idle_ms', 'limits.concurrency', 'records.capture'],
    restart: ['server.body_timeout_ms', 'budgets.local.connect_ms', 'limits.body_bytes', 'retry', 'breaker'],
  });
  const { limits, budgets, server, retry, breaker, records } = handle.current();
  assert.deepEqual([limits.concurrency, limits.bodyBytes], [5, before.limits.bodyBytes]);
  assert.deepEqual([budgets.local.idleMs, budgets.local.connectMs], [4, before.budgets.local.connectMs]);
  assert.deepEqual([server.heartbeatMs, server.bodyTimeoutMs], [7, before.server.bodyTimeoutMs]);
  assert.deepEqual([retry, breaker], [before.retry, before.breaker]);
  assert.deepEqual(records, { ...before.records, capture: true });
  assert.equal(handle.reload().type, 'applied', 'what waits for a restart is named each time');
});

test('a broken new configuration leaves the old one in force', () => {
  const initial = config();
  const handle = createConfigHandle(initial, () => config({ PORT: 'x' }));
  assert.equal(handle.reload().type, 'refused');
  assert.equal(handle.current(), initial);
});

test('nothing has changed', () => {
  const handle = createConfigHandle(config(), () => config());
  assert.deepEqual(handle.reload(), { type: 'unchanged' });
});

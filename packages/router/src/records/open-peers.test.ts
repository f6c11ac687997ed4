import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { pino } from 'pino';
import type { LfoConfig } from '../config/config.ts';
import { createConfigHandle } from '../config/handle.ts';
import { loadConfig } from '../config/load.ts';
import { openPeers } from './open-peers.ts';

function configOf(env: Record<string, string> = {}): LfoConfig {
  return loadConfig({ env: { HOME: '/h', ...env }, cwd: '/nonexistent' });
}

/** A router, and the digest of its configuration as others are told of it. */
function routerOf(env: Record<string, string>) {
  let now = env;
  const handle = createConfigHandle(configOf(env), () => configOf(now));
  const peers = openPeers(handle, {
    clock: new FakeClock(),
    log: pino({ level: 'silent' }),
    random: () => 0,
    version: '1',
    look: () => ({ state: 'ready', inFlight: 0, waiting: 0 }),
  });
  const reload = (changed: Record<string, string>): void => {
    now = changed;
    handle.reload();
  };
  return { digest: () => peers.list()[0]?.config, reload };
}

test('routers that differ in what each has of its own are configured alike, wherever that is written', () => {
  const alike = [{}, { PORT: '8081' }, { LFO_ROUTER_NAME: 'one', LFO_MODELS_DIR: '/m' }, { MAX_LOCAL_TOKENS: '1500' }];
  const [first, ...others] = alike.map((env) => routerOf(env).digest());
  for (const digest of others) assert.equal(digest, first);
  assert.notEqual(routerOf({ MAX_LOCAL_TOKENS: '7' }).digest(), first);
});

test('a router that was reloaded is configured as one that has just started with the same', () => {
  const env = { MAX_LOCAL_TOKENS: '7' };
  const router = routerOf({});
  router.reload(env);
  assert.equal(router.digest(), routerOf(env).digest());
});

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import { loadConfig } from '../config/load.ts';
import type { AppOptions, RunningApp } from '../app/running-app.ts';
import { serve } from './serve.ts';
import { CliError, type Terminal } from './terminal.ts';

interface Scene {
  readonly clock: FakeClock;
  readonly signal: (name: string) => void;
  /** How often the process was ended at once. */
  readonly ends: () => number;
  readonly run: (startApp: (options: AppOptions) => Promise<RunningApp>) => Promise<number>;
  /** What a terminal was shown; to be asked when all is over. */
  readonly shown: () => Promise<string>;
}

/** @param env what a load of the configuration finds, the first one and those after */
function scene(t: TestContext, env: Record<string, string> = { LFO_LOG_LEVEL: 'silent' }): Scene {
  const cwd = mkdtempSync(join(tmpdir(), 'lfo-serve-'));
  t.after(() => rmSync(cwd, { recursive: true }));
  const clock = new FakeClock();
  const handlers = new Map<string, Set<() => void>>();
  let ends = 0;
  const output = new PassThrough();
  const terminal: Terminal = {
    env: {},
    cwd,
    nodeVersion: 'v24.0.0',
    input: new PassThrough(),
    output,
    errors: new PassThrough(),
    isInteractive: true,
    onSignal(name, run) {
      const set = handlers.get(name) ?? new Set();
      handlers.set(name, set.add(run));
      return () => void set.delete(run);
    },
    onCrash() {},
    exitNow: () => assert.fail('nothing crashes here'),
    endNow: () => void ends++,
  };
  const load = () => loadConfig({ env: { ...env, LFO_DATA_DIR: join(cwd, 'data') }, cwd });
  return {
    clock,
    ends: () => ends,
    signal: (name) => handlers.get(name)?.forEach((run) => run()),
    run: (startApp) => serve(load(), { terminal, clock, load, startApp }),
    shown: () => text(output.end()),
  };
}

test('a signal lets the app close and ends with 0; its echo from a launcher is the same signal', async (t) => {
  const { clock, signal, ends, run } = scene(t);
  const closed = Promise.withResolvers<void>();
  let closes = 0;
  const code = run(async () => ({
    url: 'http://127.0.0.1:1',
    close() {
      closes += 1;
      return closed.promise;
    },
  }));
  await settle();
  signal('SIGINT');
  clock.advance(400);
  signal('SIGINT');
  await settle();
  closed.resolve();
  assert.equal(await code, 0);
  assert.equal(closes, 1);
  clock.advance(1_000);
  signal('SIGINT');
  assert.equal(ends(), 0, 'what has come to its end is no failure any more');
});

test('a second signal while requests still run ends the process now', async (t) => {
  const { clock, signal, ends, run } = scene(t);
  const closed = Promise.withResolvers<void>();
  const code = run(async () => ({ url: 'http://127.0.0.1:1', close: () => closed.promise }));
  await settle();
  signal('SIGTERM');
  await settle();
  clock.advance(501);
  signal('SIGTERM');
  assert.equal(ends(), 1);
  closed.resolve();
  await code;
});

test('a port that cannot be had becomes advice, any other fault stays itself', async (t) => {
  const fault = (code: string) => async () => {
    throw Object.assign(new Error('listen'), { code });
  };
  await assert.rejects(
    scene(t).run(fault('EADDRINUSE')),
    (error) => error instanceof CliError && /PORT=8081/.test(error.message),
  );
  await assert.rejects(scene(t).run(fault('EACCES')), CliError);
  await assert.rejects(scene(t).run(fault('EADDRNOTAVAIL')), CliError);
  await assert.rejects(scene(t).run(fault('EBUG')), (error) => !(error instanceof CliError));
});

test('no key of any configuration that was in force is written to the log', async (t) => {
  const env: Record<string, string> = { GEMINI_API_KEY: 'first-key-4Tn2m' };
  const { clock, signal, run, shown } = scene(t, env);
  let app: AppOptions | undefined;
  const code = run(async (options) => {
    app = options;
    return { url: 'http://127.0.0.1:1', close: async () => {} };
  });
  await settle();
  for (const key of ['second-key-8Yb5c', 'third-key-2Hj6v']) {
    env['GEMINI_API_KEY'] = key;
    signal('SIGHUP');
    assert.deepEqual(app?.config.current().backends.at(-1)?.apiKeys, [key], 'it is in force');
  }
  app?.logger.warn('Said first-key-4Tn2m, second-key-8Yb5c and third-key-2Hj6v.');
  signal('SIGTERM');
  await settle();
  clock.advance(1_000);
  assert.equal(await code, 0);
  const log = await shown();
  assert.match(log, /Said \[redacted\], \[redacted\] and \[redacted\]\./);
  assert.doesNotMatch(log, /first-key|second-key|third-key/);
});

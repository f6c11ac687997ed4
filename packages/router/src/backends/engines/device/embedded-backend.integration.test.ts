import assert from 'node:assert/strict';
import { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { oneByOne } from '@lfo/testing/collect.ts';
import { assertWithin } from '@lfo/testing/figure.ts';
import { compileCache } from '@lfo/testing/lfo-process.ts';
import type { CallContext } from '../../../core/backend.ts';
import { systemClock } from '../../../core/clock.ts';
import { BackendError } from '../../../core/errors.ts';
import type { ChatRequest } from '../../../core/request.ts';
import { embeddedBackend } from './embedded-backend.ts';

const request: ChatRequest = {
  id: 'r',
  model: 'lfo-auto',
  messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
  tools: [],
  sampling: { stop: [], logprobs: false },
  stream: true,
  hints: { mode: 'auto' },
  bodyBytes: 100,
};

/** A real child with the scripted engine; closed when the test ends. */
function start(t: TestContext, scripted: Readonly<Record<string, number>> = {}, childOptions: object = {}) {
  const lines: string[] = [];
  const downs: string[] = [];
  const backend = embeddedBackend({
    id: 'embedded',
    config: { enabled: true, model: 'tiny', modelsDir: '/nowhere', contextTokens: 100, slots: 1, gpu: 'none' },
    offline: true,
    execPath: process.execPath,
    env: { PATH: process.env['PATH'], ...compileCache() },
    clock: systemClock,
    onLine: (line) => lines.push(line),
    onDown: (detail) => downs.push(detail),
    childOptions: { engine: 'scripted', scripted, ...childOptions },
  });
  t.after(() => backend.close());
  return { backend, lines, downs };
}

const call = (signal: AbortSignal): CallContext => ({
  signal,
  clock: systemClock,
  model: 'tiny',
  wantScores: false,
  warn() {},
  keepAlive() {},
});

async function until(what: string, isSo: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + 30_000;
  while (!isSo()) {
    if (performance.now() > giveUpMs) assert.fail(`not within 30 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const answer = async (
  backend: ReturnType<typeof start>['backend'],
  signal = new AbortController().signal,
): Promise<string> => {
  let text = '';
  for await (const event of oneByOne(backend.infer(request, call(signal))))
    if (event.type === 'text-delta') text += event.text;
  return text;
};

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test(
  'a child serves over its pipe, is killed mid-stream as cut, restarts and serves again',
  { timeout: 90_000 },
  async (t) => {
    const { backend, downs } = start(t, { words: 30, partMs: 10 });
    await until('ready', () => backend.status().state === 'ready');
    assert.deepEqual(backend.models, ['tiny']);
    const whole = await answer(backend);
    assert.equal(whole, Array.from({ length: 30 }, (_, at) => at).join(' '));
    assert.equal((await backend.countTokens(request, AbortSignal.timeout(10_000)))?.tokens, 2);

    const { pid } = backend.child;
    assert.ok(pid !== undefined);
    let killedMs = Infinity;
    await assert.rejects(
      async () => {
        for await (const event of oneByOne(backend.infer(request, call(new AbortController().signal)))) {
          if (event.type !== 'text-delta' || killedMs !== Infinity) continue;
          killedMs = performance.now();
          process.kill(pid, 'SIGKILL');
        }
      },
      (error) => error instanceof BackendError && error.fault === 'cut',
    );
    assertWithin(t, 'cut noticed', performance.now() - killedMs, 2_000);
    await until('down', () => downs.length === 1);
    assert.match(downs[0] ?? '', /by SIGKILL; it is started again in 0\.5 s/);
    await assert.rejects(answer(backend), (error) => error instanceof BackendError && error.fault === 'connect');

    await until('ready again', () => backend.status().state === 'ready');
    assert.notEqual(backend.child.pid, pid);
    assert.equal(await answer(backend), whole);
  },
);

test('an abort reaches the engine: its slot is free for the next request', { timeout: 60_000 }, async (t) => {
  const { backend } = start(t, { words: 100_000, partMs: 20 });
  await until('ready', () => backend.status().state === 'ready');
  const abort = new AbortController();
  const over = answer(backend, abort.signal);
  await until('running', () => backend.status().active === 1);
  abort.abort(new Error('left'));
  await assert.rejects(over, /left/);
  await until('idle', () => backend.status().active === 0);
});

test('a request may arrive before the child is ready to load and waits', { timeout: 60_000 }, async (t) => {
  const { backend } = start(t, { words: 3, loadMs: 500 });
  await until(
    'connected',
    () => backend.status().detail !== 'The device is starting.' && backend.status().state !== 'down',
  );
  assert.equal(await answer(backend), '0 1 2');
});

test('closing ends the child at once, though it answers', { timeout: 60_000 }, async (t) => {
  const { backend, downs } = start(t, { words: 100_000, partMs: 20 });
  await until('ready', () => backend.status().state === 'ready');
  const over = answer(backend);
  await until('running', () => backend.status().active === 1);
  const { pid } = backend.child;
  assert.ok(pid !== undefined && isAlive(pid));
  const kill = t.mock.method(ChildProcess.prototype, 'kill');
  const startMs = performance.now();
  await Promise.all([backend.close(), assert.rejects(over, BackendError)]);
  // SIGKILL follows after 2 s, for a child that does not listen.
  assertWithin(t, 'end of the child', performance.now() - startMs, 1_900);
  assert.deepEqual(kill.mock.calls[0]?.arguments, ['SIGTERM']);
  assert.equal(isAlive(pid), false);
  assert.deepEqual(downs, []);
});

test('a child whose parent goes leaves by itself and ignores Ctrl-C', { timeout: 60_000 }, async (t) => {
  const { spawn } = await import('node:child_process');
  const { Socket } = await import('node:net');
  const { deviceHostProgram } = await import('./embedded-backend.ts');
  const options = {
    model: 'm',
    modelsDir: '/nowhere',
    contextTokens: 9,
    slots: 1,
    gpu: 'none',
    offline: true,
    engine: 'scripted',
  };
  const child = spawn(process.execPath, [deviceHostProgram(), 'child', JSON.stringify(options)], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const pipe = child.stdio[3];
  assert.ok(pipe instanceof Socket);
  await once(pipe, 'data');
  child.kill('SIGINT');
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(child.exitCode, null);
  assert.equal(child.signalCode, null);
  const exited = once(child, 'exit');
  pipe.destroy();
  const startMs = performance.now();
  await exited;
  assertWithin(t, 'exit', performance.now() - startMs, 2_000);
});

test(
  'a child that cannot start is retried with growing pauses and says its last words',
  { timeout: 60_000 },
  async (t) => {
    const { backend, downs } = start(t, {}, { slots: -1 });
    await until('two failures', () => downs.length >= 2);
    assert.match(downs[0] ?? '', /with code 1; it is started again in 0\.5 s\. Its last words: /);
    assert.match(downs[1] ?? '', /started again in 1 s/);
    await assert.rejects(answer(backend), (error) => error instanceof BackendError && error.fault === 'connect');
  },
);

test(
  'a child that is stopped and never continued is noticed, ended and started again',
  { timeout: 120_000 },
  async (t) => {
    const { backend, downs } = start(t, { words: 3 });
    await until('ready', () => backend.status().state === 'ready');
    const { pid } = backend.child;
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGSTOP');
    const stoppedMs = performance.now();
    await until('noticed', () => backend.status().state !== 'ready');
    assertWithin(t, 'frozen child noticed', performance.now() - stoppedMs, 15_000);
    await until('ended', () => !isAlive(pid));
    assert.match(downs[0] ?? '', /was ended because it no longer answered; it is started again in 0\.5 s/);
    await until('ready again', () => backend.status().state === 'ready');
    assert.notEqual(backend.child.pid, pid);
    assert.equal(await answer(backend), '0 1 2');
  },
);

test(
  'a stopped child costs two requests 3 s each, then it is started again; counts cost 400 ms once',
  { timeout: 120_000 },
  async (t) => {
    const { backend, downs } = start(t, { words: 3 });
    await until('ready', () => backend.status().state === 'ready');
    const { pid } = backend.child;
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGSTOP');
    const never = new AbortController().signal;
    assert.equal(await backend.countTokens(request, never), undefined);
    for (let round = 0; round < 2; round++)
      await assert.rejects(answer(backend), (error) => error instanceof BackendError && error.fault === 'timeout');
    await until('ended', () => downs.length === 1 && !isAlive(pid));
    await until('ready again', () => backend.status().state === 'ready');
    assert.equal(await answer(backend), '0 1 2');
  },
);

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { Pool } from 'undici';

import { type LfoProcess, runLfo, startLfo, workingFolder } from '../lfo-process.ts';
import { type ParsedMetrics, parseMetrics, valueOf } from '../prometheus-text.ts';
import type { Answer } from '../router.ts';
import { readSse } from '../sse.ts';
import { fleetYaml, localServer, type Player, startPlayer } from './subject.ts';

export interface KeyedOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** As of `startLfo`. */
  readonly under?: readonly string[];
  /** Under which command others see the files it sees. */
  readonly besideIt?: (pid: number) => readonly string[];
  /** Instead of a folder of its own: shared with another router. */
  readonly cwd?: string;
  /** Instead of a backend of its own. */
  readonly player?: Player;
  /** The whole of `lfo.yaml`, instead of that backend and the usual budgets. */
  readonly yaml?: string;
}

/** The real `lfo serve` in front of one local server, as a process of its own. */
export interface KeyedProcess extends Player {
  readonly lfo: LfoProcess;
  readonly url: string;
  readonly cwd: string;
  /** Milliseconds from its start to its first answer. */
  readonly startedMs: number;
  /** Everything it has logged. */
  readonly log: () => string;
  /** Runs `lfo …` beside it on the same database; its standard output. */
  readonly run: (...args: string[]) => Promise<string>;
  readonly request: (method: 'GET' | 'POST', path: string, key?: string, body?: unknown) => Promise<Answer>;
  /** A chat of the local server; fails on nothing but the socket. */
  readonly chat: (key?: string, more?: Readonly<Record<string, unknown>>) => Promise<Answer>;
  /** A whole chat as a stream: whether it came to its end. */
  readonly streams: (key?: string) => Promise<boolean>;
  /** Needs the admin scope. */
  readonly metrics: (key: string) => Promise<ParsedMetrics>;
}

/** Starts it and waits for its first answer. */
export async function serveKeyed(t: TestContext, options: KeyedOptions = {}): Promise<KeyedProcess> {
  const player = options.player ?? (await startPlayer(t, localServer));
  const cwd = options.cwd ?? workingFolder(t);
  const env = { PORT: '0', LFO_LOG_LEVEL: 'info', ...options.env };
  const yaml = options.yaml ?? fleetYaml([localServer.entry(player.upstream.origin)]);
  writeFileSync(join(cwd, 'lfo.yaml'), yaml);
  const from = performance.now();
  const lfo = startLfo(t, ['serve'], {
    cwd,
    env,
    ...(options.under !== undefined && { under: options.under }),
  });
  let logged = '';
  lfo.child.stdout?.on('data', (text: string) => (logged += text));
  const url = /http:\/\/[^"\s]+:\d+/.exec(await lfo.output(/http:\/\/[^"\s]+:\d+/))?.[0] ?? assert.fail('no address');
  const pool = new Pool(url, { connections: 64 });
  t.after(() => pool.destroy());

  const request: KeyedProcess['request'] = async (method, path, key, body) => {
    const response = await pool.request({
      method,
      path,
      headers: {
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.body.text();
    const isJson = String(response.headers['content-type']).startsWith('application/json');
    const json: unknown = isJson ? JSON.parse(text) : undefined;
    return { status: response.statusCode, headers: response.headers, text, json };
  };
  const chat: KeyedProcess['chat'] = (key, more) =>
    request('POST', '/v1/chat/completions', key, {
      model: 'lfo-local',
      messages: [{ role: 'user', content: 'Hello' }],
      ...more,
    });
  assert.equal((await request('GET', '/health')).status, 200);
  const beside = options.besideIt?.(lfo.child.pid ?? 0) ?? [];
  return {
    ...player,
    lfo,
    url,
    cwd,
    startedMs: performance.now() - from,
    log: () => logged,
    async run(...args) {
      const { code, stdout, stderr } = await runLfo(t, args, { cwd, env, under: beside });
      assert.equal(code, 0, stderr);
      return stdout.trim();
    },
    request,
    chat,
    async streams(key) {
      const { status, text } = await chat(key, { stream: true });
      return status === 200 && readSse(text).isDone;
    },
    metrics: async (key) => parseMetrics((await request('GET', '/metrics', key)).text),
  };
}

const limits = ['--requests-per-day', '1000000', '--tokens-per-minute', '100000000', '--usd-per-day', '1000'];

/** A key for operators, and one with limits for chats; both known to the router. */
export async function keysOf(router: KeyedProcess): Promise<{ readonly admin: string; readonly key: string }> {
  const admin = await router.run('keys', 'create', '--name', 'admin', '--scope', 'admin');
  const key = await router.run('keys', 'create', '--name', 'app', ...limits);
  await known(router, key);
  return { admin, key };
}

/** Resolves when the router knows of the key, and that keys are needed. */
export async function known(router: KeyedProcess, key: string): Promise<void> {
  await until('the door is closed', async () => (await router.chat()).status === 401);
  await until('the key is known', async () => (await router.chat(key)).status === 200);
}

/** A metric about the records: `written_total`, `dropped_total`, `pending`, `degraded`. */
export async function counted(router: KeyedProcess, admin: string, name: string): Promise<number> {
  return valueOf(await router.metrics(admin), `lfo_records_${name}`, {}) ?? assert.fail(name);
}

/** Asks until it is so; the milliseconds that took. */
export async function until(what: string, isSo: () => Promise<boolean>, withinMs = 45_000): Promise<number> {
  const from = performance.now();
  while (!(await isSo())) {
    if (performance.now() - from > withinMs) assert.fail(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return performance.now() - from;
}

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { startApp } from '@lfo/router/src/app/app.ts';
import { type Clock, systemClock } from '@lfo/router/src/core/clock.ts';
import { createConfigHandle, type ReloadableConfig } from '@lfo/router/src/config/handle.ts';
import { loadConfig } from '@lfo/router/src/config/load.ts';
import { createLogger } from '@lfo/router/src/telemetry/log.ts';
import type { HostProcess, ReadyInfo, RunningApp } from '@lfo/router/src/app/running-app.ts';
import { Pool } from 'undici';

import { compileCache } from './lfo-process.ts';
import { readSse, type ReadStream } from './sse.ts';

export interface TestRouterOptions {
  /** Lines of `lfo.yaml`. */
  readonly yaml?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly childOptions?: HostProcess['childOptions'];
  /** Default: the system's. */
  readonly clock?: Clock;
}

/** One answer as a client sees it. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly json: unknown;
}

/** A whole router in this process, on a free port and in a folder of its own; gone with its test. */
export interface TestRouter {
  readonly app: RunningApp;
  readonly config: ReloadableConfig;
  /** Where it keeps its data; the working folder. */
  readonly folder: string;
  /** Everything it has logged. */
  readonly log: () => string;
  /** Resolves when the embedded model is loaded, or has failed to, or there is none. */
  readonly ready: Promise<ReadyInfo>;
  readonly request: (
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<Answer>;
  /** A chat completion, not streamed. */
  readonly chat: (body: Readonly<Record<string, unknown>>, headers?: Record<string, string>) => Promise<Answer>;
  readonly stream: (
    body: Readonly<Record<string, unknown>>,
    headers?: Record<string, string>,
  ) => Promise<Answer & ReadStream>;
}

/** Starts one; without options it has no backend at all. */
export async function startRouter(t: Pick<TestContext, 'after'>, options: TestRouterOptions = {}): Promise<TestRouter> {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-router-'));
  if (options.yaml !== undefined) writeFileSync(join(folder, 'lfo.yaml'), options.yaml);
  const env = {
    LFO_LOCAL_MODEL: 'none',
    PORT: '0',
    LFO_DATA_DIR: join(folder, 'data'),
    LFO_LOG_LEVEL: 'debug',
    ...options.env,
  };
  const load = () => loadConfig({ env, cwd: folder });
  const config = createConfigHandle(load(), load);
  const lines: string[] = [];
  const logger = createLogger({
    level: config.current().logLevel,
    destination: { write: (line) => void lines.push(line) },
  });
  const { promise: ready, resolve } = Promise.withResolvers<ReadyInfo>();
  const startup = { listening() {}, progress() {}, ready: resolve, unable: resolve };
  const { PATH, HOME } = process.env;
  const app = await startApp(
    { config, logger, clock: options.clock ?? systemClock, processStartMs: systemClock.nowMs(), startup },
    {
      execPath: process.execPath,
      childEnv: { PATH, HOME, ...compileCache() },
      random: Math.random,
      ...(options.childOptions === undefined ? {} : { childOptions: options.childOptions }),
    },
  );
  const pool = new Pool(app.url);
  t.after(async () => {
    await pool.destroy();
    await app.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const request: TestRouter['request'] = async (method, path, body, headers = {}) => {
    const sent =
      body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } };
    const response = await pool.request({ method, path, headers, ...sent });
    const text = await response.body.text();
    const isJson = String(response.headers['content-type']).startsWith('application/json');
    return {
      status: response.statusCode,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : undefined,
    };
  };
  const chat: TestRouter['chat'] = (body, headers) => request('POST', '/v1/chat/completions', body, headers);
  const stream: TestRouter['stream'] = async (body, headers) => {
    const answer = await chat({ ...body, stream: true }, headers);
    return {
      ...answer,
      ...(answer.json === undefined ? readSse(answer.text) : { chunks: [], isDone: false, comments: 0 }),
    };
  };
  return { app, config, folder, log: () => lines.join(''), ready, request, chat, stream };
}

/** A user's question as a body. */
export function asking(content: string, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { messages: [{ role: 'user', content }], ...more };
}

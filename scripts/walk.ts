/**
 * Prints the files of `packages/router/src` in which a function runs between the head and the last byte of one unary
 * local request, by V8's coverage of it. The request is sent several times, and what did not run in each of them is a
 * timer's work beside it. `core/` is left out; files of types alone never run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startApp } from '../packages/router/src/app/app.ts';
import { createConfigHandle } from '../packages/router/src/config/handle.ts';
import { loadConfig } from '../packages/router/src/config/load.ts';
import { systemClock } from '../packages/router/src/core/clock.ts';
import { createLogger } from '../packages/router/src/telemetry/log.ts';

const most = 18;
const turns = 10;
const source = fileURLToPath(new URL('../packages/router/src/', import.meta.url));

const folder = mkdtempSync(join(tmpdir(), 'lfo-walk-'));
const env = { PORT: '0', LFO_DATA_DIR: join(folder, 'data'), LFO_LOG_LEVEL: 'fatal', LFO_LOCAL_MODEL: 'tiny' };
const load = () => loadConfig({ env, cwd: folder });
const config = createConfigHandle(load(), load);
const { promise: ready, resolve } = Promise.withResolvers<unknown>();
const app = await startApp(
  {
    config,
    logger: createLogger({ level: 'fatal', destination: { write: () => undefined } }),
    clock: systemClock,
    processStartMs: systemClock.nowMs(),
    startup: { listening() {}, progress() {}, ready: resolve, unable: resolve },
  },
  {
    execPath: process.execPath,
    childEnv: { PATH: process.env['PATH'] },
    random: Math.random,
    childOptions: { engine: 'scripted' },
  },
);
try {
  await ready;
  await ask();
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  let common: readonly string[] | undefined;
  for (let turn = 0; turn < turns; turn += 1) {
    await session.post('Profiler.takePreciseCoverage');
    await ask();
    const { result } = await session.post('Profiler.takePreciseCoverage');
    const urls = result
      .filter(({ url }) => url.startsWith('file:') && fileURLToPath(url).startsWith(source))
      .filter(({ functions }) => functions.some(({ functionName, ranges }) => functionName !== '' && ran(ranges)))
      .map(({ url }) => relative(source, fileURLToPath(url)));
    common = common === undefined ? urls : common.filter((file) => urls.includes(file));
  }
  session.disconnect();
  const files = (common ?? []).filter((file) => !file.startsWith('core/')).toSorted();
  for (const file of files) process.stdout.write(`${file}\n`);
  process.stdout.write(`${files.length} files; at most ${most} are wanted.\n`);
  process.exitCode = files.length > most ? 1 : 0;
} finally {
  await app.close();
  rmSync(folder, { recursive: true, force: true });
}

function ran(ranges: readonly { readonly count: number }[]): boolean {
  return ranges.some(({ count }) => count > 0);
}

async function ask(): Promise<void> {
  const response = await fetch(`${app.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'lfo-local', messages: [{ role: 'user', content: 'Count.' }] }),
  });
  if (response.status !== 200) throw new Error(`The request was answered ${response.status}.`);
  await response.text();
}

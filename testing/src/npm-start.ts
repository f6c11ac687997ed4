import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { isJsonObject, type JsonObject, parseJson } from '@lfo/router/src/core/json.ts';

/** The folder of this checkout. */
export const checkout = join(import.meta.dirname, '../..');

/** Where weights are looked for, and fetched to once: what a run of one's own has fetched already is used. */
export const modelsDir = process.env['LFO_MODELS_DIR'] ?? join(homedir(), '.local/share/lfo/models');

/** The product as its users start it. */
export interface Product {
  readonly url: string;
  /** Milliseconds from the start of npm to `/ready`. */
  readonly startedMs: number;
  /** Of npm, which leads the process group. */
  readonly pid: number;
  /** JSON lines printed so far. */
  readonly lines: readonly JsonObject[];
  /** SIGTERM to the whole group, as a terminal or a supervisor sends it; resolves with npm's exit code. */
  readonly stop: () => Promise<number | null>;
  /** For good, with its data, also after `stop`. */
  readonly discard: () => void;
}

/** Runs `npm start` in the checkout, on a free port, with data of its own; resolves when its model is loaded. */
export async function npmStart(env: Readonly<Record<string, string>> = {}): Promise<Product> {
  const data = mkdtempSync(join(tmpdir(), 'lfo-start-'));
  const startedAt = performance.now();
  const { PATH, HOME } = process.env;
  const child = spawn('npm', ['start'], {
    cwd: checkout,
    detached: true,
    env: { PATH, HOME, PORT: '0', LFO_DATA_DIR: data, LFO_MODELS_DIR: modelsDir, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('npm does not start');
  const ended = once(child, 'close');
  const lines: JsonObject[] = [];
  const { promise: listening, resolve } = Promise.withResolvers<string>();
  const { promise: loaded, resolve: onLoaded } = Promise.withResolvers<void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const record = parseJson(line);
    if (!isJsonObject(record)) return;
    lines.push(record);
    if (typeof record['url'] === 'string') resolve(record['url']);
    // With a cloud it is ready before that.
    if (record['startupMs'] !== undefined) onLoaded();
  });
  const discard = (): void => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-pid, 'SIGKILL');
    rmSync(data, { recursive: true, force: true });
  };
  const failed = ended.then(() => Promise.reject(new Error(`npm start ended: ${JSON.stringify(lines)}`)));
  failed.catch(() => {});
  try {
    const url = await Promise.race([listening, failed]);
    await Promise.race([ready(url), failed]);
    const startedMs = performance.now() - startedAt;
    await Promise.race([loaded, failed]);
    return {
      url,
      pid,
      lines,
      discard,
      startedMs,
      async stop() {
        process.kill(-pid, 'SIGTERM');
        await ended;
        return child.exitCode;
      },
    };
  } catch (error) {
    discard();
    throw error;
  }
}

/** The reader of a bench or a test that starts the product has no better clock than a poll. */
async function ready(url: string): Promise<void> {
  for (;;) {
    const { status } = await fetch(`${url}/ready`);
    if (status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

const pollMs = 20;

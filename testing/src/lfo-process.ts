import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

const ownLauncher = fileURLToPath(new URL('../../packages/router/bin/lfo.js', import.meta.url));

/** Longest wait for a line of a process. */
const outputMs = 120_000;

/** What a finished `lfo` left behind. */
export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface LfoProcess {
  readonly child: ChildProcess;
  /** Resolves once standard output matches; rejects when the process ends before, or says nothing of the kind for two minutes. */
  output(pattern: RegExp): Promise<string>;
  readonly finished: Promise<Finished>;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly input?: string;
  /** Instead of this checkout's; its sources are run whether it has a bundle or not. */
  readonly launcher?: string;
  /** Instead of the Node that runs the tests. */
  readonly node?: string;
  /** Shell commands that set the process up, such as `ulimit`. */
  readonly shell?: string;
  /** A command that becomes the process, such as `unshare` with its options. */
  readonly under?: readonly string[];
}

/** An empty working folder of a test's own. */
export function workingFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-cli-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts the real command line in a clean environment; killed when the test ends. */
export function startLfo(
  t: TestContext,
  args: readonly string[],
  { env = {}, cwd, input, node, shell, under = [], launcher = ownLauncher }: RunOptions,
): LfoProcess {
  const command = [...under, node ?? process.execPath, launcher, ...args];
  const [program = '', ...rest] =
    shell === undefined ? command : ['/bin/sh', '-c', `${shell}; exec "$@"`, 'sh', ...command];
  const child = spawn(program, rest, {
    cwd,
    env: {
      PATH: process.env['PATH'],
      HOME: cwd,
      ...compileCache(),
      ...(launcher === ownLauncher ? { LFO_BUNDLE: 'off' } : {}),
      LFO_DATA_DIR: join(cwd, 'data'),
      LFO_LOCAL_MODEL: 'none',
      ...env,
    },
    stdio: 'pipe',
  });
  t.after(() => child.kill('SIGKILL'));
  child.stdin.on('error', () => {});
  child.stdin.end(input ?? '');
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const finished = new Promise<Finished>((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
  return {
    child,
    finished,
    output: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!pattern.test(stdout)) return;
          clearTimeout(giveUp);
          resolve(stdout);
        };
        const fail = (what: string): void => {
          clearTimeout(giveUp);
          reject(new Error(`${what} ${pattern}: ${stdout}${stderr}`));
        };
        const giveUp = setTimeout(() => fail('two minutes without'), outputMs);
        child.stdout.on('data', look);
        child.on('close', () => fail('ended before'));
        look();
      }),
  };
}

/**
 * Where the runner of the tests keeps compiled code, as a variable for a process that a test starts: with it a start
 * takes half the time. A process that is to keep its own has another value, or an empty one.
 */
export function compileCache(): Readonly<Record<string, string>> {
  const { NODE_COMPILE_CACHE: folder } = process.env;
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder };
}

/** Runs the real command line to its end. */
export function runLfo(t: TestContext, args: readonly string[], options: RunOptions): Promise<Finished> {
  return startLfo(t, args, options).finished;
}

// Plain JavaScript that old versions of Node can read.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import module, { createRequire } from 'node:module';
import { constants, homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolder } from './make-folder.js';

/**
 * As `npm start` has it: the young generation grows to 134 MB otherwise and is never given back, for no gain in time.
 */
const heapFlags = ['--max-semi-space-size=16'];

/** Runs a program, a file URL, in this process; under an old Node in a process of the one that came with it. */
export async function run(program, args, howToGetNode) {
  keepCompiledCode();
  if (Number(process.versions.node.split('.')[0]) < 24) return runWithOwnNode(program, args, howToGetNode);
  process.argv.splice(2, Infinity, ...args);
  await import(program.href);
}

/** Node keeps what it compiles for the next start, half a second each for the router and the model's process. */
function keepCompiledCode() {
  const { NODE_COMPILE_CACHE, LFO_DATA_DIR, XDG_CACHE_HOME } = process.env;
  // Who names a data folder wants nothing written elsewhere.
  const usual = LFO_DATA_DIR ? join(LFO_DATA_DIR, 'cache') : join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'lfo');
  const folder = resolve(NODE_COMPILE_CACHE || usual);
  // A data folder is made by the commands that write to it.
  if (!NODE_COMPILE_CACHE && LFO_DATA_DIR && !existsSync(LFO_DATA_DIR)) return;
  try {
    // Compiled code is run as it is found: nobody else may write there.
    makeFolder(folder);
  } catch {
    return;
  }
  // The processes we start find it here.
  process.env.NODE_COMPILE_CACHE = folder;
  module.enableCompileCache?.(folder);
}

function runWithOwnNode(program, args, howToGetNode) {
  const binary = ownNode();
  if (binary === undefined) {
    process.stderr.write(`LFO needs Node 24 and this is ${process.version}. ${howToGetNode}\n`);
    process.exitCode = 1;
    return;
  }
  const child = spawn(binary, [...heapFlags, fileURLToPath(program), ...args], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`The Node 24 that came with LFO does not start (${error.code}). ${howToGetNode}\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    // As a shell says it.
    process.exitCode = code ?? 128 + constants.signals[signal];
  });
}

/** The binary that npm brings with the package `node`. */
function ownNode() {
  try {
    const folder = dirname(createRequire(import.meta.url).resolve('node/package.json'));
    const { bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const path = join(folder, typeof bin === 'string' ? bin : bin.node);
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

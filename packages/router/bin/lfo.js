#!/usr/bin/env node
// Plain JavaScript that old versions of Node can read: finds the right Node before anything else is loaded.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import module, { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stampOf } from './bundle-stamp.js';

const main = program();

keepCompiledCode();
if (Number(process.versions.node.split('.')[0]) >= 24) await import(main.href);
else runWithOwnNode();

/** The bundle, which starts in half the time, unless something was edited since it was made: then the sources. */
function program() {
  const sources = new URL('../src/main.ts', import.meta.url);
  if (process.env.LFO_BUNDLE === 'off') return sources;
  try {
    const stamp = readFileSync(new URL('../dist/stamp', import.meta.url), 'utf8');
    const clone = fileURLToPath(new URL('../../..', import.meta.url));
    return stamp === stampOf(clone) ? new URL('../dist/lfo.js', import.meta.url) : sources;
  } catch {
    return sources;
  }
}

/** Node keeps what it compiles for the next start, half a second each for the router and the model's process. */
function keepCompiledCode() {
  const { NODE_COMPILE_CACHE, LFO_DATA_DIR, XDG_CACHE_HOME } = process.env;
  // Who names a data folder wants nothing written elsewhere.
  const usual = LFO_DATA_DIR ? join(LFO_DATA_DIR, 'cache') : join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'lfo');
  const folder = resolve(NODE_COMPILE_CACHE || usual);
  try {
    // Compiled code is run as it is found: nobody else may write there.
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch {
    return;
  }
  // The processes we start find it here.
  process.env.NODE_COMPILE_CACHE = folder;
  module.enableCompileCache?.(folder);
}

function runWithOwnNode() {
  const binary = ownNode();
  if (binary === undefined) {
    process.stderr.write(
      `LFO needs Node 24 and this is ${process.version}. Its own copy is missing: run "npm ci", and "npm rebuild node" if npm was told to skip install scripts.\n`,
    );
    process.exitCode = 1;
    return;
  }
  const child = spawn(binary, [fileURLToPath(main), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`LFO's own Node does not start (${error.code}): run "npm ci".\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 143);
  });
}

/** The binary that `npm ci` brings with the package `node`. */
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

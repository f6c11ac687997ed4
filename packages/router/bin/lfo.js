#!/usr/bin/env node
// Plain JavaScript that old versions of Node can read: finds the right Node before anything else is loaded.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const main = new URL('../src/main.ts', import.meta.url);

if (Number(process.versions.node.split('.')[0]) >= 24) await import(main.href);
else runWithOwnNode();

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

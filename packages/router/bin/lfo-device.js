#!/usr/bin/env node
// The command of the device host's own package, which is `lfo device` where there is no LFO.
import { fileURLToPath } from 'node:url';
import { run } from './own-node.js';

const folder = fileURLToPath(new URL('../../../..', import.meta.url)).replace(/[/\\]$/, '');
const program = new URL('../dist/lfo-device-host.js', import.meta.url);
// What is said of how to start it again names what takes all its words.
process.argv[1] = fileURLToPath(program);
await run(
  program,
  ['device', ...process.argv.slice(2)],
  `Install it, or have npm bring it: npm install --prefix ${folder} node@24`,
);

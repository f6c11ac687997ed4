#!/usr/bin/env node
// The command of the device host's own package, which is `lfo device` where there is no LFO.
import { fileURLToPath } from 'node:url';
import { run } from './own-node.js';

const folder = fileURLToPath(new URL('../../../..', import.meta.url)).replace(/[/\\]$/, '');
await run(
  new URL('../dist/lfo-device-host.js', import.meta.url),
  ['device', ...process.argv.slice(2)],
  `Install it, or have npm bring it: npm install --prefix ${folder} node@24`,
);

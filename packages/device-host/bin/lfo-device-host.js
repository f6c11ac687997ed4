#!/usr/bin/env node
// Plain JavaScript, so that a Node too old for TypeScript reads far enough to be told what to do.
const [major] = process.versions.node.split('.');
if (Number(major) < 24) {
  process.stderr.write(`lfo-device-host needs Node 24 or later; this is ${process.version}.\n`);
  process.exit(2);
}
const { main } = await import('../src/main.ts');
await main(process.argv.slice(2));

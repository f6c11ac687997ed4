#!/usr/bin/env node
// Plain JavaScript, so that an old Node gets this far and is told what is missing.
if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(
    `LFO needs Node 24; this is ${process.version}. Run "npm ci" in the project and start it with npm or npx.\n`,
  );
  process.exit(1);
}
const { main } = await import('../src/main.ts');
await main(process.argv.slice(2));

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { workingFolder } from '@lfo/testing/lfo-process.ts';

test("under an old Node a command ends as the process of LFO's own Node did", (t) => {
  const folder = workingFolder(t);
  const [program, launcher] = [join(folder, 'program.js'), join(folder, 'launcher.mjs')];
  const ownNode = new URL('../bin/own-node.js', import.meta.url).href;
  writeFileSync(
    program,
    `const [, , how] = process.argv; isNaN(how) ? process.kill(process.pid, how) : process.exit(how);`,
  );
  writeFileSync(
    launcher,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.0.0' } });
     const { run } = await import(${JSON.stringify(ownNode)});
     await run(new URL(${JSON.stringify(pathToFileURL(program).href)}), process.argv.slice(2), '');`,
  );
  const codeOf = (how: string) => spawnSync(process.execPath, [launcher, how], { cwd: folder, env: {} }).status;
  const ends = ['0', '3', 'SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL', 'SIGABRT'];
  assert.deepEqual(ends.map(codeOf), [0, 3, 130, 143, 129, 137, 134]);
});

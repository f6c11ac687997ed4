/**
 * Checks the import rules twice: the tree must pass, and planted forbidden imports must fail, since a checker that
 * reads nothing passes everything.
 */
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';

const cruise = (...paths: readonly string[]): { ok: boolean; output: string } => {
  const run = spawnSync(
    process.execPath,
    ['node_modules/dependency-cruiser/bin/dependency-cruiser.mjs', '--config', '.dependency-cruiser.mjs', ...paths],
    { encoding: 'utf8' },
  );
  return { ok: run.status === 0, output: `${run.stdout}${run.stderr}` };
};

const tree = cruise('packages', 'testing');
process.stdout.write(tree.output);

/** Each breaks one rule. */
const planted = [
  {
    rule: 'stage-routing-alone',
    folder: 'packages/router/src/routing',
    source: "export { openGate } from '../confidence/gate.ts';\n",
  },
  { rule: 'portable', folder: 'packages/device-core/src', source: "export { Socket } from 'node:net';\n" },
  { rule: 'device-core-on-protocol', folder: 'packages/device-core/src', source: "export { z } from 'zod';\n" },
  {
    rule: 'router-forks-the-host',
    folder: 'packages/router/src/backends',
    source: "export { main } from '@lfo/device-host/src/main.ts';\n",
  },
];

const missed = planted.filter(({ rule, folder, source }) => {
  const file = `${folder}/planted-by-check-imports.ts`;
  try {
    writeFileSync(file, source);
    const caught = cruise(file);
    if (!caught.ok && caught.output.includes(rule)) return false;
    process.stdout.write(`The import rules did not catch a planted violation of ${rule}:\n${caught.output}\n`);
    return true;
  } finally {
    rmSync(file, { force: true });
  }
});
process.exitCode = tree.ok && missed.length === 0 ? 0 : 1;

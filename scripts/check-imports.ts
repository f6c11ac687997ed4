/**
 * Checks the import rules twice: the tree must pass, and a planted forbidden import must fail, since a checker that
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

const planted = 'packages/router/src/routing/planted-by-check-imports.ts';
try {
  writeFileSync(planted, "export { openGate } from '../confidence/gate.ts';\n");
  const caught = cruise(planted);
  const bites = !caught.ok && caught.output.includes('stage-routing-alone');
  if (!bites) process.stdout.write(`The import rules did not catch a planted violation:\n${caught.output}\n`);
  process.exitCode = tree.ok && bites ? 0 : 1;
} finally {
  rmSync(planted, { force: true });
}

/**
 * Checks the import rules twice: the tree must pass, and a planted violation of each rule must fail, since a checker
 * that reads nothing passes everything.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const cruise = (...paths: readonly string[]): { ok: boolean; output: string } => {
  const run = spawnSync(
    process.execPath,
    ['node_modules/dependency-cruiser/bin/dependency-cruiser.mjs', '--config', '.dependency-cruiser.mjs', ...paths],
    { encoding: 'utf8' },
  );
  return { ok: run.status === 0, output: `${run.stdout}${run.stderr}` };
};

const router = 'packages/router/src';

/** One forbidden import a rule: where it is planted (`%` becomes the planted file's name) and what it imports. */
const violations: Readonly<Record<string, readonly [folder: string, code: string]>> = {
  'no-circular': [`${router}/core`, "import type { Loop } from './%.ts';\nexport type Loop2 = Loop;\n"],
  unresolvable: [`${router}/core`, "export * from './nothing-of-this-name.ts';\n"],
  'folder-core': [`${router}/core`, "export { openGate } from '../confidence/gate.ts';\n"],
  'folder-config': [`${router}/config`, "export { openGate } from '../confidence/gate.ts';\n"],
  'folder-server': [`${router}/server`, "export { openStore } from '../records/store/open-store.ts';\n"],
  'folder-backends': [`${router}/backends`, "export { openGate } from '../confidence/gate.ts';\n"],
  'folder-routing': [`${router}/routing`, "export { openGate } from '../confidence/gate.ts';\n"],
  'folder-confidence': [`${router}/confidence`, "export { decide } from '../routing/decide.ts';\n"],
  'folder-records': [`${router}/records`, "export { Metrics } from '../telemetry/metrics.ts';\n"],
  'folder-keys': [`${router}/keys`, "export { Metrics } from '../telemetry/metrics.ts';\n"],
  'folder-telemetry': [`${router}/telemetry`, "export { openKeys } from '../keys/open-keys.ts';\n"],
  'folder-pipeline': [`${router}/pipeline`, "export { buildServer } from '../server/server.ts';\n"],
  'folder-dialects': [`${router}/dialects`, "export { Pool } from '../backends/pool.ts';\n"],
  'folder-admin': [`${router}/admin`, "export { Plan } from '../pipeline/plan.ts';\n"],
  'folder-app': [`${router}/app`, "export { runCli } from '../cli/program.ts';\n"],
  'folder-cli': [`${router}/cli`, "export { Pool } from '../backends/pool.ts';\n"],
  'config-types-only': [`${router}/routing`, "export { loadConfig } from '../config/load.ts';\n"],
  'engines-apart': [
    `${router}/backends/engines/gemini`,
    "export { createOpenAiCompatibleBackend } from '../openai-compatible/backend.ts';\n",
  ],
  'dialects-apart': [`${router}/dialects/planted`, "export { chatReader } from '../openai-chat/read-chat.ts';\n"],
  'cloud-client-from-one-module': [
    `${router}/app`,
    "export { createCloudClient } from '../backends/http/cloud-client.ts';\n",
  ],
  'http-client-from-few-modules': [
    `${router}/app`,
    "export { createHttpClient } from '../backends/http/socket-client.ts';\n",
  ],
  'portable-packages': ['packages/protocol/src', "export { hash } from 'node:crypto';\n"],
  'protocol-alone': ['packages/protocol/src', "export { FakeClock } from '@lfo/testing/fake-clock.ts';\n"],
  'device-core-on-protocol': ['packages/device-core/src', "export { FakeClock } from '@lfo/testing/fake-clock.ts';\n"],
  'router-forks-the-host': [`${router}/app`, "export * from '../../../device-host/src/main.ts';\n"],
  'host-without-router': ['packages/device-host/src', "export { FakeClock } from '@lfo/testing/fake-clock.ts';\n"],
  'dashboard-shares-shapes': [
    'packages/dashboard/src',
    "export { decide } from '../../router/src/routing/decide.ts';\n",
  ],
};

const tree = cruise('packages', 'testing');
process.stdout.write(tree.output);
let allBite = true;
const planted = Object.entries(violations).map(([rule, [folder, code]]) => {
  const name = `planted-${rule}`;
  return {
    rule,
    file: `${folder}/${name}.ts`,
    code: code.replaceAll('%', `${name}-back`),
    back: `${folder}/${name}-back.ts`,
  };
});
try {
  for (const { rule, file, code, back } of planted) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, code);
    if (rule === 'no-circular')
      writeFileSync(back, `import type { Loop2 } from './planted-${rule}.ts';\nexport type Loop = Loop2;\n`);
  }
  const { output } = cruise(...planted.map(({ file }) => file));
  for (const { rule, file } of planted) {
    const isCaught = output
      .split('\n')
      .some((line) => line.includes(`error ${rule}:`) && line.includes(`planted-${rule}`));
    if (isCaught) continue;
    allBite = false;
    process.stdout.write(`The import rule "${rule}" did not catch what was planted in ${file}.\n`);
  }
} finally {
  for (const { file, back } of planted) for (const path of [file, back]) rmSync(path, { force: true });
  rmSync(`${router}/dialects/planted`, { recursive: true, force: true });
}
process.exitCode = tree.ok && allBite ? 0 : 1;

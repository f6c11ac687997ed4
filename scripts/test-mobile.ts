/**
 * The phone's tests: installs the app's own packages where its lockfile has changed, then its types, its lint, its
 * manifest and its Jest suite. With `LFO_TEST_FULL=1` also what takes minutes: the bundle, the native project, Kotlin,
 * Hermes, the screens and Termux (`scripts/mobile/`). `node scripts/test-mobile.ts --install` does no more than the first.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const app = join(root, 'apps', 'mobile');
const env = {
  ...process.env,
  CI: '1',
  EXPO_NO_TELEMETRY: '1',
  EXPO_OFFLINE: '1',
  PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`,
};

function run(what: string, cwd: string, command: string, ...args: readonly string[]): void {
  const startedMs = performance.now();
  const { status, error } = spawnSync(command, args, { cwd, env, stdio: 'inherit' });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  if (error !== undefined) throw error;
  process.stdout.write(`${status === 0 ? 'ok' : 'FAILED'}: ${what} (${seconds} s)\n`);
  if (status !== 0) process.exit(1);
}

/** The app has its own lockfile; its packages are installed once and kept while that stays as it is. */
function install(): void {
  const mark = join(app, 'node_modules', '.lfo-lockfile');
  const hash = createHash('sha256')
    .update(readFileSync(join(app, 'package-lock.json')))
    .digest('hex');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === hash) return;
  run('npm ci of the app', app, 'npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund');
  writeFileSync(mark, hash);
}

const bin = (name: string): string => join(app, 'node_modules', '.bin', name);

install();
if (process.argv.includes('--install')) process.exit(0);
run('types', app, bin('tsc'), '--noEmit');
run(
  'lint',
  root,
  join(root, 'node_modules/.bin/oxlint'),
  '--type-aware',
  '-c',
  'apps/mobile/oxlint.json',
  'apps/mobile',
);
run('manifest', app, process.execPath, join(root, 'scripts', 'mobile', 'manifest.ts'));
run('Jest', app, bin('jest'), '--ci');

if (process.env['LFO_TEST_FULL'] === '1') {
  for (const name of ['kotlin', 'bundle', 'hermes', 'screens', 'termux'])
    run(name, app, process.execPath, join(root, 'scripts', 'mobile', `${name}.ts`));
}

/** Bundles the app to Hermes bytecode, as in a release, and asserts its size; then that Expo makes the native project. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const app = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'apps', 'mobile');
const budgetBytes = 3_000_000;
const expo = (...args: readonly string[]): void => {
  execFileSync(process.execPath, [join(app, 'node_modules/expo/bin/cli'), ...args], {
    cwd: app,
    env: { ...process.env, CI: '1', EXPO_NO_TELEMETRY: '1', EXPO_OFFLINE: '1' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
};

const out = mkdtempSync(join(tmpdir(), 'lfo-bundle-'));
try {
  // As Gradle compiles a release (`-O -output-source-map`): what a debugger needs lies in the map, not in the bytecode.
  expo('export', '--platform', 'android', '--source-maps', '--output-dir', out);
  const names = readdirSync(out, { recursive: true, encoding: 'utf8' });
  const bundle = join(out, names.find((name) => name.endsWith('.hbc')) ?? assert.fail('there is no bytecode'));
  // The magic number of Hermes bytecode.
  assert.equal(readFileSync(bundle).readBigUInt64LE(0), 0x1f1903c103bc1fc6n);
  const { size } = statSync(bundle);
  process.stdout.write(`Hermes bytecode: ${size} bytes of ${budgetBytes}.\n`);
  assert.ok(size <= budgetBytes);
} finally {
  rmSync(out, { recursive: true, force: true });
}

const manifest = join(app, 'package.json');
const before = readFileSync(manifest, 'utf8');
try {
  expo('prebuild', '--platform', 'android', '--no-install');
  const java = join(app, 'android/app/src/main/java/dev/lfo/host/MainApplication.kt');
  assert.match(
    readFileSync(java, 'utf8'),
    /super\.onCreate\(\)\n\s*android\.system\.Os\.setenv\("CACTUS_NO_CLOUD_TELE", "1", true\)/,
  );
  const written = readFileSync(join(app, 'android/app/src/main/AndroidManifest.xml'), 'utf8');
  assert.match(written, /android:usesCleartextTraffic="false"/);
  assert.match(written, /android:foregroundServiceType="connectedDevice"/);
  process.stdout.write('Expo makes the native project: telemetry off, no clear text, service declared.\n');
} finally {
  // Prebuild rewrites the scripts.
  writeFileSync(manifest, before);
  rmSync(join(app, 'android'), { recursive: true, force: true });
}

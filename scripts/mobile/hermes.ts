/**
 * Runs the protocol and device-core in Hermes, lowered by the app's Babel preset: a handshake and 1,000 frames, with the
 * time of a frame and the memory. The engine of npm's hermes-engine-cli is older than the app's: source, not bytecode.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const app = join(here, '..', '..', 'apps', 'mobile');
const tools = join(app, 'node_modules', '.cache', 'hermes');
const engine = join(tools, 'node_modules', 'hermes-engine-cli', 'linux64-bin', 'hermes');
mkdirSync(tools, { recursive: true });
if (!existsSync(engine))
  execFileSync('npm', ['install', '--no-save', '--ignore-scripts', '--prefix', tools, 'hermes-engine-cli@0.12.0'], {
    stdio: 'inherit',
  });

const { outputFiles } = await build({
  entryPoints: [join(here, 'hermes-entry.ts')],
  bundle: true,
  write: false,
  format: 'iife',
  target: 'es2022',
  logLevel: 'error',
});
interface Babel {
  transformSync(code: string, options: object): { readonly code: string };
}
const load = createRequire(join(app, 'package.json'));
const babel: Babel = load(createRequire(load.resolve('babel-preset-expo/package.json')).resolve('@babel/core'));
const { code } = babel.transformSync(outputFiles[0]?.text ?? '', {
  configFile: false,
  compact: true,
  filename: join(app, 'hermes.js'),
  presets: [[load.resolve('babel-preset-expo'), { enableBabelRuntime: false }]],
  caller: { name: 'metro', platform: 'android', engine: 'hermes', bundler: 'metro' },
});
const script = join(tools, 'entry.js');
writeFileSync(script, code);
const printed = execFileSync(engine, ['-w', '-O', script], { encoding: 'utf8' });
process.stdout.write(printed);
const lines: readonly { readonly frames?: number; readonly heapGrowthBytes?: number; readonly call?: string }[] =
  printed
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const frames = lines.find((line) => line.frames !== undefined);
assert.equal(frames?.frames, 1000);
// Garbage is collected now and then: flat is what does not grow by more than a few frames' worth.
assert.ok((frames?.heapGrowthBytes ?? Infinity) < 4_000_000);
assert.ok(lines.some(({ call }) => call === 'call'));

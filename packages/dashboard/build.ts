/**
 * Builds the dashboard into `packages/router/dashboard`, which is committed: nothing is built when LFO is installed or
 * started. With `--check` it writes nothing and fails where the committed files are not what the source gives.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const target = fileURLToPath(new URL('../router/dashboard/', import.meta.url));
/** What a first visit may load, compressed. */
const budgetBytes = 100_000;

const { outputFiles, metafile } = await build({
  absWorkingDir: here,
  entryPoints: { app: 'src/main.tsx' },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2023',
  minify: true,
  legalComments: 'none',
  charset: 'utf8',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  metafile: true,
  write: false,
});

const files = new Map(outputFiles.map(({ path, contents }) => [basename(path), Buffer.from(contents)]));
const entry = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint === 'src/main.tsx');
if (entry?.[1].cssBundle === undefined) throw new Error('The build gave no entry point with styles.');
const [script, style] = [basename(entry[0]), basename(entry[1].cssBundle)];
const icon = readFileSync(join(here, 'src/icon.svg'));
const iconName = `icon-${createHash('sha256').update(icon).digest('hex').slice(0, 8)}.svg`;
files.set(iconName, icon);
const page = readFileSync(join(here, 'src/index.html'), 'utf8')
  .replace('{{script}}', script)
  .replace('{{style}}', style)
  .replace('{{icon}}', iconName);
files.set('index.html', Buffer.from(page));

const firstLoad = ['index.html', script, style, iconName].reduce(
  (sum, name) => sum + gzipSync(files.get(name) ?? '').length,
  0,
);
process.stdout.write(`dashboard: first load ${firstLoad} bytes compressed, ${files.size} files\n`);
if (firstLoad > budgetBytes) throw new Error(`The first load is over its budget of ${budgetBytes} bytes.`);

if (process.argv.includes('--check')) check();
else write();

function check(): void {
  const committed = readdirSync(target);
  const isCurrent =
    committed.length === files.size &&
    committed.every((name) => files.get(name)?.equals(readFileSync(join(target, name))));
  if (isCurrent) return;
  process.stderr.write('packages/router/dashboard is out of date: run npm run build:dashboard\n');
  process.exitCode = 1;
}

function write(): void {
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(target, name), bytes);
}

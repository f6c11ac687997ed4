/**
 * Builds `packages/router/dist`: LFO's commands, the device host and the database's thread as plain JavaScript with
 * the packages they use, which starts in half the time of the sources. The launcher takes it while its stamp fits the
 * sources. `npm ci` runs this by
 * `scripts/prepare.js`; after an edit `npm run bundle` does.
 */
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BuildOptions, Plugin } from 'esbuild';
import { stampOf } from '../packages/router/bin/bundle-stamp.js';

/** The root of this clone. */
export const root: string = fileURLToPath(new URL('..', import.meta.url)).replace(/[/\\]$/, '');

const router = join(root, 'packages/router');
const deviceHost = join(root, 'packages/device-host');
const engine = join(root, 'node_modules/node-llama-cpp');

/** Programs by the names of their files; whatever runs as a process or a thread of its own. */
const entries: Readonly<Record<string, string>> = {
  lfo: join(router, 'src/main.ts'),
  'lfo-device-host': join(deviceHost, 'bin/lfo-device-host.js'),
  'sqlite-worker': join(router, 'src/records/store/sqlite-worker.ts'),
};
/** Names of the programs. */
export const programs: readonly string[] = Object.keys(entries);
/** Tries a binary in a process of its own, by its own path. */
const engineTest = 'dist/bindings/utils/testBindingBinary.js';
/** What the engine reads of its own package; the rest is for compiling, which we never do. */
const engineFiles = ['package.json', 'LICENSE', 'llama/binariesGithubRelease.json', 'llama/llama.cpp.info.json'];

/** Builds the programs of these names, and everything they read, into an empty folder; answers the packages inside. */
export async function bundle(names: readonly string[], folder: string): Promise<readonly string[]> {
  const { build } = await import('esbuild');
  mkdirSync(folder, { recursive: true });
  const assets = new Map<string, string>();
  const common = {
    absWorkingDir: root,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    charset: 'utf8',
    external: ['@node-llama-cpp/*', '@reflink/*', 'pg-native', 'electron'],
    // Packages in the older form ask for Node's modules by `require`.
    banner: { js: "import{createRequire as lfoRequire}from'node:module';const require=lfoRequire(import.meta.url);" },
    logLevel: 'error',
    metafile: true,
  } satisfies BuildOptions;
  const entryPoints = Object.fromEntries(names.map((name) => [name, entryOf(name)]));
  const { metafile } = await build({
    ...common,
    entryPoints,
    outdir: folder,
    splitting: true,
    chunkNames: 'chunk-[hash]',
    plugins: [ownFiles(assets), engineAsIfInstalled('./node-llama-cpp/')],
  });
  await build({
    ...common,
    entryPoints: [join(engine, engineTest)],
    outfile: join(folder, 'node-llama-cpp', engineTest),
    plugins: [engineAsIfInstalled('../../../')],
  });
  for (const [name, source] of assets) cpSync(source, join(folder, name), { recursive: true, filter: isAsset });
  for (const file of engineFiles) {
    mkdirSync(dirname(join(folder, 'node-llama-cpp', file)), { recursive: true });
    cpSync(join(engine, file), join(folder, 'node-llama-cpp', file));
  }
  const inputs = Object.keys(metafile.inputs).map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]);
  return [...new Set(inputs.filter((path) => path !== undefined))].toSorted();
}

function entryOf(name: string): string {
  const path = entries[name];
  if (path === undefined) throw new Error(`There is no program ${name}.`);
  return path;
}

function isAsset(path: string): boolean {
  return !path.endsWith('.ts');
}

/**
 * Our modules name files beside them as `new URL('…', import.meta.url)`. All chunks lie in one folder: programs become
 * the entries of that name, everything else is copied there.
 */
function ownFiles(assets: Map<string, string>): Plugin {
  const named = /new URL\(\s*'([^']+)',\s*import\.meta\.url,?\s*\)/g;
  const outputs = new Map(Object.entries(entries).map(([name, path]) => [path, `${name}.js`]));
  return {
    name: 'own-files',
    setup(build) {
      build.onLoad({ filter: /[/\\]packages[/\\].*\.(ts|js)$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        const contents = text.replace(named, (_all, file: string) => {
          const source = resolve(dirname(path), file);
          // The package's own folder, which holds this one.
          if (source === router) return `new URL('../', import.meta.url)`;
          const name = outputs.get(source) ?? assetName(source);
          return `new URL('./${name}${file.endsWith('/') ? '/' : ''}', import.meta.url)`;
        });
        if (contents.replaceAll(/new URL\('[^']+', import\.meta\.url\)/g, '').includes('import.meta.url')) {
          throw new Error(`${relative(root, path)} uses import.meta.url in a way that a bundle cannot follow.`);
        }
        return { contents, loader: path.endsWith('.ts') ? 'ts' : 'js' };
      });
    },
  };

  function assetName(source: string): string {
    if (/\.(ts|js)$/.test(source)) throw new Error(`${relative(root, source)} is a program: add it to the entries.`);
    statSync(source);
    const name = basename(source);
    if ((assets.get(name) ?? source) !== source) throw new Error(`Two files are called ${name}.`);
    assets.set(name, source);
    return name;
  }
}

/** The engine finds its files by its own place: in the bundle each of its modules says where it would be, `place` being its folder. */
function engineAsIfInstalled(place: string): Plugin {
  return {
    name: 'engine',
    setup(build) {
      build.onLoad({ filter: /[/\\]node_modules[/\\]node-llama-cpp[/\\].*\.js$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        if (!text.includes('import.meta.url')) return undefined;
        const url = `new URL('${place}${relative(engine, path).replaceAll('\\', '/')}', import.meta.url).href`;
        return { contents: text.replaceAll('import.meta.url', url), loader: 'js' };
      });
    },
  };
}

/** Builds the clone's own bundle and stamps it; the old one serves until then. */
export async function bundleClone(): Promise<void> {
  const folder = join(router, 'dist');
  const fresh = `${folder}.${process.pid}`;
  // Taken first: what is edited meanwhile makes the bundle stale.
  const stamp = stampOf(root);
  try {
    await bundle(programs, fresh);
    writeFileSync(join(fresh, 'stamp'), stamp);
    rmSync(folder, { recursive: true, force: true });
    renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

if (import.meta.main) await bundleClone();

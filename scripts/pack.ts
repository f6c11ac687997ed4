/**
 * Packs what is installed without a clone, each as one file for npm: `node scripts/pack.ts device FILE` the device
 * host, `node scripts/pack.ts lfo FILE` all of LFO with the device host's file in it.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import * as z from 'zod';
import { bundle, programs, root } from './bundle.ts';

interface Package {
  readonly name: string;
  readonly description: string;
  /** Of the bundle. */
  readonly programs: readonly string[];
  /** Files of `packages/router/bin`; the first is the command. */
  readonly bin: readonly [string, ...string[]];
  readonly dependencies: Readonly<Record<string, string>>;
  readonly readme: string;
}

const manifest = z.looseObject({
  version: z.string().optional(),
  dependencies: z.record(z.string(), z.string()).default({}),
  optionalDependencies: z.record(z.string(), z.string()).default({}),
});

const packages: Readonly<Record<string, Package>> = {
  device: {
    name: '@lfo/device-host',
    description: 'Serves a model of this machine to an LFO router on another.',
    programs: ['lfo-device-host'],
    bin: ['lfo-device.js', 'own-node.js', 'make-folder.js'],
    // Node would be larger than all the rest: the machine's own has to do, or one that its owner asks npm for.
    dependencies: {},
    readme: 'docs/devices.md',
  },
  lfo: {
    name: '@lfo/lfo',
    description: 'One OpenAI-compatible endpoint in front of local and cloud models.',
    programs,
    bin: ['lfo.js', 'own-node.js', 'make-folder.js', 'bundle-stamp.js'],
    dependencies: { node: readManifest('package.json').dependencies['node'] ?? '24' },
    readme: 'README.md',
  },
};

/** Writes a package as a file. */
async function pack(which: string, file: string): Promise<void> {
  const wanted = packages[which];
  if (wanted === undefined) throw new Error(`"${which}" is no package: ${Object.keys(packages).join(' or ')}.`);
  const folder = mkdtempSync(join(tmpdir(), 'lfo-pack-'));
  try {
    const inside = await bundle(wanted.programs, join(folder, 'dist'));
    mkdirSync(join(folder, 'bin'));
    for (const name of wanted.bin) cpSync(join(root, 'packages/router/bin', name), join(folder, 'bin', name));
    cpSync(join(root, wanted.readme), join(folder, 'README.md'));
    cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
    writeFileSync(join(folder, 'THIRD-PARTY-LICENSES.md'), licencesOf(inside));
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifestOf(wanted), null, 2)}\n`);
    if (which === 'lfo') await pack('device', join(folder, 'dist/device.tgz'));
    mkdirSync(dirname(file), { recursive: true });
    copyFileSync(npmPack(folder), file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function manifestOf({ name, description, bin: [command], dependencies }: Package): object {
  const { optionalDependencies } = readManifest('node_modules/node-llama-cpp/package.json');
  return {
    name,
    version: readManifest('packages/router/package.json').version,
    description,
    license: 'MIT',
    type: 'module',
    bin: { [command.replace('.js', '')]: `bin/${command}` },
    files: ['bin', 'dist', 'THIRD-PARTY-LICENSES.md'],
    engines: { node: '>=24' },
    dependencies,
    // npm takes those of its platform. CUDA's are half a gigabyte; Vulkan drives the same cards.
    optionalDependencies: Object.fromEntries(
      Object.entries(optionalDependencies).filter(([binaries]) => !binaries.includes('cuda')),
    ),
  };
}

function readManifest(path: string): z.infer<typeof manifest> {
  return manifest.parse(JSON.parse(readFileSync(join(root, path), 'utf8')));
}

/** The licences of the packages inside, which ask to be kept with copies. */
function licencesOf(folders: readonly string[]): string {
  const sections = folders.map((folder) => {
    const file = readdirSync(join(root, folder)).find((name) => /^licen[cs]e/i.test(name));
    const { name, version, license } = z
      .looseObject({ name: z.string(), version: z.string(), license: z.unknown() })
      .parse(JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')));
    const text = file === undefined ? String(license) : readFileSync(join(root, folder, file), 'utf8').trim();
    return `## ${name} ${version}\n\n${text}\n`;
  });
  return `# Licences of the packages inside\n\n${sections.join('\n')}`;
}

/** The file that npm makes of a folder, in that folder. */
function npmPack(folder: string): string {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const options = { cwd: folder, encoding: 'utf8', shell: process.platform === 'win32' } as const;
  const printed = JSON.parse(execFileSync('npm', args, { ...options, stdio: ['ignore', 'pipe', 'inherit'] }));
  const [{ filename }] = z.tuple([z.looseObject({ filename: z.string() })]).parse(printed);
  return join(folder, filename);
}

const [which = '', file = `${which}.tgz`] = process.argv.slice(2);
await pack(which, resolve(file));

/**
 * Type-checks the app's Kotlin against Android's real API (Robolectric's build of it, from Maven Central) and stubs of
 * Expo's and React Native's own classes. The compiler comes from npm. Both are kept beside the app's packages.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const app = join(here, '..', '..', 'apps', 'mobile');
const tools = join(app, 'node_modules', '.cache', 'kotlin');
const android = 'android-all-14-robolectric-10818077.jar';
const lib = join(tools, 'node_modules', 'kotlin-compiler', 'lib');

mkdirSync(tools, { recursive: true });
if (!existsSync(lib))
  execFileSync('npm', ['install', '--no-save', '--ignore-scripts', '--prefix', tools, 'kotlin-compiler@2.4.20'], {
    stdio: 'inherit',
  });
if (!existsSync(join(tools, android)))
  execFileSync(
    'mvn',
    [
      '-q',
      '-B',
      'dependency:copy',
      '-Dartifact=org.robolectric:android-all:14-robolectric-10818077',
      `-DoutputDirectory=${tools}`,
    ],
    { stdio: 'inherit' },
  );

const kotlin = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.kt'))
    .map((name) => join(folder, name));
const sources = kotlin(join(app, 'modules/lfo-host/android/src'));
const { status } = spawnSync(
  'java',
  [
    '-cp',
    join(lib, '*'),
    'org.jetbrains.kotlin.cli.jvm.K2JVMCompiler',
    '-no-stdlib',
    '-no-reflect',
    '-cp',
    `${join(tools, android)}:${join(lib, 'kotlin-stdlib.jar')}`,
    '-d',
    join(tools, 'classes'),
    ...sources,
    ...kotlin(join(here, 'kotlin-stubs')),
  ],
  { stdio: 'inherit' },
);
if (status === 0) process.stdout.write(`${sources.length} Kotlin files fit Android's API.\n`);
process.exitCode = status ?? 1;

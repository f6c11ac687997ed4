import { execFileSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join, matchesGlob, relative, resolve } from 'node:path';

import { parseJson } from '../packages/router/src/core/json.ts';

/** What the Containerfile says of the container that it makes. */
export interface Image {
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly user: string;
  /** What every command of the container begins with. */
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly healthcheck: readonly string[];
  readonly stopSignal: string;
}

type Mutable<T> = { -readonly [key in keyof T]: T[key] };

interface Stage {
  readonly root: string;
  workdir: string;
  readonly env: Record<string, string>;
}

/**
 * Does what the Containerfile says, without a registry of images: its COPY lines and `npm ci` in empty folders below
 * `folder`, the last of which is the root of the image's own files. Throws at an instruction it cannot follow.
 */
export function layOut(checkout: string, folder: string): { readonly image: Image; readonly root: string } {
  const ignored = ignoredIn(checkout);
  const stages = new Map<string, Stage>();
  let stage: Stage | undefined;
  const image: Mutable<Omit<Image, 'workdir' | 'env'>> = {
    user: '',
    entrypoint: [],
    cmd: [],
    healthcheck: [],
    stopSignal: 'SIGTERM',
  };
  for (const [name, rest] of instructions(checkout)) {
    if (name === 'FROM') {
      const [, alias = 'last'] = /\bAS (\S+)$/.exec(rest) ?? [];
      stage = { root: join(folder, alias), workdir: '/', env: {} };
      mkdirSync(stage.root, { recursive: true });
      stages.set(alias, stage);
      continue;
    }
    if (stage === undefined) throw new Error(`${name} comes before FROM.`);
    switch (name) {
      case 'WORKDIR':
        stage.workdir = rest;
        mkdirSync(join(stage.root, rest), { recursive: true });
        break;
      case 'ENV':
        for (const [, key = '', value = ''] of rest.matchAll(/(\w+)=(\S+)/g)) stage.env[key] = value;
        break;
      case 'COPY':
        copy(rest, stage, stages, checkout, ignored);
        break;
      case 'RUN':
        runIn(stage, rest);
        break;
      case 'USER':
        image.user = rest;
        break;
      case 'ENTRYPOINT':
        image.entrypoint = listOf(rest);
        break;
      case 'CMD':
        image.cmd = listOf(rest);
        break;
      case 'HEALTHCHECK':
        image.healthcheck = listOf(rest.slice(rest.indexOf('CMD ') + 4));
        break;
      case 'STOPSIGNAL':
        image.stopSignal = rest;
        break;
      case 'VOLUME':
      case 'EXPOSE':
        break;
      default:
        throw new Error(`${name} is not among the instructions that can be followed here.`);
    }
  }
  if (stage === undefined) throw new Error('The Containerfile has no FROM.');
  return { image: { ...image, workdir: stage.workdir, env: stage.env }, root: stage.root };
}

function* instructions(checkout: string): Generator<readonly [name: string, rest: string]> {
  for (const line of readFileSync(join(checkout, 'Containerfile'), 'utf8').split('\n')) {
    const [, name, rest] = /^([A-Z]+) (.*)$/.exec(line.trim()) ?? [];
    if (name !== undefined && rest !== undefined) yield [name, rest];
  }
}

/** Whether a path of the checkout is kept out of images. */
function ignoredIn(checkout: string): (path: string) => boolean {
  const patterns = readFileSync(join(checkout, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return (path) => patterns.some((pattern) => matchesGlob(path, pattern) || matchesGlob(path, `${pattern}/**`));
}

function copy(
  rest: string,
  stage: Stage,
  stages: ReadonlyMap<string, Stage>,
  checkout: string,
  ignored: (path: string) => boolean,
): void {
  const [, alias] = /^--from=(\S+) /.exec(rest) ?? [];
  const words = rest.split(' ').filter((word) => !word.startsWith('--'));
  const target = words.pop() ?? '';
  const from = alias === undefined ? checkout : stages.get(alias)?.root;
  if (from === undefined) throw new Error(`COPY names ${alias}, which is no stage.`);
  for (const source of words) {
    const path = join(from, source);
    const isFolder = source.endsWith('/');
    const into = join(stage.root, resolve(stage.workdir, target));
    cpSync(path, isFolder ? into : join(into, relative(dirname(path), path)), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (each) => alias !== undefined || !ignored(relative(checkout, each)),
    });
  }
}

function runIn({ root, workdir }: Stage, command: string): void {
  const [, folder] = /^install -d -o 10001 -g 10001 -m 0700 (\/\w+)$/.exec(command) ?? [];
  if (folder !== undefined) {
    mkdirSync(join(root, folder), { mode: 0o700 });
    return;
  }
  const [program = '', ...args] = command.split(' ');
  if (program !== 'npm') throw new Error(`RUN ${command} is not followed here.`);
  // What npm has fetched for the checkout is not fetched again.
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], npm_config_prefer_offline: 'true' };
  execFileSync(program, args, { cwd: join(root, workdir), env, stdio: ['ignore', 'ignore', 'inherit'] });
}

function listOf(json: string): readonly string[] {
  const words = parseJson(json);
  if (!Array.isArray(words)) throw new Error(`${json} is not in the form of a list, which signals need.`);
  return words.map(String);
}

/** Files below a folder that match a pattern; to look for what an image should not hold. */
export function filesIn(root: string, pattern: string): readonly string[] {
  return globSync(pattern, { cwd: root, exclude: (path) => path.includes('node_modules') });
}

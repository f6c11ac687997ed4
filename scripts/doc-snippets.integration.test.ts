import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '@lfo/router/src/config/config-error.ts';
import { configJsonSchema } from '@lfo/router/src/config/json-schema.ts';
import { loadConfig } from '@lfo/router/src/config/load.ts';
import { isJsonObject } from '@lfo/router/src/core/json.ts';
import { startScene } from '@lfo/testing/dashboard-scene.ts';
import { runLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { withoutPythonSdks } from '@lfo/testing/python-sdks.ts';
import { outputOf } from '@lfo/testing/run-program.ts';
import { pythonSdks } from '@lfo/testing/sdks/sdk-folders.ts';
import { selfSigned } from '@lfo/testing/self-signed.ts';
import { parse } from 'yaml';
import { lfoProgram } from './cli-reference.ts';
import { type Block, blocksOf, commandsOf } from './doc-blocks.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const excluded = new Set(['node_modules', 'dist', 'apps', 'decisions', 'device-protocol', 'fixtures']);
const pages = globSync('**/*.md', {
  cwd: root,
  exclude: (path) => excluded.has(path.split('/').at(-1) ?? ''),
}).toSorted();
const blocks = pages.flatMap((page) => blocksOf(page, readFileSync(join(root, page), 'utf8')));

/** What is not executed, and why nothing is lost; the first words of a block say which. */
const exceptions: readonly (readonly [starts: string, because: string])[] = [
  ['# ~/.codex/config.toml', 'Codex itself reads it in npm run test:agents'],
  ['# not run by CI', 'it changes the system, or needs a registry of images'],
];
const isException = ({ text }: Block): boolean => exceptions.some(([starts]) => text.startsWith(starts));
const ofLanguage = (...languages: readonly string[]): readonly Block[] =>
  blocks.filter((block) => languages.includes(block.language) && !isException(block));
const name = ({ page, line }: Block): string => `${page}:${line}`;

test('every block says what it is written in, and each of these is looked at here', () => {
  const known = new Set(['js', 'python', 'sh', 'yaml', 'json', 'nginx', 'text', 'toml', '']);
  assert.deepEqual(
    [...new Set(blocks.map(({ language }) => language))].filter((language) => !known.has(language)),
    [],
  );
  assert.deepEqual(ofLanguage('toml').map(name), [], 'TOML is an exception each time');
  assert.ok(blocks.length > 40);
});

describe('snippets', () => {
  for (const block of ofLanguage('js')) {
    test(`${name(block)}: runs against a router`, async (t) => {
      const { url } = await startScene(t);
      const file = join(root, 'scripts', `.snippet-${process.pid}-${block.line}.mjs`);
      after(() => rmSync(file, { force: true }));
      writeFileSync(file, here(block.text, url));
      await outputOf(process.execPath, [file], { cwd: root });
    });
  }

  for (const block of ofLanguage('python')) {
    test(`${name(block)}: runs against a router`, { skip: withoutPythonSdks }, async (t) => {
      const { url } = await startScene(t);
      const file = join(workingFolder(t), 'snippet.py');
      writeFileSync(file, here(block.text, url));
      const env = { ...process.env, PYTHONPATH: pythonSdks, OPENAI_API_KEY: 'none' };
      await outputOf('python3', [file], { cwd: root, env });
    });
  }

  for (const block of ofLanguage('json')) {
    test(`${name(block)}: is JSON, in one piece or a line each`, () => {
      // Whose file it is may stand above it.
      const text = block.text.replace(/^\/\/ .*\n/, '');
      const pieces = text.startsWith('{"t":') ? text.trimEnd().split('\n') : [text];
      for (const piece of pieces) JSON.parse(piece);
    });
  }

  for (const block of ofLanguage('yaml')) {
    test(`${name(block)}: LFO, or whoever it is for, takes it`, (t) => {
      const value: unknown = parse(block.text);
      const settings = configJsonSchema()['properties'];
      assert.ok(isJsonObject(settings));
      const isOurs = typeof value === 'object' && value !== null && Object.keys(value).every((key) => key in settings);
      if (!isOurs) return assert.ok(typeof value === 'object' && value !== null);
      const file = join(workingFolder(t), 'lfo.yaml');
      // What the reader is to fill in.
      writeFileSync(file, block.text.replaceAll(/<\w+>/g, 'example'));
      const env = { HOME: '/', LFO_AUTH_TOKEN: 'a-long-key-of-the-docs', GEMINI_API_KEY: 'a-key' };
      try {
        loadConfig({ env, cwd: '/', file, allowUnset: true });
      } catch (error) {
        throw error instanceof ConfigError ? new Error(JSON.stringify(error.problems)) : error;
      }
    });
  }

  for (const block of ofLanguage('nginx')) {
    test(`${name(block)}: nginx takes it`, (t) => {
      const folder = workingFolder(t);
      for (const part of ['cert', 'key'] as const) writeFileSync(join(folder, part), selfSigned[part]);
      const server = block.text
        .replace('/etc/ssl/lfo.pem', join(folder, 'cert'))
        .replace('/etc/ssl/lfo.key', join(folder, 'key'));
      const file = join(folder, 'nginx.conf');
      writeFileSync(file, `pid ${folder}/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${server}\n}\n`);
      const { status, stderr } = spawnSync('/usr/sbin/nginx', ['-t', '-c', file, '-p', folder], { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
    });
  }

  const shell = ofLanguage('sh', '').flatMap((block) => commandsOf(block.text).map((words) => ({ block, words })));

  test('every lfo command of every page exists, with its options, their values and its arguments', () => {
    const program = lfoProgram();
    const ours = shell.flatMap(({ block, words }) => {
      const args = lfoArguments(words);
      return args === undefined ? [] : [{ block, args }];
    });
    assert.ok(ours.length > 35, `${ours.length} commands`);
    const wrong = ours.flatMap(({ block, args }) => {
      const fault = faultOf(program, args);
      return fault === undefined ? [] : [`${name(block)}: lfo ${args.join(' ')}: ${fault}`];
    });
    assert.deepEqual(wrong, []);
  });

  test('a command, an option, a choice and an argument that do not exist are found', () => {
    const program = lfoProgram();
    for (const wrong of [
      'modles list',
      'stats --form csv',
      'stats --by colour',
      'models remove',
      'keys',
      'explain a b',
    ]) {
      assert.notEqual(faultOf(program, wrong.split(' ')), undefined, wrong);
    }
    assert.equal(faultOf(program, ['launch', 'codex', '--', 'exec', '--anything']), undefined);
  });

  test('every npm script that a page names exists', () => {
    const manifest: { scripts: Record<string, string> } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const scripts = { ...manifest.scripts, install: '', ci: '' };
    const named = pages.flatMap((page) =>
      [...readFileSync(join(root, page), 'utf8').matchAll(/\bnpm (?:run ([\w:]+)|(start|test)\b)/g)].map(
        ([, script, short]) => [page, script ?? short ?? ''] as const,
      ),
    );
    assert.ok(named.length > 20);
    assert.deepEqual(
      named.filter(([, script]) => !(script in scripts)),
      [],
    );
  });

  const curls = ofLanguage('sh', '').filter(({ text }) =>
    /^ *curl .*localhost:8080/m.test(text.replaceAll('\\\n', ' ')),
  );
  for (const block of curls) {
    test(`${name(block)}: curl is answered`, async (t) => {
      const { url } = await startScene(t, { embeds: block.text.includes('/v1/embeddings') });
      for (const line of here(block.text, url)
        .replaceAll(/\\\n\s*/g, ' ')
        .split('\n')) {
        if (!line.trimStart().startsWith('curl')) continue;
        const args = ['-c', line.replace('curl', 'curl --fail-with-body -sS')];
        await outputOf('/bin/sh', args, { cwd: workingFolder(t), env: { ...process.env, KEY: 'none' } });
      }
    });
  }

  test('the backup drill restores what it copied', async (t) => {
    const drill = blocks.find(({ page, language }) => page === 'docs/operations/backup.md' && language === 'sh');
    const cwd = workingFolder(t);
    mkdirSync(join(cwd, 'data/fleet'), { recursive: true });
    assert.equal((await runLfo(t, ['keys', 'create', '--name', 'kept'], { cwd })).code, 0);
    writeFileSync(join(cwd, 'data/fleet/router.key'), 'key', { mode: 0o600 });
    const bin = join(cwd, 'bin');
    mkdirSync(bin);
    const launcher = join(root, 'packages/router/bin/lfo.js');
    writeFileSync(join(bin, 'lfo'), `#!/bin/sh\nexec "${process.execPath}" "${launcher}" "$@"\n`, { mode: 0o755 });
    const env = {
      ...process.env,
      PATH: `${bin}:${process.env['PATH'] ?? ''}`,
      LFO_DATA_DIR: join(cwd, 'data'),
      LFO_LOCAL_MODEL: 'none',
      LFO_BUNDLE: 'off',
    };
    await outputOf('/bin/sh', ['-e', '-c', drill?.text ?? 'false'], { cwd, env });
    assert.match(readFileSync(join(cwd, 'keys.json'), 'utf8'), /"name":"kept"/);
    const requests = (file: string): unknown => JSON.parse(readFileSync(join(cwd, file), 'utf8')).requests;
    assert.equal(requests('after.json'), requests('before.json'));
    assert.ok(existsSync(join(cwd, 'restored/data/fleet/router.key')));
  });
});

/** What `lfo` is given, where the words are a call of it in any of the ways that pages write it. */
function lfoArguments(words: readonly string[]): readonly string[] | undefined {
  const [first = '', second, third, fourth] = words;
  if (first === 'lfo' || first.endsWith('/.bin/lfo')) return words.slice(1);
  if (first === 'npm' && second === 'run' && third === 'lfo' && fourth === '--') return words.slice(4);
  if (first === 'npx' && second === '--no' && third === 'lfo') return words.slice(3);
  return undefined;
}

type Program = ReturnType<typeof lfoProgram>;

/** What is wrong with a command line, without running it. */
function faultOf(program: Program, args: readonly string[]): string | undefined {
  let command = program;
  let rest = [...args].filter((word) => !['…', '...'].includes(word));
  try {
    for (;;) {
      const { operands, unknown } = command
        .exitOverride()
        .configureOutput({ writeErr() {} })
        .parseOptions(rest);
      const [next, ...further] = operands;
      const inner = command.commands.find((each) => each.name() === next);
      if (inner === undefined) {
        if (command.commands.length > 0) return `no command "${next ?? ''}"`;
        return faultOfLeaf(command, operands, unknown);
      }
      command = inner;
      rest = [...further, ...unknown];
    }
  } catch (error) {
    // Its class may come from another copy of the package.
    if (error instanceof Error && 'exitCode' in error) return error.message;
    throw error;
  }
}

function faultOfLeaf(command: Program, operands: readonly string[], unknown: readonly string[]): string | undefined {
  const { registeredArguments } = command;
  const isOpen = registeredArguments.some(({ variadic }) => variadic);
  if (unknown.length > 0 && !isOpen) return `unknown ${unknown[0] ?? ''}`;
  const needed = registeredArguments.filter(({ required }) => required).length;
  if (operands.length < needed) return 'an argument is missing';
  if (!isOpen && operands.length > registeredArguments.length) return `too many arguments: ${operands.join(' ')}`;
  const [first] = registeredArguments;
  const [value] = operands;
  const isChoice = first?.argChoices === undefined || value === undefined || first.argChoices.includes(value);
  return isChoice ? undefined : `"${value}" is no choice`;
}

/** The text with this router's address. */
function here(text: string, url: string): string {
  return text.replaceAll('http://localhost:8080', url).replaceAll('localhost:8080', new URL(url).host);
}

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';

import { prepareRoot, runContained, withoutContainers } from '../testing/src/container.ts';
import { FakeGemini } from '../testing/src/fake-gemini.ts';
import { freePort } from '../testing/src/free-port.ts';
import { filesIn, type Image, layOut } from './image-layout.ts';

const checkout = fileURLToPath(new URL('..', import.meta.url));

interface GivenCommand {
  readonly file: string;
  readonly command: readonly string[];
}

/** What the compose file and the manifests have containers of the image run in place of its own command. */
function givenCommands(): readonly GivenCommand[] {
  const compose = join(checkout, 'deploy/compose.yaml');
  const { services } = parse(readFileSync(compose, 'utf8'), { merge: true });
  const ofCompose = Object.values<{ image: string; command?: readonly string[] }>(services)
    .filter(({ image }) => image.startsWith('lfo:'))
    .map(({ command }) => ({ file: compose, command }));
  const ofPods = globSync(join(checkout, 'deploy/kubernetes/base/*.yaml')).flatMap((file) =>
    parseAllDocuments(readFileSync(file, 'utf8'))
      .flatMap((document) => document.toJS().spec?.template?.spec?.containers ?? [])
      .map(({ args }: { readonly args?: readonly string[] }) => ({ file, command: args })),
  );
  const given = new Map<string, GivenCommand>();
  for (const { file, command } of [...ofCompose, ...ofPods]) {
    if (command !== undefined) given.set(`${file} ${command.join(' ')}`, { file: basename(file), command });
  }
  return [...given.values()];
}

/** Code and output of a process that ends. */
async function finished(child: ChildProcess): Promise<{ readonly code: number | null; readonly output: string }> {
  let output = '';
  child.stdout?.on('data', (text) => (output += String(text)));
  child.stderr?.on('data', (text) => (output += String(text)));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, output };
}

describe('security 26: what the Containerfile makes', { skip: withoutContainers, timeout: 170_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-image-'));
  let image: Image;
  let root: string;
  before(() => {
    ({ image, root } = layOut(checkout, folder));
    prepareRoot(root);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs a command in the container on a port, with data of its own. */
  function start(
    t: TestContext,
    env: Readonly<Record<string, string>>,
    command: readonly string[] = [...image.entrypoint, ...image.cmd],
  ): ChildProcess {
    const dataFolder = mkdtempSync(join(folder, 'data-'));
    const { workdir, user } = image;
    const child = runContained({ root, workdir, user, dataFolder, command, env: { ...image.env, ...env } });
    t.after(() => child.kill('SIGKILL'));
    return child;
  }

  test('holds no tests, no development packages and no sources of the dashboard', () => {
    assert.deepEqual(filesIn(root, '**/*.test.ts'), []);
    const packages = readdirSync(join(root, 'lfo/node_modules'));
    assert.ok(packages.includes('fastify'));
    for (const name of ['oxlint', 'playwright-core', 'preact']) {
      assert.equal(packages.includes(name), false, name);
    }
    assert.deepEqual(readdirSync(join(root, 'lfo/packages/dashboard')), ['package.json']);
  });

  test('starts as nobody on a root it cannot write, answers on the port it is given, and ends at SIGTERM', async (t) => {
    const gemini = await FakeGemini.start();
    t.after(() => gemini.close());
    const port = await freePort();
    const env = {
      PORT: String(port),
      LFO_LOCAL_MODEL: 'none',
      LFO_AUTH_TOKEN: 'token-of-the-operator',
      GEMINI_API_KEY: 'fake-key',
      GEMINI_BASE_URL: gemini.origin,
    };
    const router = start(t, env);
    const over = finished(router);
    let isOver = false;
    void over.then(() => (isOver = true));
    const origin = `http://127.0.0.1:${port}`;
    const headers = { authorization: `Bearer ${env.LFO_AUTH_TOKEN}`, 'content-type': 'application/json' };
    const isReady = async (): Promise<boolean> => {
      const response = await fetch(`${origin}/ready`, { headers }).catch(() => undefined);
      return response?.status === 200;
    };
    while (!(await isReady())) {
      if (isOver) assert.fail((await over).output);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const status = readFileSync(`/proc/${router.pid}/status`, 'utf8');
    assert.match(status, /^Uid:\t10001\t10001\t10001\t10001$/m);
    assert.match(status, /^CapEff:\t0+$/m);
    assert.match(status, /^NoNewPrivs:\t1$/m);

    const body = JSON.stringify({ messages: [{ role: 'user', content: 'Hello' }] });
    const answer = await fetch(`${origin}/v1/chat/completions`, { method: 'POST', headers, body });
    assert.equal(answer.status, 200, await answer.text());
    assert.equal(gemini.requests.length, 1);

    const healthy = await finished(start(t, env, image.healthcheck));
    assert.equal(healthy.code, 0, healthy.output);
    const elsewhere = await finished(start(t, { ...env, PORT: String(await freePort()) }, image.healthcheck));
    assert.equal(elsewhere.code, 1, 'on another port nobody is healthy');

    assert.equal(image.stopSignal, 'SIGTERM');
    router.kill('SIGTERM');
    const { code, output } = await over;
    assert.equal(code, 0, output);
    const complaints = output.split('\n').filter((line) => /EROFS|EACCES|"level":"(error|fatal|warn)"/.test(line));
    assert.deepEqual(complaints, [], 'nothing was missing');
  });

  test('makes the first key before there is a router, though it would listen on every address', async (t) => {
    const command = [...image.entrypoint, 'keys', 'create', '--name', 'me', '--scope', 'chat', 'admin'];
    const { code, output } = await finished(start(t, { LFO_LOCAL_MODEL: 'none' }, command));
    assert.equal(code, 0, output);
    assert.match(output, /^lfo_/m);
  });

  for (const { file, command } of givenCommands()) {
    test(`what ${file} gives it as a command is one of lfo: ${command.join(' ')}`, async (t) => {
      const { code, output } = await finished(start(t, {}, [...image.entrypoint, ...command, '--help']));
      assert.equal(code, 0, output);
      assert.match(output, new RegExp(`^Usage: lfo ${command[0]}`, 'm'));
    });
  }

  test('whatever else it may write, its own files it may not', async (t) => {
    const attempt = "require('fs').writeFileSync('/lfo/x', '')";
    const { code, output } = await finished(start(t, {}, ['node', '-e', attempt]));
    assert.notEqual(code, 0);
    assert.match(output, /EROFS/);
  });
});

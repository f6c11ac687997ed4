import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FakeGemini } from '@lfo/testing/fake-gemini.ts';
import { runLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { SqliteStore } from '../src/records/store/sqlite-store.ts';
import { sampleRow } from '../src/records/store/store-contract.ts';

const commands = [
  [],
  ['serve'],
  ['chat'],
  ['explain'],
  ['models'],
  ['models', 'list'],
  ['models', 'pull'],
  ['models', 'remove'],
  ['doctor'],
  ['keys'],
  ['keys', 'create'],
  ['keys', 'list'],
  ['keys', 'revoke'],
  ['config'],
  ['config', 'check'],
  ['config', 'show'],
  ['completion'],
];

test('every command has help with an example, and exits 0', async (t) => {
  const cwd = workingFolder(t);
  for (const command of commands) {
    const { code, stdout, stderr } = await runLfo(t, [...command, '--help'], { cwd });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^Usage: lfo/);
    if (command.length > 0) assert.match(stdout, /Example:\n {2}\S/, command.join(' '));
  }
});

test('the options of a device are listed under the command that takes them', async (t) => {
  const { code, stdout, stderr } = await runLfo(t, ['device', 'help'], { cwd: workingFolder(t) });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Usage: lfo device \[options\]/);
});

const misuse: readonly (readonly [args: readonly string[], message: RegExp])[] = [
  [['modles'], /unknown command 'modles'\n\(Did you mean models\?\)/],
  [['explain'], /missing required argument 'prompt'/],
  [['chat', '--mode', 'lokal'], /Allowed choices are auto, local, cloud/],
  [['serve', '--prot', '1'], /unknown option '--prot'/],
  [['completion', 'csh'], /Allowed choices are bash, zsh, fish/],
];

test('wrong usage exits 2 and says what is right', async (t) => {
  const cwd = workingFolder(t);
  for (const [args, message] of misuse) {
    const { code, stdout, stderr } = await runLfo(t, args, { cwd });
    assert.equal(code, 2, args.join(' '));
    assert.match(stderr, message);
    assert.equal(stdout, '');
  }
});

test('config check names the line of a fault and exits 1', async (t) => {
  const cwd = workingFolder(t);
  writeFileSync(join(cwd, 'lfo.yaml'), 'routing:\n  max_local_token: 1\n');
  const { code, stderr } = await runLfo(t, ['config', 'check'], { cwd });
  assert.equal(code, 1);
  assert.equal(stderr, 'lfo.yaml:2 routing.max_local_token: is not a key LFO knows; did you mean max_local_tokens?\n');
  const json = await runLfo(t, ['config', 'check', '--json'], { cwd });
  assert.equal(JSON.parse(json.stdout).ok, false);
});

test('config show reads .env and masks every secret', async (t) => {
  const cwd = workingFolder(t);
  writeFileSync(join(cwd, '.env'), 'GEMINI_API_KEY=canary-1,canary-2\nLFO_AUTH_TOKEN=canary-3-long-enough\n');
  const env = { DATABASE_URL: 'postgresql://u:canary-4@h/d' };
  for (const flags of [[], ['--json']]) {
    const { code, stdout } = await runLfo(t, ['config', 'show', ...flags], { cwd, env });
    assert.equal(code, 0);
    assert.match(stdout, /gemini-2\.5-flash/);
    assert.doesNotMatch(stdout, /canary/);
  }
});

test('doctor reports each check with its fix, as lines and as JSON', async (t) => {
  const cwd = workingFolder(t);
  mkdirSync(join(cwd, 'data'), { mode: 0o755 });
  const env = { PORT: '0' };
  const { code, stdout } = await runLfo(t, ['doctor', '--offline'], { cwd, env });
  assert.equal(code, 1);
  assert.match(stdout, /^✓ runtime +Node v\d+/m);
  assert.match(stdout, /^✗ data .*open to other users\n +→ chmod 700 /m);
  assert.match(stdout, /^✓ disk +[\d.]+ GB free for /m);
  assert.match(stdout, /^✓ clock +\d{4}-\d\d-\d\d /m);
  assert.match(stdout, /\nNot ready: data\.\n$/);
  const json = JSON.parse((await runLfo(t, ['doctor', '--offline', '--json'], { cwd, env })).stdout);
  assert.deepEqual(
    json.checks.filter(({ ok }: { ok: boolean }) => !ok).map(({ name }: { name: string }) => name),
    ['data'],
  );
});

test('doctor says ready where nothing is missing, and how far the predicted waits are off', async (t) => {
  const cwd = workingFolder(t);
  const store = new SqliteStore(join(cwd, 'data', 'lfo.db'));
  const waits = { predicted_wait_ms: 200, wait_ms: 900 };
  await store.append('requests', [
    sampleRow('01a209cd-b4e9-75f6-bf78-ba07db0230a2', { time_ms: Date.now() - 60_000, ...waits }),
  ]);
  await store.close();
  const { code, stdout } = await runLfo(t, ['doctor', '--offline'], { cwd, env: { PORT: '0' } });
  assert.equal(code, 0, stdout);
  assert.match(
    stdout,
    /^! waits +predicted 200 ms for the first local token, was 900 ms: off by 4\.5 .*\n +→ lfo stats --by backend/m,
  );
  assert.match(stdout, /\nReady\.\n$/);
});

test('doctor tells what a running LFO says of itself: that it cannot answer, and how each device is', async (t) => {
  const answers: Readonly<Record<string, object>> = {
    '/health': { status: 'ok' },
    '/ready': { status: 'not_ready', reasons: ['embedded: the file is cut'] },
    '/admin/devices': {
      port: 4870,
      devices: [
        { name: 'laptop', state: 'ready', why: null, last_error: null },
        { name: 'pixel', state: 'offline', why: null, last_error: { message: 'The link was lost.' } },
        { name: 'twin', state: 'conflict', why: 'two machines have its key', last_error: null },
      ],
    },
  };
  const url = await fakeServer(t, ({ url: path = '' }, response) => response.end(JSON.stringify(answers[path] ?? {})));
  const { code, stdout } = await runLfo(t, ['doctor', '--offline', '--url', url], { cwd: workingFolder(t) });
  assert.equal(code, 1);
  assert.match(stdout, /^✗ ready +LFO runs, but cannot answer: embedded: the file is cut$/m);
  assert.match(stdout, /^✓ laptop +ready$/m);
  assert.match(stdout, /^! pixel +offline\n +→ The link was lost\.$/m);
  assert.match(stdout, /^✗ twin +conflict: two machines have its key$/m);
  assert.match(stdout, /\nNot ready: ready, twin\.\n$/);
});

test('what opens nothing says so, as the page on keys does: the scope device', { timeout: 60_000 }, async (t) => {
  const cwd = workingFolder(t);
  const env = {};
  const created = await runLfo(t, ['keys', 'create', '--name', 'phone', '--scope', 'device'], { cwd, env });
  assert.equal(created.code, 0);
  assert.match(created.stderr, /The scope device opens nothing: a device joins by pairing/);
  const { stdout } = await runLfo(t, ['doctor', '--offline'], { cwd, env });
  assert.match(stdout, /✓ database +SQLite, 1 key; the scope device of 1 opens nothing: devices join by pairing/);
  const page = readFileSync(new URL('../../../docs/keys.md', import.meta.url), 'utf8');
  assert.match(page, /`--scope device` \| nothing: a device joins by \[pairing\]/);
});

test('doctor tries each key, a stream and a tool call, and never shows a key', async (t) => {
  const fake = await FakeGemini.start({ keys: ['canary-good'] });
  t.after(() => fake.close());
  const env = { PORT: '0', GEMINI_API_KEY: 'canary-good,canary-bad', GEMINI_BASE_URL: fake.origin };
  const { code, stdout } = await runLfo(t, ['doctor'], { cwd: workingFolder(t), env });
  assert.equal(code, 1);
  assert.match(stdout, /✓ gemini key 1 +answers and takes the key/);
  assert.match(stdout, /✗ gemini key 2 +refuses the key \(400\)\n +→ correct GEMINI_API_KEY/);
  assert.match(stdout, /✓ gemini stream +gemini-2\.5-flash answers, after \d+ ms/);
  assert.match(stdout, /✓ gemini tools +gemini-2\.5-flash calls a tool/);
  assert.doesNotMatch(stdout, /canary/);
  assert.deepEqual(fake.complaints, []);
  assert.equal(fake.requests.length, 2);
});

test('doctor says which model the provider does not know, and asks nothing further', async (t) => {
  const fake = await FakeGemini.start();
  t.after(() => fake.close());
  const env = { PORT: '0', GEMINI_API_KEY: 'fake-key', GEMINI_BASE_URL: fake.origin, GEMINI_MODEL: 'gemini-0' };
  const { code, stdout } = await runLfo(t, ['doctor'], { cwd: workingFolder(t), env });
  assert.equal(code, 1);
  assert.match(stdout, /✗ gemini stream +gemini-0: .*does not know this model.*\n +→ correct GEMINI_MODEL/);
  assert.equal(fake.requests.length, 1);
});

test('doctor asks Vertex AI for answers alone, since its models are listed elsewhere', async (t) => {
  const fake = await FakeGemini.start({ keys: ['canary-token'], isVertex: true });
  t.after(() => fake.close());
  const cwd = workingFolder(t);
  const base = `${fake.origin}/v1/projects/p/locations/global/publishers/google`;
  writeFileSync(
    join(cwd, 'lfo.yaml'),
    `backends: [{ kind: gemini, auth: bearer, base_url: "${base}", api_key: canary-token }]\n`,
    { mode: 0o600 },
  );
  const { code, stdout } = await runLfo(t, ['doctor'], { cwd, env: { PORT: '0' } });
  assert.equal(code, 0, stdout);
  assert.match(stdout, /✓ gemini tools/);
  assert.doesNotMatch(stdout, /canary/);
  assert.equal(fake.exchanges.length, 2);
});

test('explain prints the route and the reason', async (t) => {
  const url = await fakeServer(t, (_request, response) => {
    const body = {
      object: 'route',
      route: 'cloud',
      routing_reason: 'prompt_too_long',
      explanation: 'Too long.',
      prompt_tokens: 9,
      prompt_tokens_from: 'bound',
      threshold: 0.7,
      attempts: [{ tier: 'cloud', gated: false }],
      skipped: [],
    };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
  });
  const { code, stdout } = await runLfo(t, ['explain', 'hello', '--url', url], { cwd: workingFolder(t) });
  assert.equal(code, 0);
  assert.match(stdout, /^cloud: Too long\.\n/);
  const json = await runLfo(t, ['explain', 'hello', '--json', '--url', url], { cwd: workingFolder(t) });
  assert.equal(JSON.parse(json.stdout).routing_reason, 'prompt_too_long');
});

test('without an LFO to talk to, the message says how to start one', async (t) => {
  const { code, stderr } = await runLfo(t, ['explain', 'hello', '--url', 'http://127.0.0.1:1'], {
    cwd: workingFolder(t),
  });
  assert.equal(code, 1);
  assert.match(stderr, /^No LFO answers at http:\/\/127\.0\.0\.1:1: start it with "npm start"/);
});

test('chat streams, remembers, switches modes and shows where an answer came from', async (t) => {
  const bodies: { messages: unknown[]; metadata: { mode: string } }[] = [];
  const url = await fakeServer(t, async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    bodies.push(JSON.parse(text));
    assert.equal(request.headers.authorization, 'Bearer a-key-of-some-length');
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const content of ['Fo', 'ur 🙂'])
      response.write(`data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`);
    const lfo_metadata = {
      route: 'local',
      model: 'qwen',
      confidence: 0.912,
      threshold: 0.7,
      routing_reason: 'confident',
      latency_ms: 81.4,
    };
    response.end(`data: ${JSON.stringify({ choices: [], lfo_metadata })}\n\ndata: [DONE]\n\n`);
  });
  const env = { LFO_AUTH_TOKEN: 'a-key-of-some-length' };
  const input = 'What is 2+2?\n/local\nAgain\n/quit\nnever asked\n';
  const { code, stdout } = await runLfo(t, ['chat', '--url', url], { cwd: workingFolder(t), env, input });
  assert.equal(code, 0);
  const answer =
    'Four 🙂\n[local · qwen · scored 0.91 ≥ 0.70 · 81 ms · confident] The local answer reached the confidence threshold.\n\n';
  assert.equal(stdout, answer + answer);
  assert.deepEqual(
    bodies.map(({ metadata, messages }) => [metadata.mode, messages.length]),
    [
      ['auto', 1],
      ['local', 3],
    ],
  );
});

test('what a model says moves no cursor and sets no title', async (t) => {
  const [escape, bell, csi] = ['\u001b', '\u0007', '\u009b'];
  const url = await fakeServer(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const content of [`a${escape}`, `]0;pwned${bell}b`, `${csi}2Jc\r\n\td\u007f`])
      response.write(`data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`);
    const lfo_metadata = { route: 'local', model: `m${escape}[31m`, latency_ms: 1 };
    response.end(`data: ${JSON.stringify({ choices: [], lfo_metadata })}\n\ndata: [DONE]\n\n`);
  });
  const cwd = workingFolder(t);
  const { stdout } = await runLfo(t, ['chat', '--url', url], { cwd, input: 'hello\n' });
  assert.doesNotMatch(stdout, /[^\P{Cc}\n\t]/u);
  assert.match(stdout, /^a\]0;pwnedb2Jc\n\td\n/);
  const json = await runLfo(t, ['chat', '--json', '--url', url], { cwd, input: 'hello\n' });
  assert.doesNotMatch(json.stdout, /[^\P{Cc}\n]/u);
  assert.equal(JSON.parse(json.stdout).answer, `a${escape}]0;pwned${bell}b${csi}2Jc\r\n\td\u007f`);
});

test('a locked database is waited for, then told in one sentence', { timeout: 90_000 }, async (t) => {
  const cwd = workingFolder(t);
  assert.equal((await runLfo(t, ['db', 'migrate'], { cwd })).code, 0);
  const other = new DatabaseSync(join(cwd, 'data', 'lfo.db'));
  t.after(() => other.close());
  other.exec('BEGIN EXCLUSIVE');
  const { code, stdout, stderr } = await runLfo(t, ['keys', 'create', '--name', 'late'], { cwd });
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^The database was locked by another program for \d+ s: try again, or see lfo doctor\.\n$/);
  const waiting = runLfo(t, ['keys', 'create', '--name', 'patient'], { cwd });
  await delay(3_000);
  other.exec('COMMIT');
  assert.equal((await waiting).code, 0);
});

test('chat off a terminal fails when an answer failed, with the error in its own words', async (t) => {
  const url = await fakeServer(t, (_request, response) => {
    response
      .writeHead(503)
      .end(JSON.stringify({ error: { message: 'No backend is ready.', type: 'x', param: null, code: 'c' } }));
  });
  const { code, stderr } = await runLfo(t, ['chat', '--url', url], { cwd: workingFolder(t), input: 'hello\n' });
  assert.equal(code, 1);
  assert.equal(stderr, 'No backend is ready.\n');
});

test('an answer that breaks off is told in one sentence, and the conversation goes on', async (t) => {
  let asked = 0;
  const url = await fakeServer(t, (_request, response) => {
    asked += 1;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: {"choices":[{"delta":{"content":"half"}}]}\n\n', () => response.destroy());
  });
  const { code, stderr } = await runLfo(t, ['chat', '--url', url], { cwd: workingFolder(t), input: 'one\ntwo\n' });
  assert.equal(code, 1);
  assert.equal(stderr, 'The answer broke off: LFO ended the connection. See its log.\n'.repeat(2));
  assert.equal(asked, 2);
});

test('the doctor without a key takes no running LFO for another program on the port of devices', async (t) => {
  const free = await fakeServer(t, (_request, response) => response.end());
  const taken = new URL(free).host;
  const url = await fakeServer(t, ({ url: path }, response) => {
    const isHealth = path === '/health';
    const refused = { error: { message: 'A key is needed.', type: 'x', param: null, code: 'unauthorized' } };
    response.writeHead(isHealth ? 200 : 401).end(JSON.stringify(isHealth ? { status: 'ok' } : refused));
  });
  const env = { LFO_LOCAL_MODEL: 'none', LFO_FLEET_LISTEN: taken };
  const doctor = async (...args: readonly string[]) => {
    const { stdout } = await runLfo(t, ['doctor', '--offline', '--json', ...args], { cwd: workingFolder(t), env });
    const { checks } = JSON.parse(stdout);
    return checks.find(({ name }: { readonly name: string }) => name === 'fleet');
  };
  const beside = await doctor('--url', url);
  assert.equal(beside.ok, true, beside.detail);
  assert.match(beside.fix, /LFO_AUTH_TOKEN/);
  assert.equal((await doctor('--url', 'http://127.0.0.1:1')).ok, false);
});

test('a demonstration that cannot start leaves no folder behind', { timeout: 60_000 }, async (t) => {
  const url = await fakeServer(t, (_request, response) => response.end());
  const cwd = workingFolder(t);
  const { code, stderr } = await runLfo(t, ['demo', '--port', new URL(url).port], { cwd, env: { TMPDIR: cwd } });
  assert.equal(code, 1, stderr);
  assert.deepEqual(
    readdirSync(cwd).filter((name) => name.startsWith('lfo-demo-')),
    [],
  );
});

const systemNode = '/usr/bin/node';

test(
  'an old Node hands over to the one that npm ci brought',
  { skip: !existsSync(systemNode) && 'no system Node' },
  async (t) => {
    const cwd = workingFolder(t);
    const { code, stdout } = await runLfo(t, ['doctor', '--offline', '--json'], {
      cwd,
      node: systemNode,
      env: { PORT: '0' },
    });
    assert.equal(code, 0, stdout);
    assert.match(JSON.parse(stdout).checks[0].detail, /^Node v(2[4-9]|[3-9]\d)\./);
  },
);

async function fakeServer(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => unknown,
): Promise<string> {
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return `http://127.0.0.1:${address.port}`;
}

test('a data folder that cannot be made is told in one sentence, and what only reads makes none', async (t) => {
  const cwd = workingFolder(t);
  for (const LFO_DATA_DIR of [join(cwd, 'none', 'yet'), '/proc/nope']) {
    const ran = (...args: string[]) => runLfo(t, args, { cwd, env: { LFO_DATA_DIR } });
    const looks = [['config', 'show'], ['keys', 'list'], ['models', 'list'], ['stats'], ['doctor', '--offline']];
    const [shown, keys, models, stats] = await Promise.all(looks.map((args) => ran(...args)));
    assert.deepEqual([shown?.code, keys?.code, models?.code, stats?.code], [0, 0, 0, 1]);
    assert.match(keys?.stdout ?? '', /No keys yet/);
    assert.match(stats?.stderr ?? '', /^Nothing is recorded yet: [^\n]+\n$/);
    assert.ok(!existsSync(LFO_DATA_DIR));
  }
  const { code, stderr } = await runLfo(t, ['keys', 'create', '--name', 'x'], {
    cwd,
    env: { LFO_DATA_DIR: '/proc/nope' },
  });
  assert.equal(code, 1);
  assert.match(stderr, /^The data folder \/proc\/nope cannot be made \(E[A-Z]+\): [^\n]+\n$/);
});

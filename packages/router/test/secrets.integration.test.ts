import assert from 'node:assert/strict';
import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { asking } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { filesBelow, tracesOf } from '@lfo/testing/traces-of.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { request } from 'undici';

/** Everything that must stay where it was put; each odd enough to look different in every encoding. */
const planted = {
  authToken: 'canary-auth-token-9Zq7x?&<3kV8',
  geminiKey: 'canary-gemini-key-4Tn2m+/p0Ws6',
  backendKey: 'canary-backend-key-8Yb5c+/d1Rf3',
  wrongKey: 'canary-wrong-key-2Hj6v+/s9Lq4',
  prompt: 'canary prompt "über" 7Gd3 & so on',
  system: 'canary system <b>8Kp1</b> words',
  completion: 'canary completion 5Xw9 “quoted”',
  refusal: 'canary upstream body 6Mr4 & stack',
  image: 'Y2FuYXJ5LWltYWdlLTNGdDc',
  user: 'canary-user-1Vz8@example.test',
  session: 'canary-session-4Cn6+/x',
  header: 'canary-header-value-9Jb2+/x',
  userAgent: 'canary-agent/7.3 (x)',
  model: 'canary/model-name-3Se5+x',
  metadata: 'canary-metadata-0Pk7+/x',
  toolName: 'canary_tool_name_6Dq1',
  toolArguments: 'canary tool arguments 2Nw8 é',
  schema: 'canary_schema_property_5Rt9',
  path: 'canary-path-8Fm3+x',
  query: 'canary-query-1Lg4+x',
} as const;

interface Scene {
  readonly url: string;
  readonly folder: string;
  readonly local: ScriptedUpstream;
  readonly cloud: ScriptedUpstream;
  /** Ends the router and resolves with everything it has printed. */
  readonly end: () => Promise<{ readonly stdout: string; readonly stderr: string }>;
}

async function start(t: TestContext): Promise<Scene> {
  const local = await ScriptedUpstream.start();
  const cloud = await ScriptedUpstream.start();
  t.after(() => Promise.all([local.close(), cloud.close()]));
  const folder = workingFolder(t);
  const file = join(folder, 'lfo.yaml');
  writeFileSync(
    file,
    `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small], capabilities: { images: true } }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big], api_key: "${planted.backendKey}" }
`,
  );
  chmodSync(file, 0o600);
  const env = {
    PORT: '0',
    LFO_LOG_LEVEL: 'trace',
    LFO_AUTH_TOKEN: planted.authToken,
    GEMINI_API_KEY: planted.geminiKey,
    GEMINI_BASE_URL: cloud.origin,
  };
  const lfo = startLfo(t, ['serve'], { cwd: folder, env });
  const url = /http:\/\/[\w.]+:\d+/.exec(await lfo.output(/LFO is ready/))?.[0] ?? '';
  return {
    url,
    folder,
    local,
    cloud,
    async end() {
      lfo.child.kill('SIGTERM');
      return await lfo.finished;
    },
  };
}

/** A request that carries every secret a client can have. */
const loaded = (more: Readonly<Record<string, unknown>> = {}) => ({
  ...asking(''),
  messages: [
    { role: 'system', content: planted.system },
    {
      role: 'user',
      name: 'x',
      content: [
        { type: 'text', text: planted.prompt },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${planted.image}` } },
      ],
    },
    {
      role: 'assistant',
      content: null,
      tool_calls: [
        {
          id: 'c1',
          type: 'function',
          function: { name: planted.toolName, arguments: JSON.stringify({ x: planted.toolArguments }) },
        },
      ],
    },
    { role: 'tool', tool_call_id: 'c1', content: planted.prompt },
  ],
  tools: [
    {
      type: 'function',
      function: {
        name: planted.toolName,
        description: planted.prompt,
        parameters: { type: 'object', properties: { [planted.schema]: { type: 'string' } } },
      },
    },
  ],
  user: planted.user,
  prompt_cache_key: planted.session,
  metadata: { note: planted.metadata },
  ...more,
});

const headersWith = (key: string) => ({
  'content-type': 'application/json',
  authorization: `Bearer ${key}`,
  'user-agent': planted.userAgent,
  'x-request-id': planted.header,
  'x-lfo-session': planted.session,
  'x-planted': planted.header,
  cookie: planted.header,
  referer: `http://localhost/${planted.header}`,
});

test(
  'security 13 and 14: no planted secret is found in any log, record, metric, file or error',
  { timeout: 90_000 },
  async (t) => {
    const { url, folder, local, cloud, end } = await start(t);
    const shown: string[] = [];
    const ask = async (
      path: string,
      body: unknown,
      headers: Record<string, string> = headersWith(planted.authToken),
    ) => {
      const method = body === undefined ? 'GET' : 'POST';
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const answer = await request(url + path, { method, headers, body: body === undefined ? null : text });
      const answered = await answer.body.text();
      shown.push(
        JSON.stringify(answer.headers),
        answer.statusCode === 200 && path.startsWith('/v1/chat') ? '' : answered,
      );
      return { status: answer.statusCode, text: answered };
    };
    const chat = (more: Readonly<Record<string, unknown>>) => ask('/v1/chat/completions', loaded(more));
    const answering = answerWith({ deltas: [planted.completion, ' and more'], logprobs: [-0.1, -0.1] });
    const failing = [400, 401, 403, 404, 422, 429, 500, 503];
    for (const upstream of [local, cloud]) upstream.always(answering);

    for (const model of ['lfo-local', 'lfo-cloud', 'lfo-auto', 'small', 'big', 'gemini-2.5-flash']) {
      for (const stream of [false, true]) await chat({ model, stream });
    }
    assert.match((await chat({ model: 'big' })).text, /canary completion/, 'the client does get its answer');
    for (const status of failing) {
      const error = {
        message: `${planted.refusal} ${planted.prompt} ${planted.backendKey}`,
        code: planted.refusal,
        type: planted.refusal,
      };
      for (const upstream of [local, cloud]) upstream.always((exchange) => exchange.json(status, { error }));
      for (const model of ['lfo-auto', 'small', 'big', 'gemini-2.5-flash'])
        assert.ok((await chat({ model })).status >= 400);
    }
    for (const upstream of [local, cloud]) {
      upstream.always((exchange) => {
        exchange.head(200, { 'content-type': 'text/html', 'x-planted': planted.refusal });
        exchange.finish(`<html>${planted.refusal}</html>`);
      });
    }
    for (const model of ['lfo-auto', 'gemini-2.5-flash']) await chat({ model, stream: true });

    for (const path of [
      '/v1/models',
      '/ready',
      '/health',
      '/openapi.json',
      '/metrics',
      '/admin',
      '/',
      `/${planted.path}?q=${planted.query}`,
      `/v1/models/${planted.path}`,
    ]) {
      await ask(encodeURI(path), undefined);
      await ask(encodeURI(path), undefined, headersWith(planted.wrongKey));
    }
    await ask('/v1/route', loaded({ model: 'lfo-cloud' }));
    assert.equal((await ask('/v1/chat/completions', loaded(), headersWith(planted.wrongKey))).status, 401);
    assert.equal((await chat({ model: planted.model })).status, 404);
    assert.equal((await ask('/v1/chat/completions', `{"messages":"${planted.prompt.slice(0, 20)}`)).status, 400);
    assert.equal((await chat({ temperature: planted.prompt })).status, 400);
    assert.equal((await chat({ messages: [{ role: planted.prompt, content: planted.prompt }] })).status, 400);
    assert.equal((await chat({ metadata: { mode: planted.metadata } })).status, 400);
    assert.equal(
      (await ask('/v1/chat/completions', loaded(), { ...headersWith(planted.authToken), host: planted.header })).status,
      403,
    );

    const { stdout, stderr } = await end();
    assert.equal(stderr, '');
    const lines = stdout.trimEnd().split('\n');
    assert.ok(lines.length > 50, 'the log is not empty');
    for (const line of lines) assert.equal(typeof JSON.parse(line), 'object');
    assert.deepEqual(tracesOf(planted, Buffer.from(stdout)), [], 'the log');
    assert.deepEqual(tracesOf(planted, Buffer.from(shown.join('\n'))), [], 'errors, heads and other routes');
    const files = filesBelow(join(folder, 'data')).filter(({ path }) => !path.includes('/cache/'));
    assert.ok(files.some(({ path, bytes }) => path.endsWith('lfo.db') && bytes.length > 4096));
    for (const { path, bytes } of files) assert.deepEqual(tracesOf(planted, bytes), [], path);
  },
);

test("security 13: data files are their owner's alone", { timeout: 60_000 }, async (t) => {
  const { url, folder, end } = await start(t);
  const headers = headersWith(planted.authToken);
  const { body } = await request(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers,
    body: JSON.stringify(loaded()),
  });
  await body.dump();
  const modeOf = (path: string) => statSync(path).mode & 0o777;
  assert.equal(modeOf(join(folder, 'data')), 0o700);
  const files = filesBelow(join(folder, 'data')).filter(({ path }) => !path.includes('/cache/'));
  assert.ok(files.length > 0);
  for (const { path } of files) assert.deepEqual([path, modeOf(path)], [path, 0o600]);
  await end();
});

test('security 15: nothing a client sends breaks a log record into two', { timeout: 60_000 }, async (t) => {
  const { url, end } = await start(t);
  const forged = '\\r\\n{"level":"fatal","msg":"planted"}\\u2028\\u0085\\u001b[31m';
  const headers = headersWith(planted.authToken);
  const bodies = [
    `{"model":"${forged}"}`,
    `{"model":"${forged}","messages":[{"role":"user","content":"Hi"}]}`,
    `{"messages":[{"role":"${forged}"}]}`,
    `{"${forged}":1}`,
    forged,
  ];
  for (const body of bodies)
    await (await request(`${url}/v1/chat/completions`, { method: 'POST', headers, body })).body.dump();
  await (await request(`${url}/%0d%0a%7b%22msg%22%3a%22planted%22%7d`, { headers })).body.dump();
  const { port } = new URL(url);
  for (const raw of [
    'GET /planted\r\n\r\n',
    'GET /\u0000planted HTTP/1.1\r\n\r\n',
    'planted\n{"msg":"planted"}\n\n',
    'GET / HTTP/1.1\r\nhost: localhost\r\nx: a\n{"planted":1}\r\n\r\n',
  ]) {
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.end(raw));
      socket
        .on('close', () => resolve())
        .on('error', () => undefined)
        .resume();
    });
  }
  const { stdout, stderr } = await end();
  assert.equal(stderr, '');
  for (const line of stdout.trimEnd().split('\n')) assert.ok(Object.hasOwn(JSON.parse(line), 'level'));
  for (const trace of ['planted', '\u2028', '\u0085', '\u001b']) assert.equal(stdout.includes(trace), false);
});

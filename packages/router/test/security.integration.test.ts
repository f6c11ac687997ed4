import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createServer } from 'node:tls';
import { describe, test, type TestContext } from 'node:test';

import { startTiers, type Tiers } from '@lfo/testing/both-tiers.ts';
import { eventually } from '@lfo/testing/faults/subject.ts';
import { runLfo, startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { selfSigned } from '@lfo/testing/self-signed.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith, hello } from '@lfo/testing/upstream/openai-answer.ts';

const key = 'lfo-key-for-tests-0123456789abcdef';
const withKey = { env: { LFO_AUTH_TOKEN: key } };
const bearer = (presented: string) => ({ authorization: `Bearer ${presented}` });

const bothTiers = (t: TestContext, settings = ''): Promise<Tiers> =>
  startTiers(t, {
    near: 'models: [small], capabilities: { images: true }',
    far: 'models: [big], api_key: sk-far-0123456789',
    settings,
  });

const posts = (upstream: ScriptedUpstream) => upstream.requests.filter(({ method }) => method === 'POST');

/** Status of what a socket answers to bytes as they are. */
function rawStatus({ app }: TestRouter, text: string): Promise<number> {
  const { port } = new URL(app.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(text));
    socket.once('data', (bytes) => {
      resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(bytes.toString())?.[1]));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

describe('security: bind and auth', () => {
  test('security 1: beyond loopback nothing starts without a key', { timeout: 60_000 }, async (t) => {
    for (const host of ['0.0.0.0', '::', '192.0.2.1', '::ffff:127.0.0.1', '0']) {
      const { code, stdout } = await runLfo(t, ['serve'], { cwd: workingFolder(t), env: { HOST: host, PORT: '0' } });
      assert.notEqual(code, 0, host);
      assert.match(stdout, /LFO_AUTH_TOKEN/);
      assert.doesNotMatch(stdout, /ready/);
    }
  });

  test('security 2: every route but /health and /ready asks for the key, and only then says whether it exists', async (t) => {
    const router = await startRouter(t, withKey);
    for (const path of [
      '/v1/models',
      '/openapi.json',
      '/nowhere',
      '/health/x',
      '/HEALTH',
      '//health',
      '/%2e%2e',
      '/v1/models?api_key=1',
    ]) {
      assert.deepEqual([path, (await router.request('GET', path)).status], [path, 401]);
    }
    assert.equal((await router.chat(asking('Hi'))).status, 401);
    assert.equal((await router.request('POST', '/v1/route', asking('Hi'))).status, 401);
    const health = await router.request('GET', '/health');
    assert.deepEqual([health.status, health.json], [200, { status: 'ok' }]);
    const ready = await router.request('GET', '/ready');
    assert.deepEqual([ready.status, ready.json], [503, { status: 'not_ready' }], 'a word, no reasons');
    assert.equal((await router.request('GET', '/nowhere', undefined, bearer(key))).status, 404);
    assert.equal((await router.request('GET', '/v1/models', undefined, bearer(key))).status, 200);
  });

  test('security 4: nothing but the whole key opens, whatever its length', async (t) => {
    const router = await startRouter(t, withKey);
    for (const wrong of [key.slice(0, -1), `${key}0`, key.toUpperCase(), 'x', 'x'.repeat(4000), `${key},${key}`]) {
      assert.equal((await router.request('GET', '/v1/models', undefined, bearer(wrong))).status, 401);
    }
    for (const headers of [
      { authorization: '' },
      { authorization: 'Bearer' },
      { authorization: 'Bearer  ' },
      { 'x-api-key': '' },
    ]) {
      assert.equal((await router.request('GET', '/v1/models', undefined, headers)).status, 401);
    }
    const source = readFileSync(new URL('../src/keys/verify-key.ts', import.meta.url), 'utf8');
    assert.match(source, /timingSafeEqual\(digest\(presented\), expected\)/);
  });

  test('security 5: a hundred wrong keys are answered 401, more 429 with Retry-After, and a good key always comes in', async (t) => {
    const router = await startRouter(t, withKey);
    const tryKey = (presented: string, from = '192.0.2.1') =>
      router.request('GET', '/v1/models', undefined, { ...bearer(presented), 'x-forwarded-for': from });
    // Whom nobody trusts may not name other addresses.
    for (let i = 0; i < 100; i++) assert.equal((await tryKey(`wrong-${i}`, `192.0.2.${i}`)).status, 401);
    const limited = await tryKey('wrong');
    assert.equal(limited.status, 429);
    assert.ok(Number(limited.headers['retry-after']) >= 1);
    assert.equal((await tryKey(key)).status, 200);
  });

  test('security 5: the address a trusted proxy names is the one that counts', async (t) => {
    const router = await startRouter(t, {
      ...withKey,
      yaml: 'server: { trusted_proxies: ["127.0.0.1"] }\nlimits: { failed_auth_per_minute: 2 }\n',
    });
    const tryFrom = async (from: string) =>
      (await router.request('GET', '/v1/models', undefined, { ...bearer('wrong'), 'x-forwarded-for': from })).status;
    assert.deepEqual(
      [await tryFrom('192.0.2.1'), await tryFrom('192.0.2.1'), await tryFrom('192.0.2.1')],
      [401, 401, 429],
    );
    assert.equal(await tryFrom('192.0.2.2'), 401);
    // What the client itself wrote stands before what the proxy added.
    assert.equal(await tryFrom('192.0.2.77, 192.0.2.1'), 429);
  });

  test('security 6: three headers meet one verifier; a body or a query carries no key', async (t) => {
    const router = await startRouter(t, withKey);
    for (const headers of [
      bearer(key),
      { authorization: `bearer ${key}` },
      { 'x-api-key': key },
      { 'x-goog-api-key': key },
    ]) {
      assert.equal((await router.request('GET', '/v1/models', undefined, headers)).status, 200);
    }
    for (const header of ['authorization', 'x-api-key', 'x-goog-api-key']) {
      assert.equal((await router.request('GET', '/v1/models', undefined, { [header]: 'wrong' })).status, 401);
    }
    assert.equal((await router.request('GET', `/v1/models?api_key=${key}&token=${key}`)).status, 401);
    for (const headers of [{}, bearer(key)]) {
      const inUrl = await router.request('GET', `/v1/models?key=${key}`, undefined, headers);
      assert.deepEqual([inUrl.status, at(inUrl.json, 'error', 'code')], [400, 'key_in_url'], 'proxies write it down');
    }
    assert.equal((await router.chat(asking('Hi', { api_key: key, key }))).status, 401);
  });
});

describe('security: borne by browsers', () => {
  test('security 7: only known hosts are served, in the header and in absolute-form targets', async (t) => {
    const router = await startRouter(t, { yaml: 'server: { allowed_hosts: [lfo.lan] }\n' });
    const get = (target: string, host: string) => rawStatus(router, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1:65535', '[::1]', '[::1]:80', 'LFO.lan:8080']) {
      assert.deepEqual([host, await get('/health', host)], [host, 200]);
      assert.deepEqual([host, await get(`http://${host}/health`, host)], [host, 200]);
    }
    for (const host of [
      'evil.test',
      '0.0.0.0:8080',
      '[::]',
      'localhost.evil.test',
      'localhost@evil.test',
      '127.0.0.1.nip.io',
      '127.1',
      'lfo.lan.',
    ]) {
      for (const path of ['/health', '/nowhere']) assert.deepEqual([host, await get(path, host)], [host, 403]);
    }
    assert.equal(await get('http://evil.test/health', 'localhost'), 403);
    assert.equal(await get('http://localhost/health', 'evil.test'), 403);
    assert.equal(await rawStatus(router, 'GET /health HTTP/1.1\r\n\r\n'), 400);
    assert.equal(await rawStatus(router, 'GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n'), 400);
  });

  test('security 8: no CORS, JSON alone, and no request of a foreign page', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    const ask = (headers: Record<string, string>) => router.chat(asking('Hi'), headers);
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/jsonp',
      '*/*',
    ]) {
      assert.deepEqual([type, (await ask({ 'content-type': type })).status], [type, 415]);
    }
    const foreign = [
      { origin: 'http://evil.test' },
      { origin: 'null' },
      { origin: 'http://localhost:3000' },
      { 'sec-fetch-site': 'cross-site' },
    ];
    for (const headers of foreign) {
      for (const path of ['/v1/models', '/health', '/nowhere']) {
        const answer = await router.request('GET', path, undefined, headers);
        assert.equal(answer.status, 403);
        assert.deepEqual(
          Object.keys(answer.headers).filter((name) => name.startsWith('access-control')),
          [],
        );
      }
      assert.equal((await ask(headers)).status, 403);
    }
    const { port } = new URL(router.app.url);
    const preflight = `OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost:${port}\r\nOrigin: http://evil.test\r\nAccess-Control-Request-Method: POST\r\n\r\n`;
    assert.equal(await rawStatus(router, preflight), 403);
    assert.equal(posts(local).length + posts(cloud).length, 0);
    assert.equal((await ask({})).status, 200);
  });
});

describe('security: egress', () => {
  test('security 10: a request names no host, header or proxy', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    const elsewhere = await ScriptedUpstream.start();
    t.after(() => elsewhere.close());
    const url = `${elsewhere.origin}/v1`;
    const names = [
      'base_url',
      'api_base',
      'url',
      'baseURL',
      'endpoint',
      'proxy',
      'host',
      'api_key',
      'custom_llm_provider',
    ];
    const fields = {
      ...Object.fromEntries(names.map((name) => [name, url])),
      headers: { 'x-planted': url },
      extra_headers: { 'x-planted': url },
      extra_body: { base_url: url },
    };
    const headers = Object.fromEntries(
      ['x-base-url', 'x-api-base', 'x-forwarded-host', 'x-planted', 'via'].map((name) => [name, url]),
    );
    for (const model of ['lfo-local', 'lfo-cloud', 'small', 'big']) {
      assert.equal((await router.chat(asking('Hi', { ...fields, model }), headers)).status, 200);
    }
    assert.equal((await router.chat(asking('Hi', { ...fields, model: url }), headers)).status, 404);
    assert.equal(elsewhere.openConnections + elsewhere.requests.length, 0);
    const sent = [...posts(local), ...posts(cloud)];
    assert.equal(sent.length, 4);
    for (const { path, text, headers: received } of sent) {
      assert.equal(path, '/v1/chat/completions');
      assert.doesNotMatch(text + JSON.stringify(received), new RegExp(new URL(url).port));
    }
  });

  const images: readonly (readonly [url: string, isTaken: boolean])[] = [
    ['data:image/png;base64,iVBORw0KGgo=', true],
    ['data:;base64,iVBORw0KGgo=', true],
    ['iVBORw0KGgo=', true],
    ['data:text/html;base64,PGI+', false],
    ['data:;base64,PGI+', false],
    ['data:image/png,raw', false],
    ['data:image/png;base64,', false],
    ['http://192.0.2.1/a.png', false],
    ['HTTPS://192.0.2.1/a.png', false],
    ['http://169.254.169.254/latest/meta-data', false],
    ['file:///etc/passwd', false],
    ['/etc/passwd', false],
    ['ftp://192.0.2.1/a.png', false],
    ['gopher://127.0.0.1:6379/_x', false],
    ['//192.0.2.1/a.png', false],
  ];

  test('security 11: an image is data of an image type, and nothing is fetched for it', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    for (const [url, isTaken] of images) {
      const content = [
        { type: 'text', text: 'What is it?' },
        { type: 'image_url', image_url: { url } },
      ];
      const answer = await router.chat({ model: 'lfo-local', messages: [{ role: 'user', content }] });
      assert.deepEqual([url, answer.status], [url, isTaken ? 200 : 400]);
      if (isTaken) continue;
      assert.equal(at(answer.json, 'error', 'param'), 'messages[0].content[1].image_url.url');
      assert.equal(answer.text.includes(url), false, 'the address is not quoted');
    }
    assert.equal(posts(local).length, images.filter(([, isTaken]) => isTaken).length);
    assert.equal(posts(cloud).length, 0);
  });

  test('security 11: where fetching is allowed, local mode and local servers still get no address', async (t) => {
    const { router, local } = await bothTiers(t, 'limits: { fetch_images: true }');
    const messages = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'http://192.0.2.1/a.png' } }] }];
    assert.equal((await router.chat({ model: 'lfo-local', messages })).status, 400);
    const auto = await router.chat({ messages });
    assert.equal(at(auto.json, 'lfo_metadata', 'route'), 'cloud');
    assert.equal(posts(local).length, 0);
  });

  test('security 12: redirects of providers are errors, and keys travel in headers', async (t) => {
    const { router, cloud } = await bothTiers(t);
    const elsewhere = await ScriptedUpstream.start();
    t.after(() => elsewhere.close());
    for (const status of [301, 302, 303, 307, 308]) {
      cloud.always((exchange) => exchange.json(status, {}, { location: `${elsewhere.origin}/v1/chat/completions` }));
      const answer = await router.chat(asking('Hi', { model: 'lfo-cloud' }));
      assert.equal(answer.status, 502);
      assert.equal(answer.text.includes(elsewhere.origin), false);
    }
    assert.equal(elsewhere.requests.length, 0);
    for (const { path, headers } of posts(cloud)) {
      assert.equal(headers.authorization, 'Bearer sk-far-0123456789');
      assert.doesNotMatch(path, /sk-far/);
    }
  });

  test(
    'security 12: no variable of Node switches the verification of certificates off',
    { timeout: 60_000 },
    async (t) => {
      let greeted = 0;
      const server = createServer(selfSigned, (socket) =>
        socket.on('data', () => greeted++).on('error', () => undefined),
      );
      server.on('tlsClientError', () => undefined);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      t.after(() => server.close());
      const address = server.address();
      assert.ok(address !== null && typeof address === 'object');
      const env = {
        PORT: '0',
        GEMINI_API_KEY: 'a-gemini-key-0123456789',
        GEMINI_BASE_URL: `https://127.0.0.1:${address.port}`,
        NODE_TLS_REJECT_UNAUTHORIZED: '0',
      };
      const lfo = startLfo(t, ['serve'], { cwd: workingFolder(t), env });
      const url = /http:\/\/[\w.]+:\d+/.exec(await lfo.output(/LFO is ready/))?.[0] ?? '';
      const { request } = await import('undici');
      const { statusCode, body } = await request(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(asking('Hi', { model: 'lfo-cloud' })),
      });
      assert.equal(statusCode, 503);
      assert.match(await body.text(), /certificate/);
      assert.equal(greeted, 0, 'no byte of a request was sent');
    },
  );
});

describe('security: input', () => {
  const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;
  const many = (count: number, one: string) => Array.from({ length: count }, () => one).join(',');
  const body = (more: string) => `{"messages":[{"role":"user","content":"Hi"}]${more}}`;
  const tool = '{"type":"function","function":{"name":"f"}}';
  const bodies: readonly (readonly [what: string, raw: string, status: number])[] = [
    ['depth', body(`,"x":${deep(101)}`), 400],
    ['depth without end', '['.repeat(100_000), 400],
    ['messages', `{"messages":[${many(2049, '{"role":"user","content":"Hi"}')}]}`, 400],
    ['tools', body(`,"tools":[${many(129, tool)}]`), 400],
    ['n', body(',"n":1000000000'), 400],
    ['max_tokens', body(',"max_tokens":1e300'), 400],
    ['stops', body(`,"stop":[${many(6, '"x"')}]`), 400],
    ['values', body(`,"x":[${many(200_000, '0')}]`), 400],
    ['top_logprobs', body(',"logprobs":true,"top_logprobs":21'), 400],
    [
      'a slow pattern',
      body(',"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"string","pattern":"(a+)+$"}}}]'),
      400,
    ],
    ['a prototype', body(',"__proto__":{"isAdmin":true}'), 400],
    ['size', body(`,"x":"${'x'.repeat(16 * 1024 * 1024)}"`), 413],
  ];

  test('security 16: everything in a body has a bound', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    const { request } = await import('undici');
    for (const [what, raw, status] of bodies) {
      const headers = { 'content-type': 'application/json' };
      const answer = await request(`${router.app.url}/v1/chat/completions`, { method: 'POST', headers, body: raw });
      const text = await answer.body.text();
      assert.deepEqual([what, answer.statusCode], [what, status]);
      assert.deepEqual(Object.keys(Object(at(JSON.parse(text), 'error'))).toSorted(), [
        'code',
        'message',
        'param',
        'source',
        'type',
      ]);
    }
    assert.equal(posts(local).length + posts(cloud).length, 0);
    assert.equal(Reflect.get({}, 'isAdmin'), undefined);
  });

  test('security 17: fields nobody documented never reach a provider, at any depth', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    const planted = 'planted-field';
    const parts = [{ type: 'text', text: 'Hi', [planted]: 1 }];
    const functionSpec = { name: 'f', parameters: { type: 'object', properties: {} }, [planted]: 1 };
    const more = {
      messages: [{ role: 'user', content: parts, [planted]: 1 }],
      tools: [{ type: 'function', function: functionSpec, [planted]: 1 }],
      response_format: { type: 'json_object', [planted]: 1 },
      stream_options: { include_usage: true, [planted]: 1 },
      metadata: { [planted]: 'x' },
      user: planted,
      grammar: planted,
      chat_template_kwargs: { [planted]: 1 },
      [planted]: 1,
    };
    for (const model of ['lfo-local', 'lfo-cloud']) {
      assert.equal((await router.stream({ ...more, model })).status, 200);
    }
    const sent = [...posts(local), ...posts(cloud)];
    assert.equal(sent.length, 2);
    for (const { text, headers } of sent) assert.doesNotMatch(text + JSON.stringify(headers), /planted|grammar|kwargs/);
  });

  test('security 18: the same call again and again is flagged', async (t) => {
    const { router } = await bothTiers(t);
    const turns = (count: number) =>
      Array.from({ length: count }, (_, at) => [
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: `c${at}`, type: 'function', function: { name: 'f', arguments: '{"a": 1}' } }],
        },
        { role: 'tool', tool_call_id: `c${at}`, content: 'nothing' },
      ]).flat();
    const ask = (count: number) =>
      router.chat({ model: 'lfo-local', messages: [{ role: 'user', content: 'Hi' }, ...turns(count)] });
    assert.equal((await ask(2)).headers['x-lfo-warning'], undefined);
    const flagged = await ask(3);
    assert.match(String(flagged.headers['x-lfo-warning']), /tool_calls: one call was made 3 times/);
    assert.match(String(at(flagged.json, 'lfo_metadata', 'warnings', 'tool_calls')), /3 times/);
  });

  test('security 19: what a backend says reaches no header and no line of its own', async (t) => {
    const { router, cloud } = await bothTiers(t);
    const hostile = 'x\r\nset-cookie: planted=1\r\n\r\n{"level":"fatal"}\u2028\u0000\ud800<script>';
    cloud.always(answerWith({ ...hello, deltas: [hostile], model: hostile, finishReason: hostile }));
    for (const stream of [false, true]) {
      const answer = await router.chat(asking('Hi', { model: 'lfo-cloud', stream }));
      assert.equal(answer.headers['set-cookie'], undefined);
      assert.doesNotMatch(JSON.stringify(answer.headers), /planted|script/);
      assert.equal(answer.text.isWellFormed(), true);
    }
    cloud.always((exchange) => exchange.json(500, { error: { message: hostile, code: hostile, type: hostile } }));
    const failed = await router.chat(asking('Hi', { model: 'lfo-cloud' }));
    assert.doesNotMatch(failed.text, /planted|script/);
    // The lines of a request are written after its answer.
    const lines = (): readonly string[] => router.log().split('\n').filter(Boolean);
    await eventually('three requests are in the log', () => lines().length >= 3);
    for (const line of lines()) assert.equal(typeof JSON.parse(line), 'object');
    assert.doesNotMatch(router.log(), /planted|script/);
  });
});

describe('security: the process', () => {
  test(
    'security 27: the router loads no native code of an engine and writes into its data folder alone',
    { timeout: 60_000, skip: existsSync('/proc/self/maps') ? false : 'reads /proc' },
    async (t) => {
      const cwd = workingFolder(t);
      const lfo = startLfo(t, ['serve'], {
        cwd,
        env: { PORT: '0', LFO_LOCAL_MODEL: './missing.gguf', LFO_OFFLINE: '1' },
      });
      await lfo.output(/cannot answer: There is no model file missing\.gguf/);
      const maps = readFileSync(`/proc/${lfo.child.pid}/maps`, 'utf8');
      assert.doesNotMatch(maps, /llama|ggml|\.node\b/);
      lfo.child.kill('SIGTERM');
      assert.equal((await lfo.finished).code, 0);
      assert.deepEqual(readdirSync(cwd), ['data']);
    },
  );
});

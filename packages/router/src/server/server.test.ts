import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { scriptedRouter, type ScriptedRouterOptions } from '@lfo/testing/scripted-router.ts';
import { at } from '@lfo/testing/sse.ts';
import * as fc from 'fast-check';

const chat = { messages: [{ role: 'user', content: 'hi' }] };
const key = 'lfo-a-key-of-some-length';

interface Asked {
  readonly method?: 'GET' | 'POST' | 'OPTIONS' | 'DELETE' | 'PUT';
  readonly url: string;
  readonly headers?: Record<string, string>;
  readonly payload?: string | object;
}

async function ask(options: ScriptedRouterOptions, asked: Asked) {
  const { app } = scriptedRouter(options);
  const response = await app.inject({ method: 'GET', ...asked });
  await app.close();
  const body: unknown = response.body === '' ? undefined : JSON.parse(response.body);
  return { status: response.statusCode, headers: response.headers, code: at(body, 'error', 'code'), body };
}

const withKey = { server: { authToken: key } };

test('every answer carries a request id of ours, whatever the client sends', async () => {
  for (const url of ['/health', '/nowhere', '/v1/models', '/%zz']) {
    const { headers } = await ask({}, { url, headers: { 'x-request-id': 'theirs' } });
    assert.match(
      String(headers['x-request-id']),
      /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  }
});

test('without a configured key everybody is served, with any key or none', async () => {
  assert.equal((await ask({}, { url: '/v1/models' })).status, 200);
  assert.equal((await ask({}, { url: '/v1/models', headers: { authorization: 'Bearer sk-whatever' } })).status, 200);
});

test('with a key every route but /health and /ready asks for it, unknown and broken ones included', async () => {
  for (const url of ['/v1/models', '/openapi.json', '/nowhere', '/%zz']) {
    assert.deepEqual([(await ask(withKey, { url })).status, url], [401, url]);
  }
  assert.equal((await ask(withKey, { url: '/health' })).status, 200);
  const known = { authorization: `Bearer ${key}` };
  assert.equal((await ask(withKey, { url: '/nowhere', headers: known })).code, 'not_found');
  assert.equal((await ask(withKey, { url: '/%zz', headers: known })).status, 400);
});

test('three headers meet one verifier', async () => {
  const right = [{ authorization: `bearer ${key}` }, { 'x-api-key': key }, { 'x-goog-api-key': key }];
  for (const headers of right) assert.equal((await ask(withKey, { url: '/v1/models', headers })).status, 200);
  for (const headers of [{ authorization: 'Basic eA==' }, { 'x-api-key': `${key}x` }, { 'x-goog-api-key': 'no' }]) {
    assert.equal((await ask(withKey, { url: '/v1/models', headers })).status, 401);
  }
});

test('wrong keys are slowed down after a hundred a minute, a right one never', async () => {
  const clock = new FakeClock();
  const { app } = scriptedRouter({ ...withKey, clock });
  const tryKey = (presented: string) =>
    app.inject({ url: '/v1/models', headers: { authorization: `Bearer ${presented}` } });
  for (let i = 0; i < 100; i++) assert.equal((await tryKey(`wrong${i}`)).statusCode, 401);
  const limited = await tryKey('wrong');
  assert.deepEqual([limited.statusCode, limited.headers['retry-after']], [429, '60']);
  assert.equal((await tryKey(key)).statusCode, 200);
  clock.advance(60_001);
  assert.equal((await tryKey('wrong')).statusCode, 401);
  await app.close();
});

test('only known Host names are served', async () => {
  for (const host of ['localhost', 'LocalHost:9', '127.0.0.1:8080', '[::1]:8080', 'lfo.internal']) {
    const asked = { url: '/health', headers: { host } };
    assert.deepEqual([(await ask({ server: { allowedHosts: ['LFO.internal'] } }, asked)).status, host], [200, host]);
  }
  for (const host of ['evil.test', '0.0.0.0:8080', 'localhost.evil.test', '127.0.0.1.nip.io', 'localhost:80:80']) {
    for (const url of ['/health', '/nowhere']) {
      const asked = { url, headers: { host } };
      const { status } = await ask({ server: { host: '0.0.0.0', allowedHosts: ['0.0.0.0'] } }, asked);
      assert.deepEqual([status, host], [403, host]);
    }
  }
});

test('other origins are refused unless allowed, our own are not', async () => {
  const refused = [
    { origin: 'http://evil.test' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { origin: 'http://localhost:3000' },
  ];
  for (const headers of refused) {
    assert.equal(
      (await ask({}, { url: '/health', headers: { host: 'localhost:8080', ...headers } })).code,
      'origin_not_allowed',
    );
  }
  const own = { host: 'localhost:8080', origin: 'http://localhost:8080', 'sec-fetch-site': 'same-origin' };
  const { status, headers } = await ask({}, { url: '/health', headers: own });
  assert.deepEqual([status, headers['access-control-allow-origin']], [200, undefined]);
});

test('an allowed origin gets its preflight and its answers', async () => {
  const options = { server: { authToken: key, allowedOrigins: ['https://app.test'] } };
  const origin = { origin: 'https://app.test', 'sec-fetch-site': 'cross-site' };
  const preflight = await ask(options, { method: 'OPTIONS', url: '/v1/chat/completions', headers: origin });
  assert.deepEqual([preflight.status, preflight.headers['access-control-allow-origin']], [204, 'https://app.test']);
  const headers = { ...origin, authorization: `Bearer ${key}` };
  const answer = await ask(options, { method: 'POST', url: '/v1/chat/completions', headers, payload: chat });
  assert.deepEqual([answer.status, answer.headers['access-control-allow-origin']], [200, 'https://app.test']);
});

test('only plain JSON bodies are read', async () => {
  const url = '/v1/chat/completions';
  const text = JSON.stringify(chat);
  const asText = await ask({}, { method: 'POST', url, headers: { 'content-type': 'text/plain' }, payload: text });
  assert.deepEqual([asText.status, asText.code], [415, 'unsupported_media_type']);
  const json = { 'content-type': 'application/json' };
  const zipped = await ask(
    {},
    { method: 'POST', url, headers: { ...json, 'content-encoding': 'gzip' }, payload: text },
  );
  assert.deepEqual([zipped.status, zipped.code], [415, 'unsupported_content_encoding']);
  const charset = { 'content-type': 'application/json; charset=utf-8' };
  assert.equal((await ask({}, { method: 'POST', url, headers: charset, payload: text })).status, 200);
  assert.equal((await ask({}, { method: 'POST', url, headers: json })).status, 400);
  assert.equal((await ask({}, { method: 'POST', url })).status, 400);
  const large = await ask(
    { limits: { bodyBytes: 100 } },
    { method: 'POST', url, headers: json, payload: 'x'.repeat(200) },
  );
  assert.deepEqual([large.status, large.code], [413, 'request_too_large']);
});

test('health follows draining alone, readiness tells why', async () => {
  const loading = { readiness: () => ({ ready: false, reasons: ['the model is loading'] }) };
  assert.deepEqual((await ask(loading, { url: '/health' })).body, { status: 'ok' });
  const ready = await ask(loading, { url: '/ready' });
  assert.deepEqual([ready.status, at(ready.body, 'reasons', 0)], [503, 'the model is loading']);
  const draining = { readiness: () => ({ ready: false, reasons: [] }), isDraining: () => true };
  assert.equal((await ask(draining, { url: '/health' })).status, 503);
  const last = await ask(draining, { method: 'POST', url: '/v1/chat/completions', payload: chat });
  assert.deepEqual([last.status, last.headers['connection']], [200, 'close'], 'what still comes is answered');
});

test('anybody may ask whether it is ready, and only who holds a key learns why not', async () => {
  const loading = { ...withKey, readiness: () => ({ ready: false, reasons: ['the model is loading'] }) };
  const stranger = await ask(loading, { url: '/ready' });
  assert.deepEqual([stranger.status, stranger.body], [503, { status: 'not_ready' }]);
  const held = await ask(loading, { url: '/ready', headers: { authorization: `Bearer ${key}` } });
  assert.deepEqual([held.status, held.body], [503, { status: 'not_ready', reasons: ['the model is loading'] }]);
  const wrong = await ask(loading, { url: '/ready', headers: { authorization: 'Bearer wrong' } });
  assert.equal(wrong.status, 401);
  assert.deepEqual((await ask(withKey, { url: '/ready' })).body, { status: 'ready' });
});

test('a method that an address does not serve is refused before a body is read', async () => {
  const json = { 'content-type': 'application/json' };
  const listed = await ask({}, { method: 'DELETE', url: '/v1/models', headers: json });
  assert.deepEqual([listed.status, listed.code, listed.headers['allow']], [405, 'method_not_allowed', 'GET, HEAD']);
  const one = await ask(
    {},
    { method: 'DELETE', url: '/v1/models/vendor/large?x=1', headers: json, payload: '{"broken' },
  );
  assert.deepEqual([one.status, one.headers['allow']], [405, 'GET, HEAD, POST']);
  const chats = await ask({}, { url: '/v1/chat/completions' });
  assert.deepEqual([chats.status, chats.headers['allow']], [405, 'POST']);
  const nowhere = await ask({}, { method: 'POST', url: '/nowhere', headers: json, payload: '{"broken' });
  assert.deepEqual([nowhere.status, nowhere.code], [404, 'not_found']);
});

test('an unknown address names the nearest that exists, and the base URL', async () => {
  const hints: readonly (readonly [string, RegExp])[] = [
    ['/chat/completions', /Did you mean POST \/v1\/chat\/completions\?/],
    ['/v1/v1/chat/completions', /Did you mean POST \/v1\/chat\/completions\?/],
    ['//v1/models', /Did you mean GET \/v1\/models\?/],
    ['/v1/chat/completion', /Did you mean POST \/v1\/chat\/completions\?/],
    ['/something/else/entirely', /See \/openapi\.json/],
    [`/${'x'.repeat(400)}`, /See \/openapi\.json/],
  ];
  for (const [url, hint] of hints) {
    const { status, body } = await ask({}, { method: 'POST', url, headers: { host: 'localhost:8080' } });
    assert.equal(status, 404);
    assert.match(String(at(body, 'error', 'message')), hint);
    assert.match(String(at(body, 'error', 'message')), /http:\/\/localhost:8080\/v1 for OpenAI clients/);
  }
});

test('a key restricted to one tier and one model sees and uses only that', async () => {
  const verifyKey = () => ({
    id: 'k',
    tiers: ['local'] as const,
    models: ['tiny', 'lfo-cloud'],
    scopes: ['chat'] as const,
  });
  const { body } = await ask({ verifyKey }, { url: '/v1/models' });
  assert.equal(JSON.stringify(body).includes('vendor/large'), false);
  const url = '/v1/chat/completions';
  const large = await ask({ verifyKey }, { method: 'POST', url, payload: { ...chat, model: 'vendor/large' } });
  assert.deepEqual([large.status, large.code], [403, 'model_not_allowed']);
  const alias = await ask({ verifyKey }, { method: 'POST', url, payload: { ...chat, model: 'lfo-auto' } });
  assert.deepEqual([alias.status, alias.code], [403, 'model_not_allowed']);
  const unnamed = await ask({ verifyKey }, { method: 'POST', url, payload: { messages: chat.messages } });
  assert.equal(unnamed.status, 200);
  const cloud = await ask({ verifyKey }, { method: 'POST', url, payload: { ...chat, model: 'lfo-cloud' } });
  assert.deepEqual([cloud.status, cloud.code], [403, 'mode_not_allowed']);
});

test('a route is explained without being run', async () => {
  const router = scriptedRouter();
  const response = await router.app.inject({ method: 'POST', url: '/v1/route', payload: chat });
  const body: unknown = response.json();
  assert.deepEqual([at(body, 'route'), at(body, 'routing_reason'), at(body, 'mode')], ['local', 'local_first', 'auto']);
  assert.equal(router.exchanges.length, 0);
});

test('the OpenAPI document describes the request schema', async () => {
  const { body } = await ask({}, { url: '/openapi.json' });
  assert.equal(at(body, 'components', 'schemas', 'Chat', 'properties', 'temperature', 'anyOf', 0, 'maximum'), 2);
});

test('refusals are logged without the key, the path or the model that was asked for', async () => {
  const lines: string[] = [];
  const { app } = scriptedRouter({ ...withKey, onLog: (line) => lines.push(line) });
  await app.inject({ url: '/canary-path', headers: { authorization: 'Bearer canary-key' } });
  const headers = { authorization: `Bearer ${key}`, 'user-agent': 'canary-agent' };
  await app.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    headers,
    payload: { ...chat, model: 'canary-model' },
  });
  await app.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    headers: { ...headers, 'content-type': 'application/json' },
    payload: '{"canary-body',
  });
  await app.close();
  assert.equal(lines.length, 3);
  assert.equal(lines.join('').includes('canary'), false);
  assert.ok(lines.every((line) => line.endsWith('\n') && JSON.parse(line)));
});

test('no JSON body whatever is our fault', async () => {
  const { app } = scriptedRouter();
  const field = fc.constantFrom(
    'messages',
    'role',
    'content',
    'tools',
    'metadata',
    'mode',
    'stop',
    'function',
    'type',
    'x',
  );
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: 'small' },
      fc.jsonValue(),
      fc.constantFrom('user', 'text', 'auto', 'tool', 'assistant'),
      tie('list'),
      tie('object'),
    ),
    list: fc.array(tie('any'), { maxLength: 4 }),
    object: fc.dictionary(field, tie('any'), { maxKeys: 6 }),
  }));
  const messages = fc.array(value.object, { maxLength: 4 });
  const bodies = fc.oneof(
    value.any,
    fc.tuple(value.object, messages).map(([body, list]) => Object.assign({}, body, { messages: list })),
  );
  await fc.assert(
    fc.asyncProperty(bodies, async (body) => {
      const payload = JSON.stringify(body);
      const headers = { 'content-type': 'application/json' };
      const { statusCode } = await app.inject({ method: 'POST', url: '/v1/route', headers, payload });
      assert.ok(statusCode < 500, `${statusCode} for ${payload}`);
    }),
    { numRuns: 400 },
  );
  await app.close();
});

test('no bytes whatever are our fault', async () => {
  const { app } = scriptedRouter();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const headers = { 'content-type': 'application/json' };
      const payload = Buffer.from(bytes);
      const { statusCode } = await app.inject({ method: 'POST', url: '/v1/chat/completions', headers, payload });
      assert.equal(statusCode, 400);
    }),
    { numRuns: 300 },
  );
  await app.close();
});

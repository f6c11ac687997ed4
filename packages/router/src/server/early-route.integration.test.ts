import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';

import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { scriptedRouter, type ScriptedRouterOptions } from '@lfo/testing/scripted-router.ts';

import { LfoError } from '../core/errors.ts';
import type { KeyIdentity } from '../core/identity.ts';

const path = '/v1/chat/completions';
const hello = '{"messages":[{"role":"user","content":"hi"}]}';

const keys: Readonly<Record<string, KeyIdentity>> = {
  good: { id: 'good', scopes: ['chat'] },
  admin: { id: 'admin', scopes: ['admin'] },
  limited: { id: 'limited', scopes: ['chat'], limits: { requestsPerMinute: 10 } },
  picky: { id: 'picky', scopes: ['chat'], models: ['tiny'] },
};

const options: ScriptedRouterOptions = {
  server: { authToken: 'owner', allowedHosts: ['lfo.internal'], allowedOrigins: ['https://app.test'] },
  limits: { bodyBytes: 2000, bodyDepth: 10, failedAuthPerMinute: 1000 },
  verifyKey: (presented) => (presented === undefined ? undefined : keys[presented]),
};

/** A request of which a case says only what is unlike the others. */
interface Asked {
  readonly method?: string;
  readonly target?: string;
  readonly version?: string;
  readonly host?: readonly string[];
  readonly key?: string;
  readonly type?: readonly string[];
  /** Absent: the body's. */
  readonly length?: string;
  readonly more?: readonly string[];
  readonly body?: string;
}

function textOf(asked: Asked, extra: readonly string[] = []): string {
  const { method = 'POST', target = path, version = '1.1', host = ['localhost'], type = ['application/json'] } = asked;
  const { key = 'Bearer good', more = [], body = hello, length = String(Buffer.byteLength(body)) } = asked;
  const lines = [
    `${method} ${target} HTTP/${version}`,
    ...host.map((name) => `Host: ${name}`),
    ...(key === '' ? [] : [`Authorization: ${key}`]),
    ...type.map((value) => `Content-Type: ${value}`),
    ...(length === '' ? [] : [`Content-Length: ${length}`]),
    ...more,
    ...extra,
    'Connection: close',
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** A router that tells which requests Fastify has seen, and what was logged. */
async function router(t: TestContext, more: ScriptedRouterOptions = {}) {
  const lines: string[] = [];
  const { app, listen, exchanges } = scriptedRouter({
    ...options,
    clock: new FakeClock(),
    ...more,
    onLog: (line) => lines.push(line),
  });
  let seen = 0;
  const routing = app.routing.bind(app);
  app.routing = (request, response) => {
    seen++;
    routing(request, response);
  };
  const port = Number(new URL(await listen()).port);
  t.after(() => app.close());
  return { port, lines, exchanges, seen: () => seen };
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** All of an answer but its ids and the time, the head's lines in order of their names. */
async function answer(
  port: number,
  text: string,
): Promise<{ readonly head: readonly string[]; readonly body: string }> {
  const socket = await open(port);
  let said = '';
  socket.setEncoding('utf8').on('data', (part: string) => (said += part));
  socket.write(text);
  await once(socket, 'close');
  const [head = '', ...body] = said.split('\r\n\r\n');
  return {
    head: anonymous(head).split('\r\n').toSorted(),
    body: anonymous(body.join('\r\n\r\n')),
  };
}

function anonymous(text: string): string {
  return text
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'ID')
    .replace(/^date: .*$/gim, 'date')
    .replace(/"time":\d+/g, '"time":0');
}

const early: Readonly<Record<string, Asked>> = {
  'a plain question': {},
  'a stream': { body: `{"stream":true,${hello.slice(1)}` },
  'another name of this machine': { host: ['LocalHost:8080'] },
  'a configured name': { host: ['lfo.internal'] },
  'a key in its own header': { key: '', more: ['x-api-key: good'] },
  'a key of Google': { key: '', more: ['X-Goog-Api-Key: good'] },
  'a key that may name one model': { key: 'Bearer picky' },
  'headers of an SDK': { more: ['Accept: application/json', 'X-Stainless-Lang: js', 'sec-fetch-mode: cors'] },
  'a mode of its own': { more: ['x-lfo-mode: local'] },
  'the older HTTP': { version: '1.0' },
  'two types': { type: ['application/json', 'text/plain'] },
  'two keys, of which the first counts': { more: ['Authorization: Bearer wrong', 'x-api-key: wrong'] },
  'a body of the Responses API': { body: '{"input":"hi"}' },
  'what is not ASCII': { body: hello.replace('hi', 'grüße 😀') },
};

const late: Readonly<Record<string, Asked>> = {
  'no key': { key: '' },
  'a wrong key': { key: 'Bearer wrong' },
  'a scheme of another kind': { key: 'Basic good' },
  'a key without the scope': { key: 'Bearer admin' },
  'a key with limits': { key: 'Bearer limited' },
  'a foreign host': { host: ['evil.test'] },
  'no host': { host: [] },
  'an empty host': { host: [''] },
  'two hosts': { host: ['localhost', 'evil.test'] },
  'the same host twice': { host: ['localhost', 'localhost'] },
  'a foreign page': { more: ['Origin: https://evil.test'] },
  'an allowed page': { more: ['Origin: https://app.test'] },
  'a page of ours': { more: ['Origin: http://localhost'] },
  'a browser of another site': { more: ['Sec-Fetch-Site: cross-site'] },
  'a browser of this site': { more: ['Sec-Fetch-Site: same-origin'] },
  'a compressed body': { more: ['Content-Encoding: gzip'] },
  'a body said to be as it is': { more: ['Content-Encoding: identity'] },
  'a body in chunks': {
    length: '',
    more: ['Transfer-Encoding: chunked'],
    body: `${hello.length.toString(16)}\r\n${hello}\r\n0\r\n\r\n`,
  },
  'a body without a length': { length: '', body: '' },
  'an empty body': { body: '' },
  'a body that is too large': { body: hello.replace('hi', 'x'.repeat(2000)) },
  'a client that waits to be asked': { more: ['Expect: 100-continue'] },
  'another protocol': { more: ['Upgrade: websocket'] },
  'a type with its encoding': { type: ['application/json; charset=utf-8'] },
  'a type in capitals': { type: ['Application/JSON'] },
  'another type': { type: ['text/plain'] },
  'no type': { type: [] },
  'a query': { target: `${path}?a=b` },
  'a key in the address': { target: `${path}?key=good` },
  'a slash too many': { target: `${path}/` },
  'an address in capitals': { target: path.toUpperCase() },
  'an address in full': { target: `http://localhost${path}` },
  'another method': { method: 'PUT' },
  'a question for what is there': { method: 'GET', body: '' },
  'no JSON': { body: '{"messages":' },
  'no object': { body: '7' },
  'no messages': { body: '{}' },
  'a field of the wrong kind': { body: '{"messages":[{"role":"user","content":7}]}' },
  'a body that is nested too deep': { body: `{"messages":${'['.repeat(20)}${']'.repeat(20)}}` },
  'a key that names a prototype': { body: '{"__proto__":{},"messages":[]}' },
  'a model that nobody has': { body: `{"model":"nobody","n":1,${hello.slice(1)}` },
  'a model that this key may not name': { key: 'Bearer picky', body: `{"model":"lfo-cloud",${hello.slice(1)}` },
  'a mode that is none': { more: ['x-lfo-mode: moon'] },
};

test('what is answered early is answered as Fastify would have it, and nothing else is answered early', async (t) => {
  const { port, lines, seen } = await router(t);
  for (const [cases, isEarly] of [
    [early, true],
    [late, false],
  ] as const) {
    for (const [name, asked] of Object.entries(cases)) {
      const [before, logged] = [seen(), lines.length];
      const one = await answer(port, textOf(asked));
      assert.equal(seen() === before, isEarly, name);
      const said = lines.slice(logged);
      // With a cookie every request is left to Fastify.
      const other = await answer(port, textOf(asked, ['Cookie: a=b']));
      assert.deepEqual(one, other, name);
      assert.deepEqual(said.map(anonymous), lines.slice(logged + said.length).map(anonymous), name);
    }
  }
});

test('while it drains or is full nothing is answered early', async (t) => {
  const full = new LfoError('full', { code: 'overloaded', status: 503, retryable: true, retryAfterMs: 1000 });
  for (const more of [{ isDraining: () => true }, { admissionError: () => full }]) {
    const { port, seen } = await router(t, more);
    const one = await answer(port, textOf({}));
    assert.equal(seen(), 1);
    assert.deepEqual(one, await answer(port, textOf({}, ['Cookie: a=b'])));
  }
});

test('what has become full while the body came is refused as by Fastify', async (t) => {
  const full = new LfoError('full', { code: 'overloaded', status: 503, retryable: true, retryAfterMs: 1000 });
  const answers = [];
  for (const extra of [[], ['Cookie: a=b']]) {
    let asked = 0;
    const { port, exchanges } = await router(t, { admissionError: () => (asked++ === 0 ? undefined : full) });
    answers.push(await answer(port, textOf({}, extra)));
    assert.equal(exchanges.length, 0);
  }
  assert.deepEqual(answers[0], answers[1]);
});

test('a key that is revoked counts no longer, on a kept connection either', async (t) => {
  let isGood = true;
  const { port } = await router(t, {
    verifyKey: (presented) => (presented === 'good' && isGood ? keys['good'] : undefined),
  });
  const socket = await open(port);
  socket.setEncoding('utf8');
  const text = textOf({}).replace('Connection: close\r\n', '');
  const statuses = [];
  for (const good of [true, true, false]) {
    isGood = good;
    socket.write(text);
    const [said]: string[] = await once(socket, 'data');
    statuses.push(said?.split(' ')[1]);
  }
  assert.deepEqual(statuses, ['200', '200', '401']);
  socket.destroy();
});

test('a body may come in pieces, and requests one behind the other', async (t) => {
  const { port, exchanges, seen } = await router(t);
  const socket = await open(port);
  let said = '';
  socket.setEncoding('utf8').on('data', (part: string) => (said += part));
  const kept = textOf({}).replace('Connection: close\r\n', '');
  socket.write(kept.slice(0, -10));
  await new Promise((resolve) => setTimeout(resolve, 20));
  socket.write(
    `${kept.slice(-10)}${textOf({ key: 'Bearer wrong' }).replace('Connection: close\r\n', '')}${textOf({})}`,
  );
  await once(socket, 'close');
  assert.deepEqual(said.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 401', 'HTTP/1.1 200']);
  assert.deepEqual([exchanges.length, seen()], [2, 1]);
});

test('of a client that leaves before its body has come nothing else is told than by Fastify', async (t) => {
  const { port, lines, exchanges } = await router(t);
  for (const extra of [[], ['Cookie: a=b']]) {
    const socket = await open(port);
    const logged = lines.length;
    socket.write(textOf({}, extra).slice(0, -5));
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.destroy();
    while (lines.length === logged) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const [one, other] = lines.map((line) => anonymous(line).replace(/"stack":"[^"]*"/, ''));
  assert.equal(one, other);
  assert.equal(exchanges.length, 0);
});

test('a client that leaves while it is answered ends the answer, and is refused by nobody', async (t) => {
  const started = Promise.withResolvers<AbortSignal>();
  const { port, lines, seen } = await router(t, {
    async *answer(_request, { signal }) {
      started.resolve(signal);
      await once(signal, 'abort');
      yield* [];
    },
  });
  const socket = await open(port);
  socket.write(textOf({}));
  const signal = await started.promise;
  socket.destroy();
  if (!signal.aborted) await once(signal, 'abort');
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual([lines, seen()], [[], 0]);
});

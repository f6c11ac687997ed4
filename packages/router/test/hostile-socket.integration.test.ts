import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';

import { scriptedRouter, type ScriptedRouterOptions } from '@lfo/testing/scripted-router.ts';
import { at } from '@lfo/testing/sse.ts';

const options: ScriptedRouterOptions = { server: { headersTimeoutMs: 400, bodyTimeoutMs: 900 } };
const router = scriptedRouter(options);
let port = 0;

before(async () => {
  port = Number(new URL(await router.listen()).port);
});
after(() => router.app.close());

interface RawAnswer {
  readonly status: number;
  readonly code: unknown;
  readonly head: string;
}

async function open(): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** Everything the server says until it hangs up. */
async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => (text += part));
  if (!socket.closed) await once(socket, 'close');
  return text;
}

async function send(...parts: readonly string[]): Promise<RawAnswer> {
  const socket = await open();
  const read = readAll(socket);
  for (const part of parts) socket.write(part);
  return parse(await read);
}

function parse(text: string): RawAnswer {
  const [head = '', body = ''] = text.split('\r\n\r\n', 2);
  const answer: unknown = body === '' ? undefined : JSON.parse(body);
  for (const name of ['message', 'type', 'param', 'code']) assert.notEqual(at(answer, 'error', name), undefined, text);
  return { status: Number(head.split(' ')[1]), code: at(answer, 'error', 'code'), head };
}

const host = 'Host: localhost\r\n';
const post = `POST /v1/chat/completions HTTP/1.1\r\n${host}Content-Type: application/json\r\n`;

test('what is not HTTP gets 400 with the envelope', async () => {
  const { status, code, head } = await send('HELLO\r\n\r\n');
  assert.deepEqual([status, code], [400, 'bad_http']);
  assert.match(head, /x-request-id: [0-9a-f-]{36}/);
});

test('headers beyond 16 KiB get 431, be it one or ten thousand', async () => {
  const huge = await send(`GET /health HTTP/1.1\r\n${host}X: ${'a'.repeat(20_000)}\r\n\r\n`);
  assert.deepEqual([huge.status, huge.code], [431, 'headers_too_large']);
  const many = await send(`GET /health HTTP/1.1\r\n${host}${'a: b\r\n'.repeat(10_000)}\r\n`);
  assert.equal(many.status, 431);
});

test('Content-Length beside Transfer-Encoding is refused', async () => {
  const { status } = await send(`${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`);
  assert.equal(status, 400);
});

test('a bare line feed in a header value is refused', async () => {
  const { status } = await send(`GET /health HTTP/1.1\r\n${host}X-Request-Id: a\rb: c\r\n\r\n`);
  assert.equal(status, 400);
});

test('a request without Host is refused in words', async () => {
  const { status, code } = await send('GET /health HTTP/1.1\r\nConnection: close\r\n\r\n');
  assert.deepEqual([status, code], [400, 'bad_host']);
});

test('an absolute target must name a served host as well', async () => {
  const evil = await send(`GET http://evil.test/health HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
  assert.deepEqual([evil.status, evil.code], [403, 'host_not_allowed']);
  const socket = await open();
  const read = readAll(socket);
  socket.write(`GET http://LOCALHOST/health HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
  assert.match(await read, /^HTTP\/1.1 200 /);
});

test('headers that do not come to an end get 408', async () => {
  const { status, code } = await send('GET /health HTTP/1.1\r\nHost: loc');
  assert.deepEqual([status, code], [408, 'request_timeout']);
});

test('a body that does not come to an end gets 408', async () => {
  const { status, code } = await send(`${post}Content-Length: 100\r\n\r\n{"messages"`);
  assert.deepEqual([status, code], [408, 'request_timeout']);
});

test('a body declared too large is refused before it comes', async () => {
  const { status, code } = await send(`${post}Content-Length: 104857600\r\n\r\n`);
  assert.deepEqual([status, code], [413, 'request_too_large']);
});

test('a hundred megabytes in chunks are refused while reading, and take no memory', async () => {
  const before = process.memoryUsage().rss;
  const socket = await open();
  const read = readAll(socket);
  socket.write(`${post}Transfer-Encoding: chunked\r\n\r\n`);
  const chunk = `100000\r\n${'a'.repeat(0x100000)}\r\n`;
  for (let i = 0; i < 100; i++) if (!socket.write(chunk)) await once(socket, 'drain');
  socket.end('0\r\n\r\n');
  assert.equal(parse(await read).status, 413);
  assert.ok(process.memoryUsage().rss - before < 150 * 1024 * 1024);
});

test('pipelined requests are answered in order, and what follows them is refused', async () => {
  const socket = await open();
  const read = readAll(socket);
  socket.write(`GET /health HTTP/1.1\r\n${host}\r\nGET /v1/models/tiny HTTP/1.1\r\n${host}\r\nGARBAGE\r\n\r\n`);
  const text = await read;
  assert.deepEqual(text.match(/HTTP\/1\.1 \d+/g)?.at(0), 'HTTP/1.1 200');
  assert.equal(text.includes('GARBAGE'), false);
});

test('after all this the server is in good health', async () => {
  const response = await router.app.inject({ url: '/health' });
  assert.equal(response.statusCode, 200);
});

import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import { refusingOrigin, ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import type { Script } from '@lfo/testing/upstream/exchange.ts';
import { systemClock } from '../../core/clock.ts';
import { BackendError, type BackendFault } from '../../core/errors.ts';
import type { HttpClient, HttpRequest } from './client.ts';
import { readTextBody } from './json-body.ts';
import { createHttpClient, type HttpClientOptions } from './socket-client.ts';

const limits = { backend: 'b', maxBytes: 1000 };

function clientFor(t: TestContext, origin: string, options: Partial<HttpClientOptions> = {}): HttpClient {
  const client = createHttpClient({
    backend: 'b',
    tier: 'local',
    origins: new Set([origin]),
    clock: systemClock,
    connectMs: 2000,
    ...options,
  });
  t.after(() => client.close());
  return client;
}

async function upstreamFor(t: TestContext, script?: Script): Promise<ScriptedUpstream> {
  const upstream = await ScriptedUpstream.start(script);
  t.after(() => upstream.close());
  return upstream;
}

const ok: Script = (exchange) => exchange.json(200, { ok: true });

function post(origin: string, signal: AbortSignal = new AbortController().signal): HttpRequest {
  return { method: 'POST', url: new URL('/v1/x?a=1', origin), headers: { 'x-key': 'k' }, body: '{"b":1}', signal };
}

function isFault(fault: BackendFault): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof BackendError, String(error));
    assert.equal(error.fault, fault, error.message);
    assert.equal(error.backend, 'b');
    assert.doesNotMatch(JSON.stringify([error.message, error.cause]), /127\.0\.0\.1|localhost|secret/);
    return true;
  };
}

/** A server below HTTP. */
async function rawServer(t: TestContext, serve: (socket: Socket) => void): Promise<string> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    t.after(() => socket.destroy());
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return `http://127.0.0.1:${address.port}`;
}

test('a request is sent as given, asks for no compression, and the answer is read', async (t) => {
  const upstream = await upstreamFor(t, ok);
  const response = await clientFor(t, upstream.origin).send(post(upstream.origin));
  assert.equal(response.status, 200);
  assert.equal(response.headers['content-type'], 'application/json');
  assert.equal(await readTextBody(response.body, limits), '{"ok":true}');
  const [request] = upstream.requests;
  assert.equal(request?.path, '/v1/x?a=1');
  assert.equal(request?.text, '{"b":1}');
  assert.equal(request?.headers['x-key'], 'k');
  assert.equal(request?.headers['accept-encoding'], 'identity');
});

test('a connection is kept for the next request', async (t) => {
  const upstream = await upstreamFor(t, ok);
  const client = clientFor(t, upstream.origin);
  for (let i = 0; i < 3; i++) {
    await readTextBody((await client.send(post(upstream.origin))).body, limits);
    await settle();
  }
  assert.deepEqual(
    upstream.requests.map(({ connection }) => connection),
    [1, 1, 1],
  );
});

test('an origin that is not configured is refused before anything is sent', async (t) => {
  const upstream = await upstreamFor(t, ok);
  const client = clientFor(t, 'http://127.0.0.1:1');
  await assert.rejects(client.send(post(upstream.origin)), isFault('connect'));
  assert.equal(upstream.openConnections, 0);
});

test('a client of tier local refuses addresses beyond the local network without connecting', async (t) => {
  for (const url of ['http://192.0.2.1:9', 'https://[2001:db8::1]:9', 'http://[::ffff:192.0.2.1]:9']) {
    const { origin } = new URL(url);
    const error = await clientFor(t, origin)
      .send(post(origin))
      .catch((error: unknown) => error);
    assert.ok(error instanceof BackendError);
    assert.match(error.message, /local network/);
  }
});

test('a name that resolves to loopback is local', async (t) => {
  const upstream = await upstreamFor(t, ok);
  const origin = upstream.origin.replace('127.0.0.1', 'localhost');
  const response = await clientFor(t, origin).send(post(origin));
  assert.equal(await readTextBody(response.body, limits), '{"ok":true}');
});

test('a refused connection is a connect fault', async (t) => {
  const origin = await refusingOrigin();
  await assert.rejects(clientFor(t, origin).send(post(origin)), isFault('connect'));
});

test('a name that does not resolve is a connect fault', async (t) => {
  const origin = 'http://name.invalid:9';
  await assert.rejects(clientFor(t, origin).send(post(origin)), isFault('connect'));
});

test('a handshake that never ends is given up when the connect budget is over', async (t) => {
  const origin = (await rawServer(t, () => undefined)).replace('http:', 'https:');
  const clock = new FakeClock();
  const sent = clientFor(t, origin, { clock, connectMs: 2000 }).send(post(origin));
  const rejected = assert.rejects(sent, isFault('timeout'));
  await clock.advanceAsync(1999);
  assert.equal(clock.pendingTimers, 1);
  await clock.advanceAsync(1);
  await rejected;
  assert.equal(clock.pendingTimers, 0);
});

for (const which of ['selfSigned', 'issuedByNobody'] as const)
  test(`a certificate that nobody vouches for (${which}) is refused, whatever the environment says`, async (t) => {
    const { createServer } = await import('node:tls');
    const certificates = await import('@lfo/testing/self-signed.ts');
    const server = createServer(certificates[which], (socket) => socket.end());
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const origin = `https://localhost:${address.port}`;
    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    t.after(() => {
      if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
    });
    const error = await clientFor(t, origin)
      .send(post(origin))
      .catch((error: unknown) => error);
    assert.ok(error instanceof BackendError && error.fault === 'connect');
    assert.match(error.message, /certificate/);
  });

const broken: readonly [name: string, script: Script, fault: BackendFault][] = [
  ['a redirect', (exchange) => exchange.json(307, {}, { location: 'http://192.0.2.1/' }), 'bad_answer'],
  ['a compressed answer', (exchange) => exchange.json(200, {}, { 'content-encoding': 'gzip' }), 'bad_answer'],
  ['a reset before the head', (exchange) => exchange.reset(), 'cut'],
  ['a hang-up before the head', (exchange) => exchange.hangUp(), 'cut'],
];

for (const [name, script, fault] of broken) {
  test(`${name} is a ${fault} fault and reaches the upstream once`, async (t) => {
    const upstream = await upstreamFor(t, script);
    await assert.rejects(clientFor(t, upstream.origin).send(post(upstream.origin)), isFault(fault));
    assert.equal(upstream.requests.length, 1);
  });
}

for (const [name, breakOff] of [
  ['reset', (exchange) => exchange.reset()],
  ['hang-up', (exchange) => exchange.hangUp()],
] as const satisfies readonly [string, Script][]) {
  test(`a ${name} within the body is a cut`, async (t) => {
    const upstream = await upstreamFor(t, async (exchange) => {
      exchange.head(200, {});
      await exchange.write('abc');
      await exchange.pause(20);
      breakOff(exchange);
    });
    const response = await clientFor(t, upstream.origin).send(post(upstream.origin));
    await assert.rejects(readTextBody(response.body, limits), isFault('cut'));
  });
}

test('what is not HTTP is a bad answer', async (t) => {
  const origin = await rawServer(t, (socket) => socket.end('SSH-2.0-hello\r\n'));
  await assert.rejects(clientFor(t, origin).send(post(origin)), isFault('bad_answer'));
});

test('a kept connection that the backend resets unheard is replaced, once', async (t) => {
  const upstream = await upstreamFor(t, ok);
  const client = clientFor(t, upstream.origin);
  for (const breakOff of [
    (exchange) => exchange.reset(),
    (exchange) => exchange.hangUp(),
  ] as const satisfies Script[]) {
    await readTextBody((await client.send(post(upstream.origin))).body, limits);
    await settle();
    upstream.next(breakOff);
    const response = await client.send(post(upstream.origin));
    assert.equal(await readTextBody(response.body, limits), '{"ok":true}');
    await settle();
  }
  upstream.next(
    (exchange) => exchange.reset(),
    (exchange) => exchange.reset(),
  );
  await assert.rejects(client.send(post(upstream.origin)), isFault('cut'));
});

test('what a kept connection is lost with while the backend is at work is a cut, and is not sent again', async (t) => {
  const upstream = await upstreamFor(t, ok);
  const clock = new FakeClock();
  const client = clientFor(t, upstream.origin, { clock, connectMs: 2000 });
  await textOf(client, post(upstream.origin));
  await settle();
  const lost = Promise.withResolvers<void>();
  upstream.next(async (exchange) => {
    await lost.promise;
    exchange.reset();
  });
  const sent = client.send(post(upstream.origin));
  const rejected = assert.rejects(sent, isFault('cut'));
  await upstream.received(2);
  clock.advance(2001);
  lost.resolve();
  await rejected;
  assert.deepEqual(
    upstream.requests.map(({ connection }) => connection),
    [1, 1],
  );
});

test('an abort before the answer rejects with its reason and closes the connection', async (t) => {
  const upstream = await upstreamFor(t, (exchange) => exchange.silence());
  const controller = new AbortController();
  const sent = clientFor(t, upstream.origin).send(post(upstream.origin, controller.signal));
  await upstream.received(1);
  const reason = new Error('gone');
  controller.abort(reason);
  await assert.rejects(sent, reason);
  assert.equal(await upstream.exchanges[0]?.ended, 'aborted');
});

test('an abort within the body rejects with its reason and closes the connection', async (t) => {
  const upstream = await upstreamFor(t, async (exchange) => {
    exchange.head(200, {});
    await exchange.write('abc');
    await exchange.silence();
  });
  const controller = new AbortController();
  const response = await clientFor(t, upstream.origin).send(post(upstream.origin, controller.signal));
  const reason = new Error('gone');
  const read = readTextBody(response.body, limits);
  controller.abort(reason);
  await assert.rejects(read, reason);
  assert.equal(await upstream.exchanges[0]?.ended, 'aborted');
});

test('leaving the body early closes the connection', async (t) => {
  const upstream = await upstreamFor(t, async (exchange) => {
    exchange.head(200, {});
    await exchange.write('abc');
    await exchange.silence();
  });
  const response = await clientFor(t, upstream.origin).send(post(upstream.origin));
  for await (const bytes of response.body) {
    assert.equal(Buffer.from(bytes).toString(), 'abc');
    break;
  }
  assert.equal(await upstream.exchanges[0]?.ended, 'aborted');
});

test('a reader that pauses pauses the upstream', async (t) => {
  let sentBytes = 0;
  const upstream = await upstreamFor(t, async (exchange) => {
    exchange.head(200, {});
    const part = new Uint8Array(65_536);
    while (exchange.end === undefined && sentBytes < 200_000_000) {
      await exchange.write(part);
      sentBytes += part.length;
    }
  });
  const response = await clientFor(t, upstream.origin).send(post(upstream.origin));
  const chunks = response.body[Symbol.asyncIterator]();
  await chunks.next();
  let before = -1;
  while (before !== sentBytes) {
    before = sentBytes;
    for (let turn = 0; turn < 200; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  assert.ok(sentBytes < 20_000_000, `${sentBytes} bytes were taken by nobody`);
  await chunks.return?.();
});

test('closing ends running calls and is idempotent', async (t) => {
  const upstream = await upstreamFor(t, (exchange) => exchange.silence());
  const client = clientFor(t, upstream.origin);
  const rejected = assert.rejects(client.send(post(upstream.origin)), isFault('connect'));
  await upstream.received(1);
  await client.close();
  await client.close();
  await rejected;
  await assert.rejects(client.send(post(upstream.origin)), isFault('connect'));
});

/** A server below HTTP that answers the nth request of a connection with the nth text. */
function answering(t: TestContext, ...texts: string[]): Promise<string> {
  return rawServer(t, (socket) => {
    let count = 0;
    socket.on('data', () => socket.write(texts[count++] ?? '', 'latin1'));
  });
}

async function textOf(client: HttpClient, request: HttpRequest): Promise<string> {
  return await readTextBody((await client.send(request)).body, { backend: 'b', maxBytes: 10_000_000 });
}

test('text beyond ASCII and a large body arrive as they are, with their length in bytes', async (t) => {
  const upstream = await upstreamFor(t, (exchange) => exchange.json(200, { length: exchange.request.text.length }));
  const client = clientFor(t, upstream.origin);
  for (const body of ['{"b":"äß€😀"}', 'x'.repeat(3_000_000), `${'x'.repeat(3_000_000)}€`, '']) {
    assert.equal(await textOf(client, { ...post(upstream.origin), body }), `{"length":${body.length}}`);
    assert.equal(upstream.requests.at(-1)?.text, body);
    assert.equal(upstream.requests.at(-1)?.headers['content-length'], String(Buffer.byteLength(body)));
  }
});

test('a header that would end its line early is refused before anything is sent', async (t) => {
  const upstream = await upstreamFor(t, ok);
  const client = clientFor(t, upstream.origin);
  for (const headers of [
    { 'x-key': 'k\r\nx-other: 1' },
    { 'x-key': 'k\n' },
    { 'x-key\r\nx': 'k' },
    { 'x-key': '€' },
    { '': 'k' },
  ]) {
    await assert.rejects(client.send({ ...post(upstream.origin), headers }), isFault('connect'));
  }
  assert.equal(upstream.requests.length, 0);
});

test('requests at once have a connection each, and those after them the same ones', async (t) => {
  const upstream = await upstreamFor(t, ok);
  const client = clientFor(t, upstream.origin);
  const five = (): Promise<string[]> =>
    Promise.all(Array.from({ length: 5 }, () => textOf(client, post(upstream.origin))));
  await five();
  await five();
  assert.equal(new Set(upstream.requests.map(({ connection }) => connection)).size, 5);
});

test('interim answers are passed over, and bodies without a length end with the connection', async (t) => {
  const origin = await rawServer(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n');
      socket.end('x'.repeat(500_000));
    });
  });
  assert.equal((await textOf(clientFor(t, origin), post(origin))).length, 500_000);
});

const doubtful: readonly [name: string, answer: string][] = [
  ['two framings', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}'],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}'],
  ['a folded line', 'HTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\nContent-Length: 2\r\n\r\n{}'],
  ['lines without CR', 'HTTP/1.1 200 OK\nContent-Length: 2\n\n{}'],
  ['a control character', 'HTTP/1.1 200 OK\r\nx-a: \0\r\nContent-Length: 2\r\n\r\n{}'],
  ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'],
  ['an endless head', `HTTP/1.1 200 OK\r\nx-a: ${'x'.repeat(20_000)}`],
  ['a long head', `HTTP/1.1 200 OK\r\nx-a: ${'x'.repeat(20_000)}\r\nContent-Length: 2\r\n\r\n{}`],
];

for (const [name, answer] of doubtful) {
  test(`${name} is a bad answer`, async (t) => {
    const origin = await answering(t, answer);
    await assert.rejects(clientFor(t, origin).send(post(origin)), isFault('bad_answer'));
  });
}

test('a chunk without a size is a bad answer, once what came before it was told', async (t) => {
  const origin = await answering(t, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n');
  const { body } = await clientFor(t, origin).send(post(origin));
  const chunks = body[Symbol.asyncIterator]();
  assert.equal(String((await chunks.next()).value), '{}');
  await assert.rejects(chunks.next(), isFault('bad_answer'));
});

test('what comes on a kept connection before a request is not its answer', async (t) => {
  const answer = (text: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
  const sockets: Socket[] = [];
  const origin = await rawServer(t, (socket) => {
    sockets.push(socket);
    // The first one says more than it was asked in the same write.
    socket.on('data', () => socket.write(sockets.length === 1 ? answer('right') + answer('wrong') : answer('right')));
  });
  const client = clientFor(t, origin);
  for (let i = 0; i < 4; i++) {
    assert.equal(await textOf(client, post(origin)), 'right');
    sockets.at(-1)?.write(answer('wrong'));
    await settle();
  }
  assert.equal(sockets.length, 4);
});

for (const [name, lines] of [
  ['asks for it', 'Connection: close\r\n'],
  ['keeps connections for less than it takes to use one', 'Keep-Alive: timeout=2\r\n'],
] as const) {
  test(`no connection is used again where the backend ${name}`, async (t) => {
    let connections = 0;
    const origin = await rawServer(t, (socket) => {
      connections++;
      socket.on('data', () => socket.write(`HTTP/1.1 200 OK\r\n${lines}Content-Length: 2\r\n\r\n{}`));
    });
    const client = clientFor(t, origin);
    for (let i = 0; i < 3; i++) assert.equal(await textOf(client, post(origin)), '{}');
    assert.equal(connections, 3);
  });
}

test('a connection is used again as long as the backend says, and closed when it was idle too long', async (t) => {
  const upstream = await upstreamFor(t, ok);
  const clock = new FakeClock();
  const client = clientFor(t, upstream.origin, { clock, keepAliveMs: 60_000 });
  const connectionAfter = async (ms: number, headers: Record<string, string>): Promise<number | undefined> => {
    clock.advance(ms);
    upstream.next((exchange) => exchange.json(200, {}, headers));
    await textOf(client, post(upstream.origin));
    return upstream.requests.at(-1)?.connection;
  };
  const five = { 'keep-alive': 'timeout=5' };
  assert.equal(await connectionAfter(0, five), 1);
  assert.equal(await connectionAfter(2_900, five), 1);
  assert.equal(await connectionAfter(3_100, { 'keep-alive': 'max=100' }), 2);
  assert.equal(await connectionAfter(59_000, { 'keep-alive': 'max=100' }), 2);
  while (upstream.openConnections > 0) {
    clock.advance(65_000);
    await settle();
  }
  assert.equal(clock.pendingTimers, 0);
});

test('answers come over TLS from whoever is vouched for, on one connection', async (t) => {
  const { createServer, getCACertificates, setDefaultCACertificates } = await import('node:tls');
  const { selfSigned } = await import('@lfo/testing/self-signed.ts');
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, selfSigned.cert]);
  t.after(() => setDefaultCACertificates(before));
  let connections = 0;
  const server = createServer(selfSigned, (socket) => {
    connections++;
    socket.on('error', () => undefined);
    socket.on('data', () => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n${'x'.repeat(300_000)}`));
    t.after(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const origin = `https://localhost:${address.port}`;
  const client = clientFor(t, origin);
  for (let i = 0; i < 3; i++) assert.equal(await textOf(client, post(origin)), 'x'.repeat(300_000));
  assert.equal(connections, 1);
});

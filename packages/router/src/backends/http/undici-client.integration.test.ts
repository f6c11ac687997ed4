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
import { createHttpClient, type HttpClientOptions } from './undici-client.ts';

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

test('a certificate that nobody vouches for is refused, whatever the environment says', async (t) => {
  const { createServer } = await import('node:tls');
  const { selfSigned } = await import('@lfo/testing/self-signed.ts');
  const server = createServer(selfSigned, (socket) => socket.end());
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const origin = `https://127.0.0.1:${address.port}`;
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

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';

import { parseBody } from '@lfo/router/src/server/json-scan.ts';
import { RequestError } from '@lfo/router/src/core/errors.ts';

import { assertWithin } from '../figure.ts';
import { asking, startRouter } from '../router.ts';
import { at } from '../sse.ts';
import { percentile } from './percentile.ts';
import { faultTest } from './fault-test.ts';
import { heldBytes } from './held-bytes.ts';
import { assertRefused, httpPost, open, readAll } from './raw-client.ts';
import { localServer, startRig, timed } from './subject.ts';

const mebibyte = 1024 * 1024;

const impatient = 'server: { headers_timeout_ms: 800, body_timeout_ms: 1600 }';

faultTest({ row: 26, what: 'slow headers and slow bodies get 408', bound: 'the time-out + 1.2 s' }, async (t) => {
  const router = await startRouter(t, { yaml: impatient });
  for (const [start, limitMs] of [
    ['GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ', 800],
    [
      'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
      1600,
    ],
  ] as const) {
    const socket = await open(t, router);
    socket.write(start);
    const [text, ms] = await timed(readAll(socket));
    assertRefused(text, 408);
    assertWithin(t, '408', ms, limitMs + 1200);
  }
});

faultTest(
  { row: 26, what: '500 slow sockets leave the others what they had, and go', bound: 'p99 < 2 × (+ 10 ms)' },
  async (t) => {
    const router = await startRouter(t, { yaml: 'server: { headers_timeout_ms: 2500 }\nlog_level: warn' });
    const p99 = async (): Promise<number> => {
      const took: number[] = [];
      for (let i = 0; i < 300; i++) took.push((await timed(router.request('GET', '/health')))[1]);
      return percentile(took, 0.99);
    };
    await p99();
    const alone = await p99();
    const slow = await Promise.all(Array.from({ length: 500 }, () => open(t, router)));
    for (const socket of slow) socket.write('GET /health HTTP/1.1\r\nHost: loc');
    const crowded = await p99();
    assertWithin(t, 'p99 among 500', crowded, 2 * alone + 10);
    await Promise.all(slow.map((socket) => readAll(socket)));
  },
);

faultTest({ row: 27, what: 'one huge header or ten thousand get 431', bound: '16 KiB' }, async (t) => {
  const router = await startRouter(t);
  for (const headers of [`X: ${'a'.repeat(20_000)}\r\n`, 'a: b\r\n'.repeat(10_000)]) {
    const socket = await open(t, router);
    socket.write(`GET /health HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`);
    assertRefused(await readAll(socket), 431);
  }
});

faultTest({ row: 28, what: 'a huge body is refused while it comes', bound: '413; + 50 MB' }, async (t) => {
  const router = await startRouter(t);
  for (const framing of [`Content-Length: ${100 * mebibyte}`, 'Transfer-Encoding: chunked']) {
    const before = heldBytes();
    const socket = await open(t, router);
    const text = readAll(socket);
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${framing}\r\n\r\n`,
    );
    const part = framing.startsWith('T') ? `10000\r\n${' '.repeat(65_536)}\r\n` : ' '.repeat(65_536);
    let sent = 0;
    for (; sent < 100 * mebibyte && !socket.destroyed; sent += 65_536) {
      if (socket.write(part)) continue;
      await new Promise<void>((resolve) => {
        const go = (): void => {
          socket.off('drain', go).off('close', go);
          resolve();
        };
        socket.once('drain', go).once('close', go);
      });
    }
    if (sent >= 100 * mebibyte) socket.end(framing.startsWith('T') ? '0\r\n\r\n' : '');
    assertRefused(await text, 413);
    assert.ok(heldBytes() - before < 50 * mebibyte);
  }
});

faultTest(
  { row: 28, what: 'compressed bodies are refused unread, a wrong Content-Length in words', bound: '415, 400' },
  async (t) => {
    const router = await startRouter(t);
    const bomb = await open(t, router);
    const zeros = gzipSync(Buffer.alloc(10 * mebibyte));
    bomb.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: ${zeros.length}\r\n\r\n`,
    );
    bomb.write(zeros);
    assertRefused(await readAll(bomb), 415);
    const wrong = await open(t, router);
    wrong.write(
      'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: many\r\n\r\n{}',
    );
    assertRefused(await readAll(wrong), 400);
  },
);

faultTest(
  {
    row: 29,
    what: 'depth, number of keys and __proto__ are refused before they cost',
    bound: '50 ms of the event loop',
  },
  async (t) => {
    const router = await startRouter(t);
    const bodies = [
      `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
      `{${Array.from({ length: 1_000_000 }, (_, i) => `"k${i}":0`).join(',')}}`,
      `{"messages":[${'{"__proto__":{"polluted":1}},'.repeat(1000)}{}]}`,
      `{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"messages":[]}`,
    ];
    for (const body of bodies) {
      const bytes = Buffer.from(body);
      let bestMs = Infinity;
      for (let round = 0; round < 3; round++) {
        const startMs = performance.now();
        assert.throws(() => parseBody(bytes, { depth: 100, values: 100_000 }), RequestError);
        bestMs = Math.min(bestMs, performance.now() - startMs);
      }
      assertWithin(t, `refusal of ${body.slice(0, 12)}…`, bestMs, 50);
      const socket = await open(t, router);
      socket.write(httpPost(body, 'Connection: close\r\n'));
      assertRefused(await readAll(socket), 400);
    }
    assert.equal(Reflect.get({}, 'polluted'), undefined);
  },
);

const user = { role: 'user', content: 'hi' };
const manyTools = Array.from({ length: 10_000 }, (_, i) => ({ type: 'function', function: { name: `f${i}` } }));
const evil = { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } };

faultTest(
  { row: 30, what: 'absurd amounts and an evil pattern are refused by name', bound: '400 within 500 ms' },
  async (t) => {
    const { router } = await startRig(t, localServer);
    for (const [more, param] of [
      [{ n: 1e9 }, /^n$/],
      [{ tools: manyTools }, /^tools/],
      [{ stop: Array.from({ length: 10_000 }, () => 'x') }, /^stop/],
      [{ tools: [{ type: 'function', function: { name: 'f', parameters: evil } }] }, /^tools/],
      [{ response_format: { type: 'json_schema', json_schema: { name: 's', schema: evil } } }, /^response_format/],
      [{ max_tokens: 1e300 }, /^max_tokens$/],
      [{ top_logprobs: 1e6, logprobs: true }, /^top_logprobs$/],
    ] as const) {
      const [answer, ms] = await timed(router.chat({ messages: [user], ...more }));
      assert.equal(answer.status, 400, `${String(param)}: ${answer.text}`);
      assert.match(String(at(answer.json, 'error', 'param')), param);
      assertWithin(t, `refusal of ${String(param)}`, ms, 500);
    }
  },
);

faultTest(
  { row: 31, what: 'a body of the wrong shape is refused, and told where', bound: '400 with param' },
  async (t) => {
    const { router } = await startRig(t, localServer);
    for (const [body, param] of [
      [{ messages: null }, 'messages'],
      [{ messages: [] }, 'messages'],
      [{ messages: [{ role: 3, content: 'x' }] }, 'messages[0].role'],
      [{ messages: [user], stream: 'yes' }, 'stream'],
      [{ messages: [user], metadata: { mode: 'Local' } }, 'metadata.mode'],
    ] as const) {
      const answer = await router.chat(body);
      assert.equal(answer.status, 400, answer.text);
      assert.equal(at(answer.json, 'error', 'param'), param);
    }
    for (const body of ['[]', '"text"', '7', 'null']) {
      const socket = await open(t, router);
      socket.write(httpPost(body, 'Connection: close\r\n'));
      assertRefused(await readAll(socket), 400);
    }
  },
);

faultTest(
  { row: 51, what: 'pipelined requests are answered in order, smuggling is refused', bound: '400' },
  async (t) => {
    const { router } = await startRig(t, localServer);
    const socket = await open(t, router);
    const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
    socket.write(get('/health') + get('/v1/models', 'Connection: close\r\n'));
    const both = await readAll(socket);
    assert.deepEqual(both.match(/HTTP\/1\.1 200/g)?.length, 2);
    assert.ok(both.indexOf('"ok"') < both.indexOf('lfo-auto'));
    for (const raw of [
      'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      get('/health', 'X-Request-Id: a\rb: c\r\n'),
      get('/health', 'X: a\nY b\r\n'),
    ]) {
      const smuggler = await open(t, router);
      smuggler.write(raw);
      assertRefused(await readAll(smuggler), 400);
    }
  },
);

faultTest(
  { row: 51, what: 'a line break in a model or a header never splits a line of the log', bound: 'one record a line' },
  async (t) => {
    const { router } = await startRig(t, localServer);
    const answer = await router.chat(asking('x', { model: 'a\n{"level":"error","msg":"forged"}\u2028' }));
    assert.equal(answer.status, 404);
    const lines = router.log().trim().split('\n');
    for (const line of lines) assert.notEqual(at(JSON.parse(line), 'msg'), 'forged');
  },
);

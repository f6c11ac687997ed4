import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { scaled } from '@lfo/testing/test-scale.ts';
import * as fc from 'fast-check';
import { Client } from 'undici';
import { AnswerParser } from './answer-parser.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** What our parser makes of an answer that comes in these pieces, after which the connection ends. */
function read(pieces: readonly Buffer[]): Answer | 'error' {
  const parser = new AnswerParser();
  let body = '';
  for (const piece of pieces) {
    const bytes = Buffer.from(piece);
    const came = parser.read(bytes);
    body += came?.toString('latin1') ?? '';
    // As the next read does.
    bytes.fill(0);
    if (parser.error !== undefined || parser.isDone) break;
  }
  const { head, error } = parser;
  if (error !== undefined || head === undefined || !(parser.isDone || parser.endsWithConnection())) return 'error';
  return { status: head.status, headers: head.headers, body };
}

/** What undici makes of it. */
async function readByUndici(pieces: readonly Buffer[]): Promise<Answer | 'error'> {
  const [near, far] = duplexPair();
  far.once('data', () => {
    for (const piece of pieces) far.write(piece);
    far.end();
  });
  far.on('error', () => undefined);
  const client = new Client('http://backend', {
    connect: (_, done) => setImmediate(() => Reflect.apply(done, undefined, [null, near])),
  });
  try {
    const { statusCode, headers, body } = await client.request({ method: 'POST', path: '/', body: '{}' });
    return {
      status: statusCode,
      headers: Object.fromEntries(Object.entries(headers).map(([n, v]) => [n, trimmed(v)])),
      body: Buffer.from(await body.arrayBuffer()).toString('latin1'),
    };
  } catch {
    return 'error';
  } finally {
    await client.destroy();
  }
}

const latin1 = (minLength: number, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.nat(255).map((code) => String.fromCharCode(code)), minLength, maxLength });
const token = fc.stringMatching(/^[!#$%&'*+.^_`|~\dA-Za-z-]{1,12}$/);
const value = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,20}$/);
const blank = fc.constantFrom('', ' ', '\t', '  ');
const field = fc
  .tuple(
    fc.oneof(token, fc.constantFrom('Content-Type', 'x-a', 'X-A', 'Date', 'Retry-After', 'Connection', 'Keep-Alive')),
    blank,
    fc.oneof(value, fc.constantFrom('close', 'keep-alive', 'timeout=5', 'upgrade')),
    blank,
  )
  .filter(([name]) => !/^(?:__proto__|content-length|transfer-encoding)$/i.test(name))
  .map(([name, before, text, after]) => `${name}:${before}${text}${after}\r\n`);
const body = latin1(0, 40);
const extensions = fc.oneof(
  { weight: 3, arbitrary: fc.constant('') },
  fc.constantFrom(';a', ';a=b', ';a="b;c"', ';a;b=1', ';a="\\""'),
);
const chunk = fc
  .tuple(latin1(1, 20), fc.boolean(), extensions, fc.constantFrom('', '0', '000'))
  .map(
    ([text, upper, more, zeros]) =>
      `${zeros}${upper ? text.length.toString(16).toUpperCase() : text.length.toString(16)}${more}\r\n${text}\r\n`,
  );
const framed = fc.oneof(
  body.map((text) => ({ lines: [`Content-Length: ${text.length}\r\n`], body: text })),
  body.map((text) => ({ lines: [], body: text })),
  fc
    .tuple(
      fc.array(chunk, { maxLength: 4 }),
      fc.array(field, { maxLength: 2 }),
      extensions,
      fc.constantFrom('chunked', 'Chunked', 'chunked '),
    )
    .map(([chunks, trailers, more, name]) => ({
      lines: [`Transfer-Encoding: ${name}\r\n`],
      body: `${chunks.join('')}0${more}\r\n${trailers.join('')}\r\n`,
    })),
);
const statusLine = (status: number, reason: string, minor: number): string => `HTTP/1.${minor} ${status}${reason}\r\n`;
const reason = fc.oneof(
  fc.constantFrom(' OK', ' ', ''),
  value.map((text) => ` ${text}`),
);
const wellFormed = fc
  .record({
    interim: fc.array(
      fc.tuple(
        fc.constantFrom(102, 103, 199),
        reason,
        fc.array(
          field.filter((line) => !/^connection/i.test(line)),
          { maxLength: 2 },
        ),
      ),
      { maxLength: 2 },
    ),
    status: fc.oneof(fc.constant(200), fc.integer({ min: 200, max: 599 })),
    reason,
    minor: fc.constantFrom(1, 1, 1, 0),
    fields: fc.array(field, { maxLength: 5 }),
    at: fc.nat(5),
    framed,
    more: fc.constantFrom('', '', '\r\n', 'HTTP/1.1 200 OK\r\n\r\n', 'x'),
  })
  .map(({ interim, status, reason, minor, fields, at, framed, more }) => {
    const first = interim.map(([code, why, lines]) => `${statusLine(code, why, 1)}${lines.join('')}\r\n`).join('');
    const lines = [...fields.slice(0, at), ...framed.lines, ...fields.slice(at)].join('');
    return `${first}${statusLine(status, reason, minor)}${lines}\r\n${framed.body}${framed.lines.length === 0 ? '' : more}`;
  });

/** undici leaves blanks at the end of a value where they are. */
function trimmed(value: unknown): unknown {
  return Array.isArray(value) ? value.map(trimmed) : typeof value === 'string' ? value.replace(/[\t ]+$/, '') : value;
}
function cut(text: string, at: readonly number[] | 'each'): Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  if (at === 'each') return Array.from(bytes, (byte) => Buffer.of(byte));
  const ends = [...new Set(at.map((n) => n % (bytes.length + 1))), bytes.length].toSorted((a, b) => a - b);
  return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end)).filter(({ length }) => length > 0);
}
const cuts = fc.oneof(fc.constant([]), fc.array(fc.nat(2000), { maxLength: 6 }), fc.constant('each' as const));

const numRuns = scaled({ always: 2000, full: 100_000 });

test('answers in plain form are read as undici reads them, however they are split', async () => {
  await fc.assert(
    fc.asyncProperty(wellFormed, cuts, async (text, at) => {
      const expected = await readByUndici(cut(text, []));
      const got = read(cut(text, at));
      assert.deepEqual(got, expected);
    }),
    { numRuns },
  );
});

const damage = fc.oneof(
  fc.constantFrom(
    '\r',
    '\n',
    '\r\n',
    ' ',
    '\t',
    ':',
    '\0',
    ';',
    'Content-Length: 3\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding: gzip\r\n',
    '\r\n\r\n',
    '-',
    '+',
    'x',
    '0',
    '5',
  ),
  latin1(1, 3),
);

test('what is damaged is read as undici reads it, or refused', async () => {
  await fc.assert(
    fc.asyncProperty(
      wellFormed,
      cuts,
      fc.array(fc.tuple(fc.nat(2000), fc.nat(4), damage), { minLength: 1, maxLength: 3 }),
      async (text, at, edits) => {
        let damaged = text;
        for (const [where, length, what] of edits) {
          const p = where % (damaged.length + 1);
          damaged = damaged.slice(0, p) + what + damaged.slice(p + length);
        }
        // undici takes blanks after a length for digits, and a tab after `chunked` for another encoding.
        fc.pre(!/^(?:content-length|transfer-encoding):[^\r]*[\t ]\r/im.test(damaged));
        // It refuses a 100 that it did not ask for, which RFC 9110, 15.2 has a client read over.
        fc.pre(!/HTTP\/1\.[01] 100/.test(damaged));
        const got = read(cut(damaged, at));
        if (got !== 'error') assert.deepEqual(got, await readByUndici(cut(damaged, [])));
      },
    ),
    { numRuns },
  );
});

test('a 100 that was not asked for is read over', () => {
  const answer = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
  assert.deepEqual(read(cut(answer, 'each')), { status: 200, headers: { 'content-length': '2' }, body: 'ok' });
});

test('a control character in the extension of a chunk is refused, quoted or not', () => {
  const answer = (extension: string): readonly Buffer[] =>
    cut(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a="${extension}"\r\nok\r\n0\r\n\r\n`, []);
  assert.deepEqual(read(answer('\\"')), { status: 200, headers: { 'transfer-encoding': 'chunked' }, body: 'ok' });
  for (const control of ['\0', '\\\0', '\\\x7f']) assert.equal(read(answer(control)), 'error');
});

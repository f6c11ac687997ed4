import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect } from '@lfo/testing/collect.ts';
import { scaled } from '@lfo/testing/test-scale.ts';
import * as fc from 'fast-check';
import { BackendError } from '../../core/errors.ts';
import { readSse, type SseEvent } from './sse.ts';

const encoder = new TextEncoder();
const options = { backend: 'b', maxEventBytes: 1000 };

async function* reads(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  yield* chunks;
}

async function parse(chunks: readonly Uint8Array[]): Promise<SseEvent[]> {
  return (await collect(readSse(reads(chunks), options))).flat();
}

const bytesOf = (text: string): Uint8Array[] => Array.from(encoder.encode(text), (byte) => Uint8Array.of(byte));

function isTooLong(error: unknown): boolean {
  return error instanceof BackendError && error.fault === 'bad_answer' && error.backend === 'b';
}

const rules: readonly [name: string, stream: string, events: readonly SseEvent[]][] = [
  ['lines end with LF', 'data: a\n\ndata: b\n\n', [{ data: 'a' }, { data: 'b' }]],
  ['lines end with CR', 'data: a\r\rdata: b\r\r', [{ data: 'a' }, { data: 'b' }]],
  ['lines end with CRLF', 'data: a\r\n\r\ndata: b\r\n\r\n', [{ data: 'a' }, { data: 'b' }]],
  ['line ends mix', 'data: a\r\ndata: b\n\rdata: c\r\r', [{ data: 'a\nb' }, { data: 'c' }]],
  ['a byte order mark is dropped once', '\uFEFFdata: \uFEFF\n\n', [{ data: '\uFEFF' }]],
  ['comments are dropped', ': ping\n\n:\ndata: a\n: x\n\n', [{ data: 'a' }]],
  ['data lines join with LF', 'data: a\ndata\ndata: b\n\n', [{ data: 'a\n\nb' }]],
  [
    'the space after the colon is optional and only one is dropped',
    'data:a\n\ndata:  b\n\n',
    [{ data: 'a' }, { data: ' b' }],
  ],
  [
    'an event type belongs to its event alone',
    'event: error\ndata: a\n\ndata: b\n\n',
    [{ event: 'error', data: 'a' }, { data: 'b' }],
  ],
  ['id, retry and unknown fields are ignored', 'id: 1\nretry: x\nfoo: y\ndata: a\n\n', [{ data: 'a' }]],
  ['an event without data is not dispatched', 'event: a\n\ndata: b\n\n', [{ data: 'b' }]],
  ['an unfinished event is discarded', 'data: a\n\ndata: b\n', [{ data: 'a' }]],
  ['characters of several bytes survive', 'data: añ€😀\n\n', [{ data: 'añ€😀' }]],
  ['an empty stream has no events', '', []],
];

for (const [name, stream, events] of rules) {
  test(`${name}, whole and byte by byte`, async () => {
    assert.deepEqual(await parse([encoder.encode(stream)]), events);
    assert.deepEqual(await parse(bytesOf(stream)), events);
  });
}

test('any split of any stream gives the events of the whole', async () => {
  const piece = fc.constantFrom(
    'data',
    'event',
    ':',
    ' ',
    '\r',
    '\n',
    '\r\n',
    '\n\n',
    'é',
    '😀',
    '\uFEFF',
    '{"a":1}',
    'id: 1',
    '\0',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 60 }), fc.array(fc.nat({ max: 12 })), async (pieces, sizes) => {
      const bytes = encoder.encode(pieces.join(''));
      const chunks: Uint8Array[] = [];
      let from = 0;
      for (const size of sizes) {
        chunks.push(bytes.subarray(from, from + size));
        from += size;
      }
      chunks.push(bytes.subarray(from));
      assert.deepEqual(await parse(chunks), await parse([bytes]));
    }),
    { numRuns: scaled({ always: 2_000, full: 100_000 }), seed: 17 },
  );
});

test('the events of one read come as one batch and silent reads bring none', async () => {
  const chunks = ['data: a\n\ndata: b\n\nda', 'ta: c', '\n\n'].map((text) => encoder.encode(text));
  const batches = await collect(readSse(reads(chunks), options));
  assert.deepEqual(batches, [[{ data: 'a' }, { data: 'b' }], [{ data: 'c' }]]);
});

test('invalid UTF-8 becomes replacement characters', async () => {
  const bytes = Uint8Array.of(...encoder.encode('data: '), 0xff, ...encoder.encode('\n\n'));
  assert.deepEqual(await parse([bytes]), [{ data: '\uFFFD' }]);
});

async function* endless(head: string, filler: string, sent: { bytes: number }): AsyncGenerator<Uint8Array, void> {
  yield encoder.encode(head);
  const bytes = encoder.encode(filler.repeat(20));
  while (sent.bytes < 1_000_000) {
    sent.bytes += bytes.length;
    yield bytes;
  }
}

for (const [name, head, filler] of [
  ['a data line', 'data: ', 'x'],
  ['a comment', ': ', 'x'],
  ['an unknown field', '', 'x'],
  ['an event of many lines', '', 'data: x\n'],
  ['an event of many empty lines', '', 'data\n'],
] as const) {
  test(`${name} without end is refused near the cap`, async () => {
    const sent = { bytes: 0 };
    await assert.rejects(collect(readSse(endless(head, filler, sent), options)), isTooLong);
    assert.ok(sent.bytes < 10_000);
  });
}

test('an event above the cap in a single read is refused, and the events before it are not lost', async () => {
  const stream = encoder.encode(`data: a\n\ndata: ${'x'.repeat(2000)}\n\n`);
  const batches: SseEvent[][] = [];
  await assert.rejects(async () => {
    for await (const batch of readSse(reads([stream]), options)) batches.push(batch);
  }, isTooLong);
  assert.deepEqual(batches, [[{ data: 'a' }]]);
});

test('leaving early ends the body', async () => {
  let ended = false;
  async function* body(): AsyncGenerator<Uint8Array, void> {
    try {
      while (true) yield encoder.encode('data: a\n\n');
    } finally {
      ended = true;
    }
  }
  for await (const batch of readSse(body(), options)) {
    assert.equal(batch.length, 1);
    break;
  }
  assert.equal(ended, true);
});

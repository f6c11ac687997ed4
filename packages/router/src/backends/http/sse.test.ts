import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scaled } from '@lfo/testing/test-scale.ts';
import * as fc from 'fast-check';
import { BackendError } from '../../core/errors.ts';
import { type SseEvent, SseReader } from './sse.ts';

const encoder = new TextEncoder();
const options = { backend: 'b', maxEventBytes: 1000 };

/** The events of each read. */
function* batchesOf(chunks: Iterable<Uint8Array>): Generator<SseEvent[], void> {
  const reader = new SseReader(options);
  for (const bytes of chunks) {
    yield reader.read(bytes);
    if (reader.error !== undefined) throw reader.error;
  }
}

function parse(chunks: Iterable<Uint8Array>): SseEvent[] {
  return [...batchesOf(chunks)].flat();
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
  test(`${name}, whole and byte by byte`, () => {
    assert.deepEqual(parse([encoder.encode(stream)]), events);
    assert.deepEqual(parse(bytesOf(stream)), events);
  });
}

test('any split of any stream gives the events of the whole', () => {
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
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), fc.array(fc.nat({ max: 12 })), (pieces, sizes) => {
      const bytes = encoder.encode(pieces.join(''));
      const chunks: Uint8Array[] = [];
      let from = 0;
      for (const size of sizes) {
        chunks.push(bytes.subarray(from, from + size));
        from += size;
      }
      chunks.push(bytes.subarray(from));
      assert.deepEqual(parse(chunks), parse([bytes]));
    }),
    { numRuns: scaled({ always: 2_000, full: 100_000 }), seed: 17 },
  );
});

test('the events of one read come as one batch', () => {
  const chunks = ['data: a\n\ndata: b\n\nda', 'ta: c', '\n\n'].map((text) => encoder.encode(text));
  assert.deepEqual([...batchesOf(chunks)], [[{ data: 'a' }, { data: 'b' }], [], [{ data: 'c' }]]);
});

test('invalid UTF-8 becomes replacement characters', () => {
  const bytes = Uint8Array.of(...encoder.encode('data: '), 0xff, ...encoder.encode('\n\n'));
  assert.deepEqual(parse([bytes]), [{ data: '\uFFFD' }]);
});

function* endless(head: string, filler: string, sent: { bytes: number }): Generator<Uint8Array, void> {
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
  test(`${name} without end is refused near the cap`, () => {
    const sent = { bytes: 0 };
    assert.throws(() => parse(endless(head, filler, sent)), isTooLong);
    assert.ok(sent.bytes < 10_000);
  });
}

test('an event above the cap in a single read is refused, and the events before it are not lost', () => {
  const stream = encoder.encode(`data: a\n\ndata: ${'x'.repeat(2000)}\n\n`);
  const batches: SseEvent[][] = [];
  assert.throws(() => {
    for (const batch of batchesOf([stream])) batches.push(batch);
  }, isTooLong);
  assert.deepEqual(batches, [[{ data: 'a' }]]);
});

test('a character cut between two reads survives after reads of plain ASCII', () => {
  const euro = encoder.encode('data: a\n\ndata: €\n\n');
  assert.deepEqual(parse([euro.subarray(0, 9), euro.subarray(9, 16), euro.subarray(16)]), [
    { data: 'a' },
    { data: '€' },
  ]);
});

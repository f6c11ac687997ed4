import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { scaled } from '@lfo/testing/test-scale.ts';
import { portableTextCodec, textCodec } from './text-codec.ts';

const platform = textCodec();

test('our UTF-8 encoder writes what the platform writes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      assert.deepEqual(portableTextCodec.encode(text), platform.encode(text));
      assert.equal(portableTextCodec.decode(portableTextCodec.encode(text)), platform.decode(platform.encode(text)));
    }),
  );
});

test('our UTF-8 decoder reads and refuses what the platform does', () => {
  const read = (codec: typeof platform, bytes: Uint8Array): string | undefined => {
    try {
      return codec.decode(bytes);
    } catch (error) {
      assert.ok(error instanceof TypeError);
      return undefined;
    }
  };
  const utf8Like = fc.oneof(
    fc.uint8Array({ maxLength: 8 }),
    fc.array(
      fc.constantFrom(0, 0x7f, 0x80, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xa0, 0x9f, 0xed, 0xef, 0xf0, 0x90, 0xf4, 0xf5),
    ),
    fc.array(fc.string({ unit: 'binary' })).map((parts) => platform.encode(parts.join(''))),
  );
  fc.assert(
    fc.property(utf8Like, (values) => {
      const bytes = Uint8Array.from(values);
      assert.equal(read(portableTextCodec, bytes), read(platform, bytes));
    }),
    { numRuns: scaled({ always: 2_000, full: 100_000 }) },
  );
});

test('a text of a megabyte passes our codec', () => {
  const text = 'žluť 🦆\u2028'.repeat(100_000);
  assert.equal(portableTextCodec.decode(portableTextCodec.encode(text)), text);
});

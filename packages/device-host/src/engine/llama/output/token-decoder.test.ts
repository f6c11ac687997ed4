import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { TokenDecoder } from './token-decoder.ts';

/** Tokens are runs of bytes, as in a byte-level vocabulary. */
function decoder(): TokenDecoder<Buffer> {
  return new TokenDecoder((tokens) => Buffer.concat(tokens).toString('utf8'));
}

test('a character comes out whole, however its bytes are split', () => {
  const parts = decoder();
  const bytes = Buffer.from('a😀b');
  assert.deepEqual(
    [...bytes].map((byte) => parts.push(Buffer.of(byte))),
    ['a', '', '', '', '😀', 'b'],
  );
});

test('text before an unfinished character does not wait for it', () => {
  const parts = decoder();
  assert.equal(parts.push(Buffer.from([0x68, 0x69, 0xf0, 0x9f])), 'hi');
  assert.equal(parts.push(Buffer.from([0x98, 0x80])), '😀');
});

test('bytes that never become a character come out at the end', () => {
  const parts = decoder();
  assert.equal(parts.push(Buffer.from([0xf0, 0x9f])), '');
  assert.match(parts.end(), /^\uFFFD+$/);
});

test('the pieces of any text in any split are the text, and none of them is broken', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.array(fc.nat(40)), (text, cuts) => {
      fc.pre(!text.includes('\uFFFD') && Buffer.from(text).toString() === text);
      const bytes = Buffer.from(text);
      const ends = [...cuts.filter((cut) => cut < bytes.length), bytes.length].toSorted((a, b) => a - b);
      const parts = decoder();
      const pieces = ends.map((end, index) => parts.push(bytes.subarray(ends[index - 1] ?? 0, end)));
      assert.equal([...pieces, parts.end()].join(''), text);
      for (const piece of pieces) assert.ok(!piece.includes('\uFFFD'));
    }),
  );
});

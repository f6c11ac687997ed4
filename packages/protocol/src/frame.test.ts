import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeFrame, FrameDecoder, FrameError, handshakeFrameBytes, maxFrameBytes } from './frame.ts';

const payloads = [1, 2, 255, 256, 257, 1000, 70_000].map((length, seed) =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed) % 256),
);
const stream = Buffer.concat(payloads.map((payload) => encodeFrame(payload)));

const noPayload = (): never => assert.fail('no payload is complete');

function decode(chunks: Iterable<Uint8Array>, limit = maxFrameBytes): Uint8Array[] {
  const decoder = new FrameDecoder(limit);
  const out: Uint8Array[] = [];
  for (const chunk of chunks) decoder.push(chunk, (payload) => out.push(Uint8Array.from(payload)));
  return out;
}

/** Splits at pseudo-random places that a seed names (a linear congruential generator). */
function* splits(bytes: Uint8Array, seed: number): Generator<Uint8Array> {
  let state = seed;
  for (let at = 0; at < bytes.length;) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    const size = state % 7 === 0 ? state % 5000 : 1 + (state % 9);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

test('a stream in one piece yields every payload', () => {
  assert.deepEqual(decode([stream]), payloads);
});

test('a stream byte by byte yields the same payloads', () => {
  assert.deepEqual(decode(Array.from(stream, (byte) => Uint8Array.of(byte))), payloads);
});

test('a stream split at seeded places yields the same payloads', () => {
  for (let seed = 1; seed <= 200; seed++) assert.deepEqual(decode(splits(stream, seed)), payloads, `seed ${seed}`);
});

test('a frame of exactly the limit passes and one byte more is refused at its header', () => {
  assert.equal(decode([encodeFrame(new Uint8Array(1024))], handshakeFrameBytes)[0]?.length, 1024);
  const header = encodeFrame(new Uint8Array(1025)).subarray(0, 4);
  assert.throws(() => decode([header], handshakeFrameBytes), { name: 'FrameError', code: 'frame_too_large' });
});

test('lengths 0, 2 GiB and 4 GiB − 1 are refused at their fourth byte', () => {
  for (const [bytes, code] of [
    [[0, 0, 0, 0], 'bad_frame'],
    [[0x80, 0, 0, 0], 'frame_too_large'],
    [[0xff, 0xff, 0xff, 0xff], 'frame_too_large'],
  ] as const) {
    const decoder = new FrameDecoder(maxFrameBytes);
    decoder.push(Uint8Array.from(bytes.slice(0, 3)), noPayload);
    assert.throws(
      () => decoder.push(Uint8Array.of(bytes[3]), noPayload),
      (error) => error instanceof FrameError && error.code === code,
    );
  }
});

test('announced lengths allocate nothing: 2,000 decoders waiting for 1 MiB each stay small', () => {
  const before = process.memoryUsage().arrayBuffers;
  const decoders = Array.from({ length: 2000 }, () => new FrameDecoder(maxFrameBytes));
  for (const decoder of decoders) decoder.push(Uint8Array.of(0, 0x10, 0, 0, 1), noPayload);
  assert.ok(process.memoryUsage().arrayBuffers - before < 20_000_000);
  assert.equal(decoders.length, 2000);
});

test('a whole frame of 1 MiB byte by byte copies each byte a bounded number of times', () => {
  const payload = new Uint8Array(1024 * 1024).fill(7);
  let allocated = 0;
  const decoder = new FrameDecoder(maxFrameBytes);
  const frame = encodeFrame(payload);
  let last = process.memoryUsage().arrayBuffers;
  let got = 0;
  for (let at = 0; at < frame.length; at++) {
    decoder.push(frame.subarray(at, at + 1), (bytes) => (got = bytes.length));
    if (at % 65_536 !== 0) continue;
    const now = process.memoryUsage().arrayBuffers;
    allocated += Math.max(0, now - last);
    last = now;
  }
  assert.equal(got, payload.length);
  assert.ok(allocated < 8 * payload.length, `${allocated} bytes allocated`);
});

test('the limit may change between two frames of one chunk', () => {
  const decoder = new FrameDecoder(handshakeFrameBytes);
  const lengths: number[] = [];
  decoder.push(Buffer.concat([encodeFrame(new Uint8Array(10)), encodeFrame(new Uint8Array(5000))]), (payload) => {
    lengths.push(payload.length);
    decoder.limitBytes = maxFrameBytes;
  });
  assert.deepEqual(lengths, [10, 5000]);
});

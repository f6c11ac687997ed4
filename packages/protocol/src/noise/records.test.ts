import assert from 'node:assert/strict';
import * as crypto from 'node:crypto';
import { test } from 'node:test';
import { carrierPair } from '@lfo/testing/carrier-pair.ts';
import { deliveries, deviceVectors, hexBytes } from '@lfo/testing/device-vectors.ts';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import * as z from 'zod';
import { framedChannel, type Channel } from '../channel.ts';
import { encodeFrame } from '../frame.ts';
import { deviceLink } from '../link.ts';
import { CipherState } from './cipher-state.ts';
import { noblePrimitives } from './noble-primitives.ts';
import { noiseChannel, recordChunkBytes } from './noise-channel.ts';
import { nodePrimitives } from './node-primitives.ts';

const vectors = deviceVectors(
  'records',
  z.object({
    key: hexBytes,
    messages: z.array(z.object({ message_bytes: z.number(), frames: z.array(z.number()), sha256: z.string() })),
    small: z.array(z.object({ message: z.string(), frame: hexBytes })),
    refused: z.array(
      z.object({
        name: z.string(),
        frames: z.array(hexBytes).optional(),
        repeat: z.number().optional(),
        plaintext_bytes: z.number().optional(),
        delivered: z.number(),
        closed: z.string(),
      }),
    ),
  }),
);

const node = nodePrimitives(crypto);
const keys = { send: vectors.key, receive: vectors.key };
const messageOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => (7 * at) % 256);

function pair(primitives = node) {
  const [near, far] = carrierPair();
  const left = noiseChannel(framedChannel(near), primitives, keys);
  const right = noiseChannel(framedChannel(far), primitives, keys);
  const heard: Uint8Array[] = [];
  const closed: string[] = [];
  const listen = (channel: Channel): void =>
    channel.listen({
      onPayload: (payload) => heard.push(payload),
      onDrain() {},
      onClose: (code) => closed.push(code),
    });
  listen(left);
  listen(right);
  return { near, far, left, right, heard, closed };
}

for (const [platform, primitives] of [
  ['node:crypto', node],
  ['noble', noblePrimitives((length) => new Uint8Array(crypto.randomBytes(length)))],
] as const)
  test(`${platform}: messages of all sizes are cut into the records of the vectors`, () => {
    for (const { message_bytes: length, frames, sha256 } of vectors.messages) {
      const { near, left } = pair(primitives);
      left.send(messageOf(length));
      assert.deepEqual(
        near.written.map((frame) => frame.length),
        frames,
      );
      assert.equal(crypto.createHash('sha256').update(Buffer.concat(near.written)).digest('hex'), sha256);
    }
  });

test('small messages are sealed with the counter of their direction', () => {
  const { near, left } = pair();
  for (const { message } of vectors.small) left.send(Buffer.from(message));
  assert.deepEqual(
    near.written.map((bytes) => Uint8Array.from(bytes)),
    vectors.small.map(({ frame }) => frame),
  );
});

test('messages of 0, 1, 65,517 to 65,519 bytes and 1 MiB cross, however they are delivered', async () => {
  for (const length of [0, 1, 65_517, 65_518, 65_519, 2 * recordChunkBytes, 1_048_576]) {
    const message = messageOf(length);
    const sent = pair();
    sent.left.send(message);
    const bytes = Buffer.concat(sent.near.written);
    for (const [how, chunks] of deliveries(bytes)) {
      const { far, heard, closed } = pair();
      for (const chunk of chunks) far.inject(chunk);
      assert.deepEqual(heard, [message], `${length} bytes ${how}`);
      assert.deepEqual(closed, []);
    }
  }
});

for (const { name, frames = [], repeat = 0, plaintext_bytes: bytes = 0, delivered, closed } of vectors.refused)
  test(`records that are refused: ${name} closes with ${closed}`, async () => {
    const cipher = new CipherState(node, vectors.key);
    const full = Array.from({ length: repeat }, () =>
      encodeFrame(cipher.seal(Uint8Array.of(1, ...new Uint8Array(bytes)))),
    );
    for (const [how, chunks] of deliveries(Buffer.concat([...frames, ...full])).slice(0, repeat > 0 ? 1 : 3)) {
      const [near, far] = carrierPair();
      const link = deviceLink(noiseChannel(framedChannel(near), node, keys), new FakeClock());
      const heard: unknown[] = [];
      const ends: string[] = [];
      link.listen({ onMessage: (message) => heard.push(message), onClose: (code) => ends.push(code) });
      far.listen({ onData() {}, onDrain() {}, onClose() {} });
      for (const chunk of chunks) near.inject(chunk);
      await settle();
      assert.deepEqual([heard.length, ends], [delivered, [closed]], how);
    }
  });

test('a message has one form: an empty last record after a full one is refused', async () => {
  const cipher = new CipherState(node, vectors.key);
  const { far, heard, closed } = pair();
  far.inject(encodeFrame(cipher.seal(Uint8Array.of(1, ...new Uint8Array(recordChunkBytes)))));
  far.inject(encodeFrame(cipher.seal(Uint8Array.of(0))));
  await settle();
  assert.deepEqual([heard, closed[0]], [[], 'bad_frame']);
});

test('a message beyond the limit agreed on closes the channel', async () => {
  const { left, right, heard, closed } = pair();
  right.limit(100);
  left.send(messageOf(100));
  left.send(messageOf(101));
  await settle();
  assert.deepEqual([heard.length, closed[0]], [1, 'frame_too_large']);
});

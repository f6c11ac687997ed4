import assert from 'node:assert/strict';
import * as crypto from 'node:crypto';
import { test } from 'node:test';
import { carrierPair } from '@lfo/testing/carrier-pair.ts';
import { deliveries, deviceVectors, hexBytes } from '@lfo/testing/device-vectors.ts';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import * as z from 'zod';
import { equalBytes } from '../bytes.ts';
import { framedChannel } from '../channel.ts';
import { encodeFrame } from '../frame.ts';
import { pairingKey } from '../identity/identity.ts';
import { answerHandshake, dialHandshake, type HandshakeSide, type HandshakeTarget } from './handshake.ts';
import { handshakeMs, runHandshake, type HandshakeFailure } from './handshake-link.ts';
import { refusalPayload } from './handshake-wire.ts';
import { nodePrimitives } from './node-primitives.ts';
import { keyPair } from './primitives.ts';

const vectors = deviceVectors(
  'refusals',
  z.object({
    pairing_secret: hexBytes,
    known_device: hexBytes,
    cases: z.array(
      z.object({
        name: z.string(),
        frame: hexBytes,
        answer: hexBytes.nullable(),
        counts_as_guess: z.boolean().default(false),
      }),
    ),
  }),
);

const primitives = nodePrimitives(crypto);
const routerKeys = keyPair(
  primitives,
  Uint8Array.from({ length: 32 }, (_, at) => at),
);
const psk = pairingKey(primitives, vectors.pairing_secret);

function run(side: HandshakeSide, keepKey?: (key: Uint8Array) => Promise<void>) {
  const clock = new FakeClock();
  const [near, far] = carrierPair();
  const failures: HandshakeFailure[] = [];
  const secured: Uint8Array[] = [];
  const answers: Uint8Array[] = [];
  far.listen({ onData: (bytes) => answers.push(bytes), onDrain() {}, onClose() {} });
  runHandshake({
    channel: framedChannel(near),
    primitives,
    clock,
    side,
    listener: {
      onSecured(channel, { peerKey }) {
        secured.push(peerKey);
        channel.listen({
          onPayload() {},
          onDrain() {},
          onClose: (code) => failures.push({ by: 'closed', code, isGuess: false }),
        });
      },
      onFailed: (failure) => failures.push(failure),
      ...(keepKey === undefined ? {} : { keepKey }),
    },
  });
  return { seen: 0, clock, near, far, failures, secured, answered: () => Buffer.concat(answers) };
}

const router = (pairings: readonly { id: string; psk: Uint8Array }[] = [{ id: 'open', psk }]): HandshakeSide =>
  answerHandshake({
    primitives,
    role: 'router',
    keys: routerKeys,
    pairings: () => pairings,
    isKnown: (key) => equalBytes(key, vectors.known_device),
  });

for (const { name, frame, answer, counts_as_guess: isGuess } of vectors.cases)
  for (const [how, chunks] of deliveries(frame))
    test(`a first frame is refused: ${name}, ${how}`, async () => {
      const { near, failures, answered } = run(router());
      for (const chunk of chunks) near.inject(chunk);
      await settle();
      assert.equal(answered().toString('hex'), Buffer.from(answer ?? []).toString('hex'));
      assert.equal(failures.length, 1);
      assert.equal(failures[0]?.isGuess, isGuess);
      assert.equal(failures[0]?.by, answer === null ? 'closed' : 'refusal');
    });

test('with no pairing open a wrong code is refused and is no guess', async () => {
  const { near, failures } = run(router([]));
  near.inject(vectors.cases.find(({ name }) => name === 'wrong-code')?.frame ?? new Uint8Array());
  await settle();
  assert.deepEqual(failures, [{ by: 'refusal', code: 'pairing_refused', isGuess: false }]);
});

test('a port scan is closed without a word and is no guess', async () => {
  const { near, failures, answered } = run(router());
  near.inject(encodeFrame(Buffer.from('EHLO localhost')));
  await settle();
  assert.deepEqual(failures, [{ by: 'closed', code: 'foreign', isGuess: false }]);
  assert.equal(answered().length, 0);
});

test('a handshake that does not end within 5 s is closed', async () => {
  const { clock, near, failures } = run(router());
  near.inject(Uint8Array.of(0, 0, 0));
  await clock.advanceAsync(handshakeMs - 1);
  assert.equal(failures.length, 0);
  await clock.advanceAsync(1);
  assert.deepEqual(failures, [{ by: 'closed', code: 'timeout', isGuess: false }]);
  assert.equal(clock.pendingTimers, 0);
});

const deviceKeys = keyPair(primitives);
const dial = (target: HandshakeTarget): HandshakeSide =>
  dialHandshake({ primitives, role: 'device', keys: deviceKeys, target });

test('a refusal reaches the dialler as a hint with its code', async () => {
  const { near, failures } = run(dial({ purpose: 'known', peerKey: routerKeys.public }));
  near.inject(encodeFrame(refusalPayload('unknown_key')));
  await settle();
  assert.deepEqual(failures, [{ by: 'refused', code: 'unknown_key', isGuess: false }]);
});

/** Two sides that talk to each other until nothing is left to say. */
async function meet(left: ReturnType<typeof run>, right: ReturnType<typeof run>): Promise<void> {
  for (let turn = 0; turn < 6; turn++) {
    await settle();
    for (const bytes of left.near.written.slice(left.seen)) right.near.inject(bytes);
    left.seen = left.near.written.length;
    await settle();
    for (const bytes of right.near.written.slice(right.seen)) left.near.inject(bytes);
    right.seen = right.near.written.length;
  }
}

test('a device keeps the key of its router before message 3 leaves', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const kept: Uint8Array[] = [];
  const device = run(dial({ purpose: 'pair', psk, expectedKey: routerKeys.public }), (key) => {
    kept.push(key);
    return promise;
  });
  const answering = run(router());
  await meet(device, answering);
  assert.deepEqual(kept, [routerKeys.public]);
  assert.equal(device.near.written.length, 1, 'message 3 waits');
  assert.equal(answering.secured.length, 0);
  resolve();
  await meet(device, answering);
  assert.deepEqual(answering.secured, [deviceKeys.public]);
  assert.deepEqual(device.secured, [routerKeys.public]);
});

test('a key that cannot be kept ends the pairing without message 3', async () => {
  const device = run(dial({ purpose: 'pair', psk }), () => Promise.reject(new Error('disk full')));
  await meet(device, run(router()));
  assert.deepEqual(device.failures, [{ by: 'closed', code: 'not_kept', isGuess: false }]);
  assert.equal(device.near.written.length, 1);
});

test('a device that meets another key than it was shown leaves without message 3', async () => {
  const device = run(dial({ purpose: 'pair', psk, expectedKey: new Uint8Array(32) }));
  const answering = run(router());
  await meet(device, answering);
  assert.deepEqual(device.failures, [{ by: 'closed', code: 'wrong_key', isGuess: false }]);
  assert.equal(device.near.written.length, 1);
});

test('a code that was used up meanwhile is refused in place of the first record', async () => {
  const device = run(dial({ purpose: 'pair', psk }), () => Promise.resolve());
  const answering = run(router());
  await meet(device, answering);
  assert.equal(device.secured.length, 1);
  device.near.inject(encodeFrame(refusalPayload('pairing_refused')));
  await settle();
  assert.deepEqual(device.failures, [{ by: 'closed', code: 'pairing_refused', isGuess: false }]);
});

test('a message to one direction cannot be reflected', async () => {
  const device = run(dial({ purpose: 'known', peerKey: deviceKeys.public }));
  await settle();
  const [first] = device.near.written;
  const reflected = run(
    answerHandshake({ primitives, role: 'device', keys: deviceKeys, pairings: () => [], isKnown: () => true }),
  );
  reflected.near.inject(first ?? new Uint8Array());
  await settle();
  assert.deepEqual(reflected.failures, [{ by: 'refusal', code: 'handshake_failed', isGuess: false }]);
});

import assert from 'node:assert/strict';
import * as crypto from 'node:crypto';
import { test } from 'node:test';
import { carrierPair, type TestCarrier } from '@lfo/testing/carrier-pair.ts';
import { deliveries, deviceVectors, hexBytes } from '@lfo/testing/device-vectors.ts';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import * as z from 'zod';
import { framedChannel, type Channel } from '../channel.ts';
import { answerHandshake, dialHandshake, type HandshakeSide, type Secured } from './handshake.ts';
import { runHandshake } from './handshake-link.ts';
import { noblePrimitives } from './noble-primitives.ts';
import { nodePrimitives } from './node-primitives.ts';
import { keyPair, type Primitives } from './primitives.ts';

const { transcripts } = deviceVectors(
  'handshakes',
  z.object({
    transcripts: z.array(
      z.object({
        name: z.string(),
        protocol: z.string(),
        initiator: z.enum(['device', 'router']),
        initiator_static_secret: hexBytes,
        responder_static_secret: hexBytes,
        responder_static_public: hexBytes,
        initiator_static_public: hexBytes,
        initiator_ephemeral_secret: hexBytes,
        responder_ephemeral_secret: hexBytes,
        psk: hexBytes.nullable(),
        frames: z.array(hexBytes),
        handshake_hash: hexBytes,
        initiator_to_responder: hexBytes,
        responder_to_initiator: hexBytes,
        transport: z.array(z.object({ from: z.enum(['device', 'router']), message: z.string(), frame: hexBytes })),
      }),
    ),
  }),
);

type Transcript = (typeof transcripts)[number];
const platforms: readonly (readonly [string, Primitives])[] = [
  ['node:crypto', nodePrimitives(crypto)],
  ['noble', noblePrimitives((length) => new Uint8Array(crypto.randomBytes(length)))],
];

for (const [platform, primitives] of platforms)
  for (const transcript of transcripts)
    for (const plays of ['initiator', 'responder'] as const)
      for (const delivery of [0, 1, 2])
        test(`${platform}, ${transcript.name}: the ${plays} writes the transcript, delivery ${delivery}`, async () => {
          await replay(primitives, transcript, plays, delivery);
        });

async function replay(
  primitives: Primitives,
  transcript: Transcript,
  plays: 'initiator' | 'responder',
  delivery: number,
): Promise<void> {
  const isInitiator = plays === 'initiator';
  const clock = new FakeClock();
  const [near] = carrierPair();
  const opened: { channel: Channel; secured: Secured }[] = [];
  const heard: string[] = [];
  runHandshake({
    channel: framedChannel(near),
    primitives,
    clock,
    side: sideOf(primitives, transcript, isInitiator),
    listener: {
      onSecured(channel, secured) {
        opened.push({ channel, secured });
        channel.listen({
          onPayload: (payload) => heard.push(Buffer.from(payload).toString()),
          onDrain() {},
          onClose: (reason) => assert.fail(reason),
        });
      },
      onFailed: ({ code }) => assert.fail(code),
    },
  });
  const feed = (bytes: Uint8Array): void => {
    for (const chunk of deliveries(bytes)[delivery]?.[1] ?? []) near.inject(chunk);
  };
  for (const [at, frame] of transcript.frames.entries()) {
    const isOurs = (at % 2 === 0) === isInitiator;
    if (isOurs) await wrote(near, frame);
    else feed(frame);
  }
  assert.ok(opened[0] !== undefined);
  const { channel, secured } = opened[0];
  assert.deepEqual(secured.hash, transcript.handshake_hash);
  const [ours, theirs] = isInitiator
    ? [transcript.initiator_to_responder, transcript.responder_to_initiator]
    : [transcript.responder_to_initiator, transcript.initiator_to_responder];
  assert.deepEqual(secured.keys, { send: ours, receive: theirs });
  assert.deepEqual(
    secured.peerKey,
    isInitiator ? transcript.responder_static_public : transcript.initiator_static_public,
  );
  for (const { from, message, frame } of transcript.transport) {
    if ((from === transcript.initiator) === isInitiator) {
      channel.send(Buffer.from(message));
      await wrote(near, frame);
    } else {
      feed(frame);
      assert.equal(heard.pop(), message);
    }
  }
  assert.equal(clock.pendingTimers, 0);
}

/** The last thing written; a frame must leave as one write. */
async function wrote(carrier: TestCarrier, frame: Uint8Array): Promise<void> {
  await settle();
  assert.deepEqual(Buffer.from(carrier.written.at(-1) ?? []).toString('hex'), Buffer.from(frame).toString('hex'));
}

function sideOf(primitives: Primitives, transcript: Transcript, isInitiator: boolean): HandshakeSide {
  const { initiator, psk } = transcript;
  const role = isInitiator === (initiator === 'device') ? 'device' : 'router';
  const ephemeral = isInitiator ? transcript.initiator_ephemeral_secret : transcript.responder_ephemeral_secret;
  const keys = keyPair(
    primitives,
    isInitiator ? transcript.initiator_static_secret : transcript.responder_static_secret,
  );
  const fixed = { ...primitives, random: () => ephemeral };
  if (isInitiator)
    return dialHandshake({
      primitives: fixed,
      role,
      keys,
      target:
        psk === null
          ? { purpose: 'known', peerKey: transcript.responder_static_public }
          : { purpose: 'pair', psk, expectedKey: transcript.responder_static_public },
    });
  return answerHandshake({
    primitives: fixed,
    role,
    keys,
    pairings: () =>
      psk === null
        ? []
        : [
            { id: 'another', psk: new Uint8Array(32) },
            { id: 'pairing', psk },
          ],
    isKnown: (key) => Buffer.from(key).equals(transcript.initiator_static_public),
  });
}

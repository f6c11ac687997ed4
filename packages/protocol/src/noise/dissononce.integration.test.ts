import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import * as crypto from 'node:crypto';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { equalBytes } from '../bytes.ts';
import { CipherState } from './cipher-state.ts';
import { answerHandshake, dialHandshake, type HandshakeSide, type HandshakeStep } from './handshake.ts';
import { prologueOf, type HandshakePurpose, type Role } from './handshake-wire.ts';
import { noblePrimitives } from './noble-primitives.ts';
import { nodePrimitives } from './node-primitives.ts';
import { keyPair, type Primitives } from './primitives.ts';

/** Debian's package python3-dissononce must be installed for its own Python: a machine without it is set up wrongly. */
const python = '/usr/bin/python3';
const script = fileURLToPath(import.meta.resolve('@lfo/testing/interop/noise-peer.py'));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

interface Case {
  readonly primitives: Primitives;
  readonly purpose: HandshakePurpose;
  readonly dials: Role;
  readonly weDial: boolean;
}

for (const [platform, primitives] of [
  ['node:crypto', nodePrimitives(crypto)],
  ['noble', noblePrimitives((length) => new Uint8Array(crypto.randomBytes(length)))],
] as const)
  for (const purpose of ['pair', 'known'] as const)
    for (const dials of ['device', 'router'] as const)
      for (const weDial of [true, false])
        test(`${platform}: ${purpose}, a ${dials} dials, dissononce ${weDial ? 'answers' : 'dials'}`, () =>
          meet({ primitives, purpose, dials, weDial }));

async function meet({ primitives, purpose, dials, weDial }: Case): Promise<void> {
  const [ours, theirs] = [keyPair(primitives), keyPair(primitives)];
  const psk = primitives.random(32);
  const prologue = prologueOf(dials, purpose);
  const extra = purpose === 'pair' ? psk : ours.public;
  const peer = peerProcess([
    weDial ? 'responder' : 'initiator',
    purpose,
    hex(prologue),
    hex(theirs.secret),
    hex(extra),
  ]);
  try {
    const role = weDial === (dials === 'device') ? 'device' : 'router';
    const side: HandshakeSide = weDial
      ? dialHandshake({
          primitives,
          role,
          keys: ours,
          target:
            purpose === 'pair' ? { purpose, psk, expectedKey: theirs.public } : { purpose, peerKey: theirs.public },
        })
      : answerHandshake({
          primitives,
          role,
          keys: ours,
          pairings: () => [{ id: 'p', psk }],
          isKnown: (key) => equalBytes(key, theirs.public),
        });
    const secured = await handshake(side, peer, prologue, weDial);
    assert.deepEqual(secured.peerKey, theirs.public);
    assert.equal(await peer.hear(), `hash ${hex(secured.hash)}`);
    const [sending, receiving] = [
      new CipherState(primitives, secured.keys.send),
      new CipherState(primitives, secured.keys.receive),
    ];
    for (const length of [1, 64, 65_519]) {
      const plaintext = primitives.random(length);
      peer.say(sending.seal(plaintext));
      assert.deepEqual(receiving.open(Buffer.from(await peer.hear(), 'hex')), plaintext.toReversed());
    }
  } finally {
    peer.end();
  }
}

/** Speaks the handshake; the other program takes its messages without the prologue before the first. */
async function handshake(
  side: HandshakeSide,
  peer: ReturnType<typeof peerProcess>,
  prologue: Uint8Array,
  weDial: boolean,
) {
  const first = side.start();
  if (first !== undefined) peer.say(first.subarray(prologue.length));
  for (let turn = 0; ; turn++) {
    const bytes = Buffer.from(await peer.hear(), 'hex');
    const payload = !weDial && turn === 0 ? Buffer.concat([prologue, bytes]) : bytes;
    let step: HandshakeStep = side.receive(Uint8Array.from(payload));
    if (step.kind === 'confirm') step = side.confirm();
    assert.ok(step.kind === 'send' || step.kind === 'secured', step.kind);
    if (step.payload !== undefined) peer.say(step.payload);
    if (step.kind === 'secured') return step.secured;
  }
}

function peerProcess(args: readonly string[]) {
  const child = spawn(python, [script, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    say: (bytes: Uint8Array) => child.stdin.write(`${hex(bytes)}\n`),
    async hear(): Promise<string> {
      const { value, done } = await lines.next();
      assert.ok(done !== true, 'dissononce has ended: is the package python3-dissononce installed?');
      return value;
    },
    end: () => child.kill(),
  };
}

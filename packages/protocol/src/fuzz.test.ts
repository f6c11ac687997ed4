import assert from 'node:assert/strict';
import * as crypto from 'node:crypto';
import { test } from 'node:test';
import { carrierPair } from '@lfo/testing/carrier-pair.ts';
import { deviceVectors } from '@lfo/testing/device-vectors.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { scriptedHello } from '@lfo/testing/scripted-device.ts';
import { scaled } from '@lfo/testing/test-scale.ts';
import * as fc from 'fast-check';
import * as z from 'zod';
import { framedChannel } from './channel.ts';
import { encodeFrame, maxFrameBytes } from './frame.ts';
import { deviceLink, routerLink } from './link.ts';
import { CipherState } from './noise/cipher-state.ts';
import { answerHandshake } from './noise/handshake.ts';
import { noiseChannel } from './noise/noise-channel.ts';
import { nodePrimitives } from './noise/node-primitives.ts';
import { keyPair } from './noise/primitives.ts';

/** 5,000 inputs in all, 100,000 in the full run. */
const numRuns = scaled({ always: 1000, full: 20_000 });

const primitives = nodePrimitives(crypto);
const key = new Uint8Array(32).fill(7);
const keys = { send: key, receive: key };
const { cases } = deviceVectors(
  'messages',
  z.object({ cases: z.array(z.object({ from: z.enum(['device', 'router']), message: z.json() })) }),
);

/** A link of one side over what `wrap` makes of a carrier; a thrown error ends the test. */
function receiver(side: 'router' | 'device', isEncrypted: boolean) {
  const [near] = carrierPair();
  const framed = framedChannel(near, maxFrameBytes);
  const channel = isEncrypted ? noiseChannel(framed, primitives, keys) : framed;
  const heard: unknown[] = [];
  const listener = { onMessage: (message: unknown) => heard.push(message), onClose() {} };
  if (side === 'router') routerLink(channel, new FakeClock()).listen(listener);
  else deviceLink(channel, new FakeClock()).listen(listener);
  return { near, heard };
}

const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 12 });
const anyJson = fc.jsonValue({ maxDepth: 3 });
type Json = z.infer<ReturnType<typeof z.json>>;

test('bytes of any kind are no more than a closed link', () => {
  fc.assert(
    fc.property(chunks, fc.boolean(), (parts, isEncrypted) => {
      const { near } = receiver('router', isEncrypted);
      for (const part of parts) near.inject(part);
    }),
    { numRuns },
  );
});

test('frames of any payload are no more than a closed link or an answered error', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 })), fc.boolean(), (payloads, isEncrypted) => {
      const { near } = receiver('device', isEncrypted);
      for (const payload of payloads) near.inject(encodeFrame(payload));
    }),
    { numRuns },
  );
});

test('records with one byte changed, cut, doubled or out of order deliver nothing after the change', () => {
  const message = Buffer.from('{"t":"ping","n":1}');
  const cipher = new CipherState(primitives, key);
  const records = Array.from({ length: 3 }, () => cipher.seal(Buffer.concat([Uint8Array.of(0), message])));
  fc.assert(
    fc.property(
      fc.nat({ max: 2 }),
      fc.nat({ max: 34 }),
      fc.integer({ min: 1, max: 255 }),
      fc.constantFrom('flip', 'cut', 'double', 'swap'),
      (at, byte, mask, how) => {
        const changed = [...records];
        const record = records[at] ?? new Uint8Array();
        if (how === 'flip') changed[at] = record.map((value, place) => (place === byte ? value ^ mask : value));
        else if (how === 'cut') changed[at] = record.slice(0, Math.max(1, byte));
        else if (how === 'double') changed.splice(at, 0, record);
        else changed.reverse();
        const { near, heard } = receiver('device', true);
        for (const payload of changed) near.inject(encodeFrame(payload));
        assert.ok(heard.length <= (how === 'double' ? at + 1 : how === 'swap' ? 0 : at), how);
      },
    ),
    { numRuns },
  );
});

test('messages with any part replaced by any JSON are no more than an error or a closed link', () => {
  fc.assert(
    fc.property(fc.constantFrom(...cases), fc.nat(), anyJson, ({ from, message }, place, replacement) => {
      const { near } = receiver(from === 'device' ? 'router' : 'device', false);
      if (from === 'device') near.inject(encodeFrame(Buffer.from(JSON.stringify(scriptedHello))));
      const mutated = replaceAt(message, place % countNodes(message), replacement);
      near.inject(encodeFrame(Buffer.from(JSON.stringify(mutated) ?? 'null')));
    }),
    { numRuns },
  );
});

test('first payloads of any kind are refused or closed', () => {
  const router = keyPair(primitives);
  fc.assert(
    fc.property(
      fc.constantFrom('', 'lfo/', 'lfo/1', 'lfo/1P', 'lfo/1I', 'lfo/1p', 'lfo/2I'),
      fc.oneof(fc.uint8Array({ maxLength: 130 }), fc.uint8Array({ minLength: 48, maxLength: 48 })),
      (head, tail) => {
        const side = answerHandshake({
          primitives,
          role: 'router',
          keys: router,
          pairings: () => [{ id: 'p', psk: key }],
          isKnown: () => true,
        });
        const { kind } = side.receive(Uint8Array.from(Buffer.concat([Buffer.from(head), tail])));
        assert.ok(kind === 'refuse' || kind === 'close', kind);
      },
    ),
    { numRuns },
  );
});

function children(value: Json): readonly (readonly [string, Json])[] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

function countNodes(value: Json): number {
  return 1 + children(value).reduce((sum, [, child]) => sum + countNodes(child), 0);
}

/** A copy whose node number `at`, counted from the root, is another. */
function replaceAt(value: Json, at: number, replacement: unknown): unknown {
  if (at === 0) return replacement;
  let left = at - 1;
  const replaced = children(value).map(([name, child]) => {
    const nodes = countNodes(child);
    const isHere = left >= 0 && left < nodes;
    const next = isHere ? replaceAt(child, left, replacement) : child;
    left -= nodes;
    return [name, next] as const;
  });
  return Array.isArray(value) ? replaced.map(([, child]) => child) : Object.fromEntries(replaced);
}

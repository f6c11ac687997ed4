import assert from 'node:assert/strict';
import * as crypto from 'node:crypto';
import { test } from 'node:test';
import { deviceVectors, hexBytes } from '@lfo/testing/device-vectors.ts';
import * as z from 'zod';
import { noblePrimitives } from '../noise/noble-primitives.ts';
import { nodePrimitives } from '../noise/node-primitives.ts';
import {
  deviceId,
  fingerprint,
  keyText,
  pairingCode,
  pairingKey,
  readKeyText,
  readPairingCode,
  routerId,
} from './identity.ts';
import { pairingUri, readPairingUri } from './pairing-uri.ts';

const typed = z.array(z.object({ typed: z.string(), secret: hexBytes }));
const vectors = deviceVectors(
  'keys',
  z.object({
    pairing: z.array(z.object({ secret: hexBytes, code: z.string(), psk: hexBytes })),
    codes_read_alike: typed,
    codes_read_alike_zero: typed,
    codes_refused: z.array(z.string()),
    identities: z.array(
      z.object({
        secret: hexBytes,
        public: hexBytes,
        public_text: z.string(),
        fingerprint: z.string(),
        router_id: z.string(),
        device_id: z.string(),
      }),
    ),
    uris: z.array(
      z.object({
        role: z.enum(['router', 'device']),
        hosts: z.array(z.string()),
        port: z.number(),
        key: hexBytes,
        secret: hexBytes,
        name: z.string(),
        uri: z.string(),
      }),
    ),
    uris_refused: z.array(z.string()),
  }),
);

for (const [platform, primitives] of [
  ['node:crypto', nodePrimitives(crypto)],
  ['noble', noblePrimitives((length) => new Uint8Array(crypto.randomBytes(length)))],
] as const) {
  test(`${platform}: secrets become codes and keys`, () => {
    for (const { secret, code, psk } of vectors.pairing) {
      assert.equal(pairingCode(secret), code);
      assert.deepEqual(readPairingCode(code), secret);
      assert.deepEqual(pairingKey(primitives, secret), psk);
    }
  });

  test(`${platform}: keys become fingerprints and ids`, () => {
    for (const identity of vectors.identities) {
      assert.deepEqual(primitives.publicKey(identity.secret), identity.public);
      assert.equal(keyText(identity.public), identity.public_text);
      assert.deepEqual(readKeyText(`${identity.public_text}\n`), identity.public);
      assert.equal(fingerprint(primitives, identity.public), identity.fingerprint);
      assert.equal(routerId(primitives, identity.public), identity.router_id);
      assert.equal(deviceId(primitives, identity.public), identity.device_id);
    }
  });

  test(`${platform}: a text whose tag is wrong does not open, one of any length does`, () => {
    const [key, nonce, data] = [primitives.random(32), primitives.random(12), primitives.random(5)];
    for (const length of [0, 1, 63, 64, 65, 1000]) {
      const text = primitives.random(length);
      const sealed = primitives.seal(key, nonce, data, text);
      assert.equal(sealed.length, length + 16);
      assert.deepEqual(primitives.open(key, nonce, data, sealed), text);
      sealed[sealed.length - 1] = (sealed.at(-1) ?? 0) ^ 1;
      assert.equal(primitives.open(key, nonce, data, sealed), undefined);
      assert.equal(primitives.open(key, nonce, data, sealed.subarray(0, 15)), undefined);
    }
    assert.throws(() => primitives.sharedSecret(key, new Uint8Array(32)));
  });
}

test('codes are read as people type them', () => {
  for (const { typed: code, secret } of [...vectors.codes_read_alike, ...vectors.codes_read_alike_zero])
    assert.deepEqual(readPairingCode(code), secret, code);
  for (const code of vectors.codes_refused) assert.equal(readPairingCode(code), undefined, code);
});

test('pairing URIs are written and read alike', () => {
  for (const { uri, ...parts } of vectors.uris) {
    assert.equal(pairingUri(parts), uri);
    assert.deepEqual(readPairingUri(uri), parts);
    assert.deepEqual(readPairingUri(` ${uri}&colour=blue\n`), parts);
  }
  for (const uri of vectors.uris_refused) assert.equal(readPairingUri(uri), undefined, uri);
});

test('a pairing URI whose host could leave its place is refused', () => {
  const [first] = vectors.uris;
  assert.ok(first !== undefined);
  for (const host of ['', 'a/b', 'a b', 'a%40b%0d', 'x'.repeat(256), '%ff'])
    assert.equal(readPairingUri(first.uri.replace('h=192.168.1.10', `h=${host}`)), undefined, host);
});

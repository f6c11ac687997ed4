import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { generateKey, type KeyRing, keyIdOf, type ManagedKey } from './managed-key.ts';
import { managedKeys } from './verify-key.ts';

const clock = new FakeClock(0, 1_000);

function keyWith(changes: Partial<ManagedKey> = {}) {
  const { text, id, digest } = generateKey();
  const key: ManagedKey = { id, digest, name: 'n', scopes: ['chat'], limits: {}, createdMs: 0, ...changes };
  return { text, key };
}

function ringOf(...keys: readonly ManagedKey[]): KeyRing {
  return { find: (id) => keys.find((key) => key.id === id), isNeeded: keys.length > 0, expiring: () => [] };
}

test('where no key was given out everybody is the owner, whatever a client sends along', () => {
  const verify = managedKeys(undefined, ringOf(), clock);
  assert.equal(verify(undefined)?.id, 'owner');
  assert.equal(verify('sk-anything')?.id, 'owner');
});

test('a key opens what it is for, and only as a whole', () => {
  const { text, key } = keyWith({ tiers: ['local'], models: ['small'] });
  const verify = managedKeys(undefined, ringOf(key), clock);
  const opened = { id: key.id, name: 'n', scopes: ['chat'], tiers: ['local'], models: ['small'], limits: {} };
  assert.deepEqual(verify(text), opened);
  assert.equal(verify(undefined), undefined);
  assert.equal(verify('sk-anything'), undefined);
  const last = text.endsWith('0') ? '1' : '0';
  assert.equal(verify(text.slice(0, -1) + last), undefined);
  assert.equal(verify(text.slice(0, -1)), undefined);
  assert.equal(verify(generateKey().text), undefined);
});

test('a revoked or expired key opens nothing, and a key is needed still', () => {
  const revoked = keyWith({ revokedMs: 500 });
  const expired = keyWith({ expiresMs: 1_000 });
  const last = keyWith({ expiresMs: 1_001 });
  const verify = managedKeys(undefined, ringOf(revoked.key, expired.key, last.key), clock);
  assert.equal(verify(revoked.text), undefined);
  assert.equal(verify(expired.text), undefined);
  assert.equal(verify(last.text)?.id, last.key.id);
  assert.equal(verify(undefined), undefined);
});

test('the configured key stays the owner beside the others', () => {
  const { text, key } = keyWith();
  const verify = managedKeys('the-configured-one', ringOf(key), clock);
  assert.equal(verify('the-configured-one')?.id, 'owner');
  assert.equal(verify(text)?.id, key.id);
  assert.equal(verify(undefined), undefined);
});

test('keys have 160 random bits and say whose they are', () => {
  const { text, id } = generateKey();
  assert.equal(keyIdOf(text), id);
  assert.equal(text.length, 4 + 12 + 1 + 40);
  assert.equal(new Set(Array.from({ length: 1_000 }, () => generateKey().text)).size, 1_000);
});

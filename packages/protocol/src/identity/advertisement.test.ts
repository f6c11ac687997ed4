import assert from 'node:assert/strict';
import { test } from 'node:test';
import { advertisementText, readAdvertisement } from './advertisement.ts';

const id = 'rtr-xvergfd0n52hb4yw';

test('what a router announces is read back, with and without a code that is good now', () => {
  for (const isPairing of [true, false]) {
    const said = { id, name: 'Küche', isPairing };
    assert.deepEqual(readAdvertisement(advertisementText(said)), said);
  }
  assert.deepEqual(advertisementText({ id, name: 'k', isPairing: false }), { v: '1', id, n: 'k' });
});

test('another version, a wrong id and kinds that do not fit are no announcement; names are shown as plain text', () => {
  const good = { v: '1', id, n: 'k' };
  for (const bad of [{ v: '2' }, { v: 1 }, { id: 'dev-xvergfd0n52hb4yw' }, { id: 'rtr-x' }, { id: null }])
    assert.equal(readAdvertisement({ ...good, ...bad }), undefined);
  const named = readAdvertisement({ ...good, n: `\u001b]0;pwn\u0007\u202e${'x'.repeat(100)}`, more: true });
  assert.equal(named?.name, `]0;pwn${'x'.repeat(44)}`);
  assert.equal(Buffer.byteLength(advertisementText({ id, name: '手'.repeat(99), isPairing: true })['n'] ?? ''), 150);
});

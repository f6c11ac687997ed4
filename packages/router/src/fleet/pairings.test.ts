import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { firstName } from './device-name.ts';
import type { PairingState } from '../core/devices.ts';
import { maxOpenPairings, Pairings } from './pairings.ts';
import { primitives } from './router-key.ts';

function opened() {
  const clock = new FakeClock();
  const ends: PairingState[] = [];
  let id = 0;
  const newId = (): string => String(id++);
  const pairings = new Pairings({ clock, primitives, newId, onEnd: ({ state }) => ends.push(state) });
  return { clock, pairings, ends };
}

test('a pairing is used once, and ends when its time is over', () => {
  const { clock, pairings, ends } = opened();
  const { pairing } = pairings.open(1000);
  assert.equal(pairings.use(pairing.id, 'dev-1'), true);
  assert.equal(pairings.use(pairing.id, 'dev-2'), false);
  assert.deepEqual(pairings.find(pairing.id)?.device, 'dev-1');
  const second = pairings.open(1000).pairing.id;
  clock.advance(999);
  assert.equal(pairings.keys().length, 1);
  clock.advance(1);
  assert.equal(pairings.use(second, 'dev-1'), false);
  assert.deepEqual(ends, ['used', 'expired']);
});

test('a fifth open pairing is refused with 429', () => {
  const { pairings } = opened();
  for (let open = 0; open < maxOpenPairings; open++) pairings.open(1000);
  assert.throws(() => pairings.open(1000), { status: 429 });
});

test('five wrong guesses end every pairing that is open then, and no later one', () => {
  const { pairings, ends } = opened();
  pairings.open(1000);
  pairings.open(1000);
  for (let guess = 0; guess < 4; guess++) pairings.guessed();
  assert.deepEqual(ends, []);
  pairings.guessed();
  assert.deepEqual(ends, ['locked', 'locked']);
  pairings.open(1000);
  pairings.guessed();
  assert.equal(pairings.keys().length, 1);
});

test('the first name is plain, not too long, and unique', () => {
  const taken = new Set(['pixel-8', 'device']);
  const name = (said?: string): string => firstName(said, (wanted) => taken.has(wanted));
  assert.deepEqual(['Pixel 8', 'Müllers  Téléphone!', '', undefined, '手机', 'a'.repeat(80)].map(name), [
    'pixel-8-2',
    'mullers-telephone',
    'device-2',
    'device-2',
    'device-2',
    'a'.repeat(28),
  ]);
});

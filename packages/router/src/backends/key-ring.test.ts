import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { type ApiKey, KeyRing } from './key-ring.ts';

const none: ReadonlySet<ApiKey> = new Set();

function setUp(): { clock: FakeClock; ring: KeyRing; pick: (tried?: ReadonlySet<ApiKey>) => ApiKey } {
  const clock = new FakeClock();
  const ring = new KeyRing(['a', 'b'], clock);
  const pick = (tried = none): ApiKey => {
    const key = ring.pick(tried);
    assert.ok(key !== undefined);
    return key;
  };
  return { clock, ring, pick };
}

test('one key is used until it is limited, then the next until its own time', () => {
  const { clock, ring, pick } = setUp();
  assert.equal(pick().value, 'a');
  assert.equal(pick().value, 'a');
  ring.limit(pick(), 1000);
  assert.equal(pick().value, 'b');
  assert.equal(ring.waitMs, 0);
  ring.limit(pick(), 400);
  assert.equal(ring.pick(none), undefined);
  assert.equal(ring.waitMs, 400);
  clock.advance(400);
  assert.equal(pick().value, 'b');
  ring.limit(pick(), 10_000);
  clock.advance(600);
  assert.equal(pick().value, 'a');
});

test('a refused key goes last but is not lost', () => {
  const { ring, pick } = setUp();
  const first = pick();
  ring.refuse(first);
  const second = pick();
  assert.equal(second.value, 'b');
  ring.refuse(second);
  assert.equal(pick().value, 'a');
});

test('refusing a limited key does not free it', () => {
  const { ring, pick } = setUp();
  const first = pick();
  ring.limit(first, 1000);
  ring.refuse(first);
  assert.equal(pick().value, 'b');
  assert.equal(ring.pick(new Set([pick()])), undefined);
});

test('a ring without keys has none to offer and none to wait for', () => {
  const ring = new KeyRing([], new FakeClock());
  assert.equal(ring.pick(none), undefined);
  assert.equal(ring.waitMs, 0);
});

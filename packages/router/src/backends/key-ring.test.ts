import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { BackendError } from '../core/errors.ts';
import { KeyRing } from './key-ring.ts';

function setUp(secrets: readonly string[] = ['a', 'b']): { clock: FakeClock; ring: KeyRing } {
  const clock = new FakeClock();
  return { clock, ring: new KeyRing('server', secrets, clock) };
}

function exhausted(ring: KeyRing, model = 'm'): BackendError {
  try {
    ring.take(model);
  } catch (error) {
    assert.ok(error instanceof BackendError, String(error));
    return error;
  }
  return assert.fail('a key was free');
}

const all = (delayMs: number) => ({ delayMs, isPerModel: false });

test('one key is used until it is limited, then the next until its own time', () => {
  const { clock, ring } = setUp();
  assert.equal(ring.take('m').secret, 'a');
  ring.take('m').limited(all(1000));
  assert.equal(ring.take('m').secret, 'b');
  ring.take('m').limited(all(400));
  assert.equal(exhausted(ring).retryAfterMs, 400);
  assert.equal(exhausted(ring).fault, 'rate_limit');
  clock.advance(400);
  assert.equal(ring.take('m').secret, 'b');
  ring.take('m').limited(all(10_000));
  clock.advance(600);
  assert.equal(ring.take('m').secret, 'a');
});

test('no key rests for longer than a day on the word of its provider', () => {
  const { clock, ring } = setUp(['a']);
  ring.take('m').limited(all(1.7e12));
  assert.equal(exhausted(ring).retryAfterMs, 86_400_000);
  clock.advance(86_400_000);
  ring.take('m').limited({ delayMs: 1e15, isPerModel: true });
  assert.equal(exhausted(ring).retryAfterMs, 86_400_000);
});

test('a limit of one model leaves the key to the others', () => {
  const { ring } = setUp(['a']);
  ring.take('m').limited({ delayMs: 1000, isPerModel: true });
  assert.equal(exhausted(ring).model, 'm');
  assert.equal(ring.take('n').secret, 'a');
});

test('a refused key rests, twice as long each time, until it serves again', () => {
  const { clock, ring } = setUp(['a']);
  ring.take('m').refused();
  assert.equal(exhausted(ring).fault, 'auth');
  clock.advance(60_000);
  ring.take('m').refused();
  clock.advance(60_000);
  assert.equal(exhausted(ring).fault, 'auth');
  clock.advance(60_000);
  ring.take('m').succeeded();
  assert.equal(ring.refused, 0);
});

test('a key tried for this request is passed over', () => {
  const { ring } = setUp();
  assert.equal(ring.take('m', new Set(['a'])).secret, 'b');
});

test('a server that takes no key is never without one because it refused', () => {
  const { ring } = setUp([]);
  ring.take('m').refused();
  assert.equal(ring.take('m').secret, undefined);
});

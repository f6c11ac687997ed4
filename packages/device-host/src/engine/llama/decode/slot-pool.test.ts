import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlotPool } from './slot-pool.ts';

type Tokens = Parameters<SlotPool['warm']>[0];

const never = new AbortController().signal;
/** Sixteen tokens each. */
const [ann, bob] = [text('a'.repeat(16)), text('b'.repeat(16))];

/** A sequence whose tokens are set by `read`, as a run would. */
class FakeSequence {
  contextTokens: Tokens[number][] = [];
  needsCheckpoints = false;
  failing = false;

  get nextTokenIndex(): number {
    return this.contextTokens.length;
  }

  read(tokens: Tokens): void {
    this.contextTokens.push(...tokens.slice(this.contextTokens.length));
  }

  async clearHistory(): Promise<void> {
    await this.eraseContextTokenRanges([{ start: 0, end: this.nextTokenIndex }]);
  }

  async eraseContextTokenRanges([range]: readonly { readonly start: number; readonly end: number }[]): Promise<void> {
    await Promise.resolve();
    if (this.failing) throw new Error('no memory');
    if (range !== undefined) this.contextTokens.splice(range.start, range.end - range.start);
  }
}

function text(value: string): Tokens {
  return Array.from(value, (char) => Object(char.charCodeAt(0)).valueOf());
}

test('a waiter that leaves as a slot is freed does not take the turn of the next', async () => {
  for (let ticks = 0; ticks < 10; ticks++) {
    const pool = new SlotPool([new FakeSequence()]);
    const first = await pool.acquire(ann, 'ann', never);
    const leaving = new AbortController();
    const second = pool.acquire(ann, 'ann', leaving.signal).then(
      (lease) => lease.release(Promise.resolve()),
      () => {},
    );
    const third = pool.acquire(ann, 'ann', never);
    first.release(Promise.resolve());
    for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
    leaving.abort();
    await second;
    const lease = await third;
    lease.release(Promise.resolve());
    await pool.settled();
    assert.equal(pool.busy, 0);
  }
});

test('slots are given in the order they were asked for', async () => {
  const pool = new SlotPool([new FakeSequence()]);
  const first = await pool.acquire(ann, 'ann', never);
  const order: string[] = [];
  const ask = async (name: string): Promise<void> => {
    const lease = await pool.acquire(bob, name, never);
    order.push(name);
    lease.release(Promise.resolve());
  };
  const waiting = [ask('second'), ask('third')];
  first.release(Promise.resolve());
  await pool.settled();
  waiting.push(ask('late'));
  await Promise.all(waiting);
  assert.deepEqual(order, ['second', 'third', 'late']);
});

test("a slot that could not be cleared stays the other client's", async () => {
  const sequence = new FakeSequence();
  const pool = new SlotPool([sequence]);
  const first = await pool.acquire(ann, 'ann', never);
  sequence.read(ann);
  first.release(Promise.resolve());
  await pool.settled();
  sequence.failing = true;
  await assert.rejects(pool.acquire(bob, 'bob', never), /no memory/);
  assert.equal(pool.busy, 0);
  assert.equal(pool.warm(ann, 'bob'), 0);
  assert.equal(pool.warm(ann, 'ann'), 8);
  sequence.failing = false;
  const again = await pool.acquire(ann, 'bob', never);
  assert.equal(again.reused, 0);
  assert.deepEqual(sequence.contextTokens, []);
});

test('a sequence that cannot be cut is continued or begun anew', async () => {
  const sequence = new FakeSequence();
  sequence.needsCheckpoints = true;
  const pool = new SlotPool([sequence]);
  const first = await pool.acquire(ann, 'ann', never);
  sequence.read(ann);
  first.release(Promise.resolve());
  await pool.settled();
  assert.equal(pool.warm([...ann, ...bob], 'ann'), 16);
  assert.equal(pool.warm([...ann.slice(0, 10), ...bob], 'ann'), 0);
});

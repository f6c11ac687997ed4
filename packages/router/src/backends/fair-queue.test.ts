import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairQueue } from './fair-queue.ts';

const order = (queue: FairQueue<string>): string => Array.from(queue.inOrder(), ({ item }) => item).join(' ');

function queueOf(...items: string[]): FairQueue<string> {
  const queue = new FairQueue<string>();
  for (const item of items) queue.add(item.charAt(0), item);
  return queue;
}

test('owners take turns and each keeps its order', () => {
  const queue = queueOf('a1', 'a2', 'a3', 'b1', 'c1', 'c2');
  assert.equal(order(queue), 'a1 b1 c1 a2 c2 a3');
  assert.equal(queue.size, 6);
});

test('an owner that was served goes to the end of the round', () => {
  const queue = queueOf('a1', 'a2', 'b1', 'b2');
  assert.equal(queue.delete('a', 'a1', true), true);
  assert.equal(order(queue), 'b1 a2 b2');
});

test('an owner whose item gave up keeps its turn', () => {
  const queue = queueOf('a1', 'a2', 'b1');
  queue.delete('a', 'a1', false);
  assert.equal(order(queue), 'a2 b1');
});

test('what is not there is not deleted', () => {
  const queue = queueOf('a1');
  assert.equal(queue.delete('b', 'a1', true), false);
  queue.delete('a', 'a1', true);
  assert.equal(queue.delete('a', 'a1', true), false);
  assert.equal(queue.size, 0);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AffinityCandidate, homeOf } from './affinity.ts';

const idle = (id: string): AffinityCandidate => ({ id, load: 0, queued: 0 });
const four = ['a', 'b', 'c', 'd'].map(idle);
const conversations = Array.from({ length: 1_000 }, (_each, index) => `key\nconversation ${index}`);
const homes = (candidates: readonly AffinityCandidate[]) => conversations.map((each) => homeOf(candidates, each)?.id);

test('conversations are spread over all, whatever the order in which a router knows them', () => {
  const found = homes(four);
  for (const { id } of four) {
    const share = found.filter((home) => home === id).length / conversations.length;
    assert.ok(share > 0.2 && share < 0.3, `${id} has ${share}`);
  }
  assert.deepEqual(homes(four.toReversed()), found);
});

test('one that goes moves its own conversations alone', () => {
  const before = homes(four);
  const after = homes(four.slice(1));
  before.forEach((home, index) => home !== 'a' && assert.equal(after[index], home));
});

test('one with far more than the others is passed over, and comes back into its own', () => {
  const busy = four.map((each) => (each.id === 'a' ? { ...each, load: 40 } : { ...each, load: 8 }));
  assert.ok(!homes(busy).includes('a'));
  const evenly = four.map((each) => ({ ...each, load: 40 }));
  assert.deepEqual(homes(evenly), homes(four));
});

test('one with a queue is passed over while others have none', () => {
  const queued = four.map((each) => (each.id === 'a' ? { ...each, load: 3, queued: 1 } : each));
  assert.ok(!homes(queued).includes('a'));
  const everywhere = four.map((each) => ({ ...each, load: 3, queued: 1 }));
  assert.deepEqual(homes(everywhere), homes(four));
});

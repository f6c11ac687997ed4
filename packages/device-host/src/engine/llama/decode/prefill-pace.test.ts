import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PrefillPace } from './prefill-pace.ts';

test('chunks take about 150 ms beside other streams and twice that alone', () => {
  const pace = new PrefillPace();
  pace.add(100, 1000);
  assert.equal(pace.chunkTokens(false), 15);
  assert.equal(pace.chunkTokens(true), 30);
});

test('a slow machine still reads 8 tokens at a time, a fast one no more than a batch', () => {
  const slow = new PrefillPace();
  slow.add(1, 1000);
  assert.equal(slow.chunkTokens(false), 8);
  const fast = new PrefillPace();
  fast.add(100_000, 1000);
  assert.equal(fast.chunkTokens(true), 512);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PrefillPace, Rate } from './prefill-pace.ts';

test('chunks take about 150 ms beside other streams and twice that alone, in steps of 8 tokens', () => {
  const pace = new PrefillPace();
  pace.add(100, 1000);
  assert.equal(pace.chunkTokens(false), 16);
  assert.equal(pace.chunkTokens(true), 32);
});

test('a slow machine still reads 8 tokens at a time, a fast one no more than a batch', () => {
  const slow = new PrefillPace();
  slow.add(1, 1000);
  assert.equal(slow.chunkTokens(false), 8);
  const fast = new PrefillPace();
  fast.add(100_000, 1000);
  assert.equal(fast.chunkTokens(true), 512);
});

test('a short sample does not rule the rate: tokens weigh, not samples', () => {
  const rate = new Rate();
  rate.add(1500, 15_000);
  rate.add(7, 700);
  assert.ok(Math.abs((rate.perSecond ?? 0) - 95.7) < 1, `${rate.perSecond}`);
});

test('what a machine did before fades', () => {
  const rate = new Rate();
  rate.add(100, 1000);
  for (let sample = 0; sample < 40; sample++) rate.add(100, 10_000);
  assert.ok((rate.perSecond ?? 0) < 11, `${rate.perSecond}`);
});

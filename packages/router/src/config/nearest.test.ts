import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from './nearest.ts';

test('the nearest word is suggested, whatever its spelling style', () => {
  assert.equal(nearest('prot', ['port', 'host']), 'port');
  assert.equal(nearest('maxLocalTokens', ['max_hold_ms', 'max_local_tokens']), 'max_local_tokens');
  assert.equal(nearest('max-hold-ms', ['max_hold_ms']), 'max_hold_ms');
});

test('nothing is suggested when nothing is near', () => {
  assert.equal(nearest('zebra', ['port', 'host']), undefined);
  assert.equal(nearest('x', []), undefined);
});

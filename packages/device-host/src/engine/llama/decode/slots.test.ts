import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseSlot, readStep, reusableTokens, type SlotContents } from './slots.ts';

function slot(tokens: string, more: Partial<SlotContents<string>> = {}): SlotContents<string> {
  return { tokens: prompt(tokens), key: 'ann', shared: 0, used: 1, canCut: true, ...more };
}

/** Each letter stands for as many tokens as are read at once. */
function prompt(letters: string): string[] {
  return Array.from(letters).flatMap((letter) => Array.from({ length: readStep }, () => letter));
}

test('the slot with the longest common prefix is chosen', () => {
  const slots = [slot('abX'), slot('abcdX'), slot('')];
  assert.equal(chooseSlot<SlotContents<string>, string>(slots, prompt('abcdef'), 'ann'), slots[1]);
});

test('without a common prefix an empty slot is taken before a warm one, then the one unused for longest', () => {
  const slots = [slot('xyz', { used: 3 }), slot('uvw', { used: 2 }), slot('', { used: 9 })];
  assert.equal(chooseSlot<SlotContents<string>, string>(slots, prompt('abc'), 'ann'), slots[2]);
  assert.equal(chooseSlot<SlotContents<string>, string>(slots.slice(0, 2), prompt('abc'), 'ann'), slots[1]);
  assert.equal(chooseSlot<SlotContents<string>, string>([], prompt('abc'), 'ann'), undefined);
});

test("another client's prompt is never reused", () => {
  assert.equal(reusableTokens(slot('abcdef'), prompt('abcdef?'), 'bob'), 0);
});

test("the operator's own prefix is open to everyone, also after a client used the slot", () => {
  assert.equal(reusableTokens(slot('abcd', { key: undefined }), prompt('abcdef'), 'bob'), 4 * readStep);
  assert.equal(
    reusableTokens(slot('abcdSECRET', { shared: 4 * readStep }), prompt('abcdSECRET?'), 'bob'),
    4 * readStep,
  );
});

test('the last tokens of a prompt are always computed', () => {
  assert.equal(reusableTokens(slot('abc'), prompt('abc'), 'ann'), 2 * readStep);
});

test('a prefix is reused in whole steps, so that a warm prompt is computed as a cold one is', () => {
  assert.equal(reusableTokens(slot('abc'), [...prompt('ab').slice(0, -1), 'x', 'y'], 'ann'), readStep);
});

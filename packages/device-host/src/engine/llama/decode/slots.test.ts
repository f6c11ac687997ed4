import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseSlot, reusableTokens, type SlotContents } from './slots.ts';

function slot(tokens: string, more: Partial<SlotContents<string>> = {}): SlotContents<string> {
  return { tokens: Array.from(tokens), key: 'ann', shared: 0, used: 1, ...more };
}

test('the slot with the longest common prefix is chosen', () => {
  const slots = [slot('abX'), slot('abcdX'), slot('')];
  assert.equal(chooseSlot<SlotContents<string>, string>(slots, Array.from('abcdef'), 'ann'), slots[1]);
});

test('without a common prefix an empty slot is taken before a warm one, then the one unused for longest', () => {
  const slots = [slot('xyz', { used: 3 }), slot('uvw', { used: 2 }), slot('', { used: 9 })];
  assert.equal(chooseSlot<SlotContents<string>, string>(slots, Array.from('abc'), 'ann'), slots[2]);
  assert.equal(chooseSlot<SlotContents<string>, string>(slots.slice(0, 2), Array.from('abc'), 'ann'), slots[1]);
  assert.equal(chooseSlot<SlotContents<string>, string>([], Array.from('abc'), 'ann'), undefined);
});

test("another client's prompt is never reused", () => {
  assert.equal(reusableTokens(slot('abcdef'), Array.from('abcdef?'), 'bob'), 0);
});

test("the operator's own prefix is open to everyone, also after a client used the slot", () => {
  assert.equal(reusableTokens(slot('abcd', { key: undefined }), Array.from('abcdef'), 'bob'), 4);
  assert.equal(reusableTokens(slot('abcdSECRET', { shared: 4 }), Array.from('abcdSECRET?'), 'bob'), 4);
});

test('the last token of a prompt is always computed', () => {
  assert.equal(reusableTokens(slot('abc'), Array.from('abc'), 'ann'), 2);
});

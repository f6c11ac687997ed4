import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReasoningSplitter } from './reasoning-splitter.ts';

/** Thinking and answer of a text, whole and character by character. */
function split(text: string, isInside = false): { reasoning: string; text: string } {
  const results = [[text], Array.from(text)].map((pieces) => {
    const splitter = new ReasoningSplitter(isInside);
    const found = [...pieces.flatMap((piece) => splitter.push(piece)), ...splitter.end()];
    const joined = (k: 'text' | 'reasoning'): string => found.map((one) => (one.k === k ? one.text : '')).join('');
    return { reasoning: joined('reasoning'), text: joined('text') };
  });
  const [whole, byCharacter] = results;
  assert.deepEqual(byCharacter, whole);
  assert.ok(whole !== undefined);
  return whole;
}

test('thinking at the start of an answer is set apart', () => {
  assert.deepEqual(split('<think>Is 2 < 3?</think>Yes.'), { reasoning: 'Is 2 < 3?', text: 'Yes.' });
});

test('thinking the prompt began ends at the closing tag', () => {
  assert.deepEqual(split('Hm.</think>\n\nYes.', true), { reasoning: 'Hm.', text: '\n\nYes.' });
});

test('an answer without thinking is text, tags inside it included', () => {
  assert.deepEqual(split('  <b>Use <think>.'), { reasoning: '', text: '  <b>Use <think>.' });
  assert.deepEqual(split(' <thi'), { reasoning: '', text: ' <thi' });
});

test('thinking that is cut off stays thinking', () => {
  assert.deepEqual(split('<think>Hm </th'), { reasoning: 'Hm </th', text: '' });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { estimateTokens } from './estimate-tokens.ts';

/** Texts with what the tokenizer of Qwen2.5 makes of them. */
const counted: readonly (readonly [string, number])[] = [
  ['2 + 2 equals 4.', 8],
  ['The capital of Australia is Canberra.', 7],
  ['123 + 456 equals 579.', 14],
  ['17 multiplied by 23 equals 401.', 13],
  ['1234567890'.repeat(10), 100],
];

for (const [text, tokens] of counted) {
  test(`"${text.slice(0, 24)}" is within a quarter of its ${tokens} tokens`, () => {
    assert.ok(Math.abs(estimateTokens(text) / tokens - 1) <= 0.25, `${estimateTokens(text)}`);
  });
}

// Qwen2.5 counts half a token a character; other vocabularies three quarters.
test('Chinese is charged on the safe side, not at a quarter of a token a character', () => {
  const share = estimateTokens('今天天气怎么样我想去公园散步') / 14;
  assert.ok(share > 0.55 && share < 0.9, `${share}`);
});

test('nothing costs nothing', () => assert.equal(estimateTokens(''), 0));

test('a long text is sampled and still comes out in proportion', () => {
  const page = 'The quick brown fox jumps over 13 lazy dogs. ';
  const ratio = estimateTokens(page.repeat(20_000)) / (estimateTokens(page.repeat(100)) * 200);
  assert.ok(ratio > 0.95 && ratio < 1.05, `${ratio}`);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NameRule, nameRuleFinder } from './names.ts';

test('what is between stars must stand as whole words', () => {
  const ruleOf = nameRuleFinder(() => []);
  const found: readonly (readonly [string, boolean])[] = [
    ['claude-haiku-4-5-20251001', true],
    ['gpt-5-mini', true],
    ['GPT-5-MINI', true],
    ['gemini-3-flash-lite', true],
    ['gemini-3-pro', false],
    ['minimax-m2', false],
    ['o4-minimal', false],
  ];
  for (const [name, isFound] of found) assert.equal(ruleOf(name) !== undefined, isFound, name);
});

test('the operator’s rules come after the built-in ones, the last match wins, and a reload counts', () => {
  let own: readonly NameRule[] = [
    { match: '*haiku*', mode: 'cloud' },
    { match: 'gpt*', mode: 'local' },
  ];
  const ruleOf = nameRuleFinder(() => own);
  assert.deepEqual([ruleOf('claude-haiku-5')?.mode, ruleOf('gpt-6')?.mode], ['cloud', 'local']);
  own = [];
  assert.deepEqual([ruleOf('claude-haiku-5')?.mode, ruleOf('gpt-6')?.mode], ['auto', undefined]);
});

test('signs of patterns in a rule are taken as they stand', () => {
  const ruleOf = nameRuleFinder(() => [{ match: 'a.b(c*', mode: 'auto' }]);
  assert.deepEqual([ruleOf('a.b(c')?.mode, ruleOf('axb(c')?.mode], ['auto', undefined]);
});

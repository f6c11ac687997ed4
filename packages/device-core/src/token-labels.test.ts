import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { labelTokens, type LabelledToken } from './token-labels.ts';

const tools = [{ name: 'get_weather' }, { name: 'add' }];

/** Labels with their pieces, neighbours of one label joined: `label:text`. */
function read(pieces: readonly string[]): readonly string[] {
  const joined: Array<[string, string]> = [];
  for (const [index, { label }] of labelTokens(pieces, tools).entries()) {
    const last = joined.at(-1);
    if (last?.[0] === label) last[1] += pieces[index] ?? '';
    else joined.push([label, pieces[index] ?? '']);
  }
  return joined.map(([label, text]) => `${label}:${text}`);
}

/** Splits as a tokenizer would: words, spaces before words, single marks. */
function split(text: string): readonly string[] {
  return text.match(/<[|/]?\w+[|]?>|```| ?[A-Za-z]+|_[a-z]+|\d|[^\w\s<,]+\n?|[<,]|\s+/gu) ?? [];
}

const call = '{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}';

test('a tagged call: tag, name, keys, values, choices after values, end', () => {
  assert.deepEqual(read(split(`<tool_call>\n${call}\n</tool_call><|im_end|>`)), [
    'decision:<tool_call>\n{"',
    'structure:name": "',
    'name:get_weather',
    'structure:", "arguments": {"',
    'key:city',
    'structure:": "',
    'value:Paris',
    'after-value:",',
    'structure: "',
    'key:days',
    'structure:": ',
    'value:3',
    'after-value:}}\n',
    'stop:</tool_call><|im_end|>',
  ]);
});

test('bare JSON, a fence and another order of keys are read alike', () => {
  const values = (text: string): readonly string[] => read(split(text)).filter((part) => /^(?:name|value)/.test(part));
  const expected = ['name:get_weather', 'value:Paris', 'value:3'];
  assert.deepEqual(values(call), expected);
  assert.deepEqual(values(`\`\`\`json\n${call}\n\`\`\``), expected);
  assert.deepEqual(values(`[${call}]`), expected);
  assert.deepEqual(values(`{"type": "function", "function": ${call}}`), expected);
  const reversed = '{"arguments": {"city": "Paris", "days": 3}, "name": "get_weather"}';
  assert.deepEqual(values(reversed), ['value:Paris', 'value:3', 'name:get_weather']);
});

test("FunctionGemma's form is read", () => {
  const text = '<start_function_call>call:get_weather{city:<escape>Paris<escape>,days:3}<end_function_call>';
  assert.deepEqual(read(split(text)), [
    'decision:<start_function_call>call:',
    'name:get_weather',
    'structure:{',
    'key:city',
    'structure::<escape>',
    'value:Paris',
    'after-value:<escape>,',
    'key:days',
    'structure::',
    'value:3',
    'after-value:}',
    'stop:<end_function_call>',
  ]);
});

test('several calls have indices, whether tagged, in a list or one a line', () => {
  const second = '{"name": "add", "arguments": {"a": 1}}';
  for (const text of [
    `<tool_call>\n${call}\n</tool_call>\n<tool_call>\n${second}\n</tool_call>`,
    `[${call}, ${second}]`,
    `\`\`\`json\n${call}\n${second}\n\`\`\``,
    `${call}\n${second}`,
  ]) {
    const labels = labelTokens(split(text), tools);
    const ofNames = labels.filter(({ label }) => label === 'name').map((token) => token.call);
    assert.deepEqual(ofNames, [0, 0, 1], text);
    assert.deepEqual(new Set(labels.flatMap(({ argument }) => argument ?? [])), new Set(['city', 'days', 'a']), text);
  }
});

test('lists and objects within an argument are value whole, under the name of the argument', () => {
  const text = '{"name": "add", "arguments": {"a": [1, 2], "b": {"c": "d"}}}';
  const labels = labelTokens(split(text), tools);
  const of = (name: string): string =>
    split(text)
      .filter((_piece, index) => labels[index]?.label === 'value' && labels[index].argument === name)
      .join('');
  assert.equal(of('a'), '[1, 2]');
  assert.match(of('b'), /^\{"c": d/);
});

test('text, JSON that is no call and code are text; thinking is reasoning', () => {
  assert.deepEqual(read(split('It is sunny.<|im_end|>')), ['text:It is sunny.<|im_end|>']);
  assert.deepEqual(read(split('{"temperature": 21}')), ['text:{"temperature": 21}']);
  assert.deepEqual(read(split('```python\nprint({})\n```')), ['text:```python\nprint({})\n```']);
  const [thought, , start] = read(split(`<think>Hm, a call.</think>\n${call}`));
  assert.equal(thought, 'reasoning:<think>Hm, a call.</think>');
  assert.equal(start, `decision:{"`);
});

test('a call that the end of the answer cuts off is labelled as far as it goes', () => {
  const whole = split(call);
  for (let length = 12; length < whole.length; length += 1) {
    const cut = labelTokens(whole.slice(0, length), tools);
    assert.ok(
      cut.some(({ label }) => label === 'name'),
      whole.slice(0, length).join(''),
    );
  }
});

test('a token that holds a part of a character has the label of the character', () => {
  const pieces = ['{"name": "', 'add', '", "arguments": {"', 'a', '": "', '', '', '🙂', '"}}'];
  const labels = labelTokens(pieces, tools).map(({ label }) => label);
  assert.deepEqual(labels.slice(5), ['value', 'value', 'value', 'after-value']);
});

test('every token of any text has a label, and labels do not depend on how a call is split', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('{', '}', '"', 'name', ':', 'add', ',', '[', '```', '\n', 'é')), (pieces) => {
      assert.equal(labelTokens(pieces, tools).length, pieces.length);
    }),
  );
  const characters = labelTokens(Array.from(call), tools);
  const text = (wanted: LabelledToken['label']): string =>
    Array.from(call)
      .filter((_char, index) => characters[index]?.label === wanted)
      .join('');
  assert.equal(text('name'), 'get_weather');
  assert.equal(text('value'), 'Paris3');
});

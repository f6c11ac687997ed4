import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineError } from '../engine/engine.ts';
import { AnswerWriter, type WriterOptions } from './answer-writer.ts';
import { mostBlank, mostRepeated } from './loop-guard.ts';

function writer(more: Partial<WriterOptions> = {}): AnswerWriter {
  return new AnswerWriter({
    tools: [],
    stop: [],
    taken: 'raw',
    scoredTokens: Infinity,
    newCallId: () => 'call_x',
    isThinking: false,
    checks: {},
    ...more,
  });
}

test('scores leave before the text they belong to', () => {
  assert.deepEqual(writer().push('Hi', { token: 'Hi', lp: -0.5 }), [
    { k: 'scores', of: 'text', taken: 'raw', scores: [{ token: 'Hi', lp: -0.5 }] },
    { k: 'text', text: 'Hi' },
  ]);
});

test('scores of held text wait until it is known to be a call', () => {
  const parts = writer({ tools: ['f'] });
  assert.deepEqual(parts.push('{"', { token: '{"', lp: -1 }), []);
  assert.deepEqual(parts.push('name": "f"', { token: 'name": "f"', lp: -2 }), [
    {
      k: 'scores',
      of: 'call',
      taken: 'raw',
      scores: [
        { token: '{"', lp: -1 },
        { token: 'name": "f"', lp: -2 },
      ],
    },
  ]);
  assert.deepEqual(parts.push('}'), [
    { k: 'call', index: 0, id: 'call_x', name: 'f' },
    { k: 'args', index: 0, json: '{}' },
    { k: 'call_end', index: 0, repaired: true },
  ]);
  assert.deepEqual(parts.end('stopped'), []);
  assert.equal(parts.calls, 1);
});

test('scores wait also while a tag may still begin thinking', () => {
  const parts = writer({ tools: ['f'] });
  assert.deepEqual(parts.push('<', { token: '<', lp: -1 }), []);
  assert.deepEqual(parts.push('tool_call>', { token: 'tool_call>', lp: -2 }), [
    {
      k: 'scores',
      of: 'call',
      taken: 'raw',
      scores: [
        { token: '<', lp: -1 },
        { token: 'tool_call>', lp: -2 },
      ],
    },
  ]);
});

test('without tools a call is text', () => {
  assert.deepEqual(writer().push('<tool_call>{"name":"f"}'), [{ k: 'text', text: '<tool_call>{"name":"f"}' }]);
});

test('a stop sequence ends text but not a call', () => {
  const text = writer({ tools: ['f'], stop: ['}'] });
  assert.deepEqual(text.push('x}y'), [{ k: 'text', text: 'x' }]);
  assert.equal(text.stopped, true);
  const call = writer({ tools: ['f'], stop: ['}'] });
  assert.equal(call.push('{"name": "f", "arguments": {"a": {}}}').length, 3);
  assert.equal(call.stopped, false);
});

test('text after a call ends the answer and is no part of it, a second call is', () => {
  const parts = writer({ tools: ['f'] });
  const call = '<tool_call>{"name": "f", "arguments": {}}</tool_call>';
  assert.equal(parts.push(`Let me see. ${call}\n${call}\n`).length, 7);
  assert.equal(parts.stopped, false);
  parts.push('{"', { token: '{"', lp: -1 });
  assert.deepEqual(parts.push('sky": "sunny"}', { token: 'sky": "sunny"}', lp: -1 }), []);
  assert.equal(parts.stopped, true);
  assert.deepEqual(parts.end('stopped'), []);
});

test('a call cut off has no end', () => {
  const parts = writer({ tools: ['f'] });
  parts.push('<tool_call>{"name": "f", "arguments": {"a": 1');
  assert.deepEqual(parts.end('cut'), [
    { k: 'call', index: 0, id: 'call_x', name: 'f' },
    { k: 'args', index: 0, json: '{"a": 1' },
  ]);
});

test('an answer the grammar cannot vouch for is held, checked and shown or refused', () => {
  const checks = { isValidText: (value: unknown) => value === 3 };
  const good = writer({ checks });
  assert.deepEqual(good.push('3'), []);
  assert.deepEqual(good.end('stopped'), [{ k: 'text', text: '3' }]);
  const bad = writer({ checks });
  bad.push('4');
  assert.throws(() => bad.end('stopped'), EngineError);
  const cut = writer({ checks });
  cut.push('4');
  assert.deepEqual(cut.end('cut'), [{ k: 'text', text: '4' }]);
});

test('a call that violates its schema is refused before a part of it is shown', () => {
  const parts = writer({ tools: ['f'], checks: { isValidCall: () => false } });
  assert.throws(() => parts.push('{"name": "f", "arguments": {}}'), EngineError);
});

test('thinking is no text: neither searched for calls nor stopped', () => {
  const parts = writer({ tools: ['f'], stop: ['!'] });
  assert.deepEqual(parts.push('<think>{"name": "f"}!</think>Yes'), [
    { k: 'reasoning', text: '{"name": "f"}!' },
    { k: 'text', text: 'Yes' },
  ]);
});

test('only the first text tokens want a score, what may begin a call is scored until that is known', () => {
  const parts = writer({ tools: ['f'], scoredTokens: 2 });
  const wanted = ['It', ' is', ' so'].map((text) => {
    const { wantsScore } = parts;
    parts.push(text, wantsScore ? { token: text, lp: -1 } : undefined);
    return wantsScore;
  });
  assert.deepEqual(wanted, [true, true, false]);
  const undecided = writer({ tools: ['f'], scoredTokens: 1 });
  undecided.push('{"', { token: '{"', lp: -1 });
  assert.ok(undecided.wantsScore);
  undecided.push('age', { token: 'age', lp: -1 });
  assert.ok(!undecided.wantsScore);
});

test('a call begun among the scored tokens is scored whole', () => {
  const parts = writer({ tools: ['f'], scoredTokens: 1 });
  for (const text of ['<tool_call>', '{"name": "f", ', '"arguments": {}', '}', '</tool_call>']) {
    assert.ok(parts.wantsScore);
    assert.ok(parts.push(text, { token: text, lp: -1 }).every((part) => part.k !== 'scores' || part.of === 'call'));
  }
});

test('thinking wants no scores, the answer after it does', () => {
  const parts = writer({ scoredTokens: 1 });
  assert.deepEqual(parts.push('<think>', { token: '<think>', lp: -1 }), []);
  assert.ok(!parts.wantsScore);
  parts.push('Hm</think>');
  assert.ok(parts.wantsScore);
  assert.deepEqual(parts.push('Yes', { token: 'Yes', lp: -2 })[0], {
    k: 'scores',
    of: 'text',
    taken: 'raw',
    scores: [{ token: 'Yes', lp: -2 }],
  });
  assert.ok(!parts.wantsScore);
});

test('a model that repeats itself is over, and what it said stands as what was cut', () => {
  const parts = writer();
  let said = '';
  for (let pushed = 0; !parts.stopped; pushed++) {
    assert.ok(pushed < mostRepeated);
    for (const part of parts.push(' no')) said += part.k === 'text' ? part.text : '';
  }
  assert.ok(parts.hasLooped);
  assert.equal(said, ' no'.repeat(mostRepeated));
  assert.deepEqual(parts.end('stopped'), []);
});

test('a loop inside a call leaves it unfinished', () => {
  const parts = writer({ tools: ['f'] });
  parts.push('<tool_call>{"name": "f", "arguments": {"text": "');
  while (!parts.stopped) parts.push(' no');
  assert.ok(parts.hasLooped);
  assert.ok(parts.end('stopped').every(({ k }) => k !== 'call_end'));
});

test('under a grammar only white space is a loop, and its text is not held against the schema', () => {
  const parts = writer({ isForced: true, checks: { isValidText: () => false } });
  for (const text of ['{"zeros":[', ...Array.from({ length: 2 * mostRepeated }, () => '0,'), '0],']) parts.push(text);
  assert.ok(!parts.stopped);
  for (let blank = 0; blank < mostBlank; blank++) parts.push(' ');
  assert.ok(parts.hasLooped);
  assert.equal(parts.end('stopped').length, 1);
});

test('a stop sequence that ends a loop is its end', () => {
  const parts = writer({ stop: ['!'] });
  for (let pushed = 1; pushed < mostRepeated; pushed++) parts.push(' no');
  parts.push('!');
  assert.deepEqual([parts.stopped, parts.hasLooped], [true, false]);
});

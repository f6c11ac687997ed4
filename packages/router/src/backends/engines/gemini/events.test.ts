import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertGrammar, textOfEvents, toolCallsOf } from '@lfo/testing/event-grammar.ts';
import { BackendError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import { AnswerReader } from './events.ts';
import { ToolCallIds } from './tool-call-ids.ts';
import { ToolNames } from './tool-names.ts';
import { answerChunk } from './wire.ts';

function read(chunks: readonly object[], keepsFirstCall = false): InferenceEvent[] {
  const reader = new AnswerReader({
    backend: 'gemini',
    model: 'asked',
    names: new ToolNames(['get weather']),
    ids: new ToolCallIds(),
    keepsFirstCall,
    promptCharacters: 40,
    onSigned: () => undefined,
  });
  const events = chunks.flatMap((chunk) => reader.read(answerChunk.parse(chunk)));
  return [...events, ...reader.end()];
}

const chunk = (parts: readonly object[], rest: object = {}): object => ({
  candidates: [{ content: { parts }, ...rest }],
});
const stop = { finishReason: 'STOP' };

test("the counter of calls is the stream's, though each chunk holds one call", () => {
  const call = { functionCall: { name: 'f', args: {} } };
  const events = read([chunk([{ text: 'a' }, call]), chunk([call]), chunk([{ text: '' }], stop)]);
  assert.equal(assertGrammar(events).reason, 'tool_calls');
  assert.deepEqual(
    events.filter(({ type }) => type === 'tool-call-start').map((event) => 'index' in event && event.index),
    [0, 1],
  );
});

test('ids are at most 40 of [A-Za-z0-9], and unique', () => {
  const ids = ['abc', 'call-1_2', 'x'.repeat(90), 'abc', ''];
  const events = read([
    chunk(
      ids.map((id) => ({ functionCall: { id, name: 'f' } })),
      stop,
    ),
  ]);
  const given = toolCallsOf(events).map(({ id }) => id);
  assert.deepEqual(given.slice(0, 2), ['abc', 'call12']);
  for (const id of given) assert.match(id, /^[A-Za-z0-9]{1,40}$/);
  assert.equal(new Set(given).size, ids.length);
});

test('with one call allowed the first is kept', () => {
  const call = (name: string): object => ({ functionCall: { name, args: {} } });
  assert.deepEqual(
    toolCallsOf(read([chunk([call('a'), call('b')], stop)], true)).map(({ name }) => name),
    ['a'],
  );
});

test('thoughts are reasoning, never content, and do not make an answer', () => {
  const thought = { text: 'hm', thought: true };
  assert.equal(textOfEvents(read([chunk([thought, { text: 'x' }], stop)])), 'x');
  assert.throws(() => read([chunk([thought], stop)]), BackendError);
});

test('a limit met while thinking is a length with reasoning tokens and no content', () => {
  const usageMetadata = { promptTokenCount: 3, thoughtsTokenCount: 20 };
  const finish = assertGrammar(read([{ candidates: [{ content: {}, finishReason: 'MAX_TOKENS' }], usageMetadata }]));
  assert.deepEqual(finish, {
    type: 'finish',
    reason: 'length',
    nativeReason: 'MAX_TOKENS',
    usage: { promptTokens: 3, completionTokens: 20, reasoningTokens: 20 },
  });
});

test('a call cut off by a limit is never given as whole', () => {
  const open = {
    functionCall: {
      name: 'f',
      willContinue: true,
      partialArgs: [{ jsonPath: '$.a', stringValue: 'x', willContinue: true }],
    },
  };
  const events = read([chunk([open]), chunk([], { finishReason: 'MAX_TOKENS' })]);
  assert.equal(assertGrammar(events).reason, 'length');
  assert.deepEqual(toolCallsOf(events), []);
});

test('arguments in pieces are put together', () => {
  const piece = (partialArgs: readonly object[], willContinue = true): object =>
    chunk([{ functionCall: { partialArgs, willContinue } }]);
  const events = read([
    chunk([{ functionCall: { name: 'get_weather', willContinue: true } }]),
    piece([{ jsonPath: '$.a.b[1].c', stringValue: 'x', willContinue: true }]),
    piece([
      { jsonPath: '$.a.b[1].c', stringValue: 'y' },
      { jsonPath: "$['odd.name']", boolValue: false },
    ]),
    piece(
      [
        { jsonPath: '$.__proto__.n', numberValue: 0 },
        { jsonPath: '$.z', nullValue: 'NULL_VALUE' },
      ],
      false,
    ),
    chunk([], stop),
  ]);
  assert.equal(
    toolCallsOf(events)[0]?.json,
    '{"a":{"b":[null,{"c":"xy"}]},"odd.name":false,"__proto__":{"n":0},"z":null}',
  );
  assert.equal(Object.hasOwn(Object.prototype, 'n'), false);
});

test('counts are merged, neither lost nor summed, and nonsense is no count', () => {
  const counted = (usageMetadata: object): object => ({ ...chunk([{ text: 'x' }]), usageMetadata });
  const events = read([
    counted({ promptTokenCount: 9, candidatesTokenCount: 2, cachedContentTokenCount: 4 }),
    counted({ candidatesTokenCount: 5, thoughtsTokenCount: 3 }),
    counted({ promptTokenCount: -1, candidatesTokenCount: Infinity, thoughtsTokenCount: 'many' }),
    chunk([], stop),
  ]);
  assert.deepEqual(assertGrammar(events).usage, {
    promptTokens: 9,
    completionTokens: 8,
    reasoningTokens: 3,
    cachedTokens: 4,
  });
});

test('missing counts are estimates, marked as such', () => {
  assert.deepEqual(assertGrammar(read([chunk([{ text: '12345' }], stop)])).usage, {
    promptTokens: 10,
    completionTokens: 2,
    estimated: true,
  });
});

test('words for the end', () => {
  const reasonOf = (finishReason: string): string =>
    assertGrammar(read([chunk([{ text: 'x' }], { finishReason })])).reason;
  for (const word of [
    'SAFETY',
    'RECITATION',
    'BLOCKLIST',
    'PROHIBITED_CONTENT',
    'SPII',
    'IMAGE_SAFETY',
    'IMAGE_OTHER',
  ]) {
    assert.equal(reasonOf(word), 'content_filter');
  }
  for (const word of ['STOP', 'OTHER', 'LANGUAGE', 'NEVER_HEARD_OF', 'constructor'])
    assert.equal(reasonOf(word), 'stop');
});

test('an answer of images alone is an answer, and its images are told whole', () => {
  const inlineData = { mimeType: 'image/png', data: 'iVBORw0KGgo=' };
  const events = read([{ candidates: [{ content: { parts: [{ inlineData }] }, finishReason: 'STOP' }] }]);
  assert.deepEqual(
    events.map((event) => (event.type === 'image' ? event.url : event.type)),
    ['start', 'data:image/png;base64,iVBORw0KGgo=', 'finish'],
  );
  const odd = { mimeType: 'image/png"onerror', data: '<' };
  assert.throws(() => read([{ candidates: [{ content: { parts: [{ inlineData: odd }] }, finishReason: 'STOP' }] }]));
});

for (const [native, text, reason] of [
  ['MODEL_ARMOR', '', 'content_filter'],
  ['MODEL_ARMOR', 'Hel', 'content_filter'],
  ['NEVER_HEARD_OF', '', 'content_filter'],
  ['NEVER_HEARD_OF', 'Hello.', 'stop'],
] as const) {
  test(`${native} ${text === '' ? 'without content' : 'after content'} is ${reason}`, () => {
    const events = read([{ candidates: [{ content: { parts: [{ text }] }, finishReason: native }] }]);
    const finish = events.at(-1);
    assert.ok(finish?.type === 'finish');
    assert.deepEqual([finish.reason, finish.nativeReason], [reason, native]);
  });
}

test('an answer without an end is cut, an empty one unusable', () => {
  const fault = (chunks: readonly object[]): string => {
    try {
      return assertGrammar(read(chunks)).reason;
    } catch (error) {
      return error instanceof BackendError ? error.fault : String(error);
    }
  };
  assert.equal(fault([chunk([{ text: 'x' }])]), 'cut');
  assert.equal(fault([]), 'cut');
  assert.equal(fault([{ candidates: [{ content: {}, finishReason: 'STOP' }] }]), 'unusable');
  assert.equal(fault([{ candidates: [{ finishReason: 'SAFETY' }] }]), 'content_filter');
});

test('scores come before the text they belong to, never above zero', () => {
  const logprobsResult = {
    chosenCandidates: [{ token: 'x', logProbability: 0.00001 }],
    topCandidates: [{ candidates: [{ token: 'y', logProbability: -2 }] }],
  };
  const events = read([chunk([{ text: 'x' }], { ...stop, logprobsResult })]);
  assertGrammar(events);
  assert.deepEqual(events[1], {
    type: 'token-scores',
    about: 'text',
    scores: [{ token: 'x', logprob: 0, top: [{ token: 'y', logprob: -2 }] }],
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertGrammar, textOfEvents } from '@lfo/testing/event-grammar.ts';
import { openaiChunks, openaiCompletion } from '@lfo/testing/upstream/openai-answer.ts';
import { scaled } from '@lfo/testing/test-scale.ts';
import * as fc from 'fast-check';
import { BackendError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import { type JsonValue, parseJson } from '../../../core/json.ts';
import { AnswerReader } from './events.ts';

const context = {
  tier: 'cloud' as const,
  backend: 'b',
  model: 'asked',
  requestId: '01890000-0000-7000-8000-0123456789ab',
  bodyBytes: 400,
};

function read(chunks: readonly JsonValue[], isWhole = false): InferenceEvent[] {
  const reader = new AnswerReader(context);
  const events = chunks.flatMap((chunk) => reader.read(chunk));
  return [...events, ...reader.end(isWhole)];
}

const asJson = (value: unknown): JsonValue => parseJson(JSON.stringify(value)) ?? null;
const chunk = (delta: JsonValue, finish: string | null = null): JsonValue => ({
  choices: [{ index: 0, delta, finish_reason: finish }],
});

function faultOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof BackendError, String(error));
    return error.fault;
  }
  return assert.fail('it succeeded');
}

const answer = {
  deltas: ['Two', ' words'],
  toolCalls: [{ id: 'call_1', name: 'f', argumentDeltas: ['{"a"', ':1}'] }],
  logprobs: [-0.5, -1.5],
};

test('a stream and the same answer in one piece say the same', () => {
  const streamed = read(asChunks());
  const whole = read([asJson(openaiCompletion(answer))], true);
  for (const events of [streamed, whole]) {
    assert.deepEqual(assertGrammar(events).usage, { promptTokens: 12, completionTokens: 4 });
    assert.equal(textOfEvents(events), 'Two words');
    assert.deepEqual(
      events.flatMap((event) => (event.type === 'token-scores' ? event.scores.map(({ logprob }) => logprob) : [])),
      [-0.5, -1.5],
    );
  }
});

function asChunks(): JsonValue[] {
  return openaiChunks(answer).map(asJson);
}

test('deltas keep their cut', () => {
  const texts = read(asChunks()).flatMap((event) => (event.type === 'text-delta' ? [event.text] : []));
  assert.deepEqual(texts, ['Two', ' words']);
});

test('the model is the one that answers, else the one asked for', () => {
  assert.deepEqual(read(asChunks())[0], { type: 'start', model: 'scripted' });
  assert.deepEqual(read([chunk({}, 'stop')])[0], { type: 'start', model: 'asked' });
});

for (const field of ['reasoning_content', 'reasoning']) {
  test(`${field} is reasoning, never text`, () => {
    const events = read([chunk({ [field]: 'hm' }), chunk({ content: 'yes' }, 'stop')]);
    assert.deepEqual(events.slice(1, 3), [
      { type: 'reasoning-delta', text: 'hm' },
      { type: 'text-delta', text: 'yes' },
    ]);
  });
}

test('a refusal and content parts are read', () => {
  const events = read([
    chunk({ refusal: 'no' }),
    chunk({ content: [{ type: 'text', text: 'a' }, { type: 'x' }, { text: 'b' }] }, 'stop'),
  ]);
  assert.deepEqual(events.slice(1, 3), [
    { type: 'refusal-delta', text: 'no' },
    { type: 'text-delta', text: 'ab' },
  ]);
});

const reasons: readonly [native: string, hasCall: boolean, reason: string, told: string | undefined][] = [
  ['stop', false, 'stop', undefined],
  ['stop', true, 'tool_calls', 'stop'],
  ['tool_calls', true, 'tool_calls', undefined],
  ['tool_calls', false, 'stop', 'tool_calls'],
  ['function_call', true, 'tool_calls', 'function_call'],
  ['length', true, 'length', undefined],
  ['MAX_TOKENS', false, 'length', 'MAX_TOKENS'],
  ['content_filter', false, 'content_filter', undefined],
  ['SAFETY', false, 'content_filter', 'SAFETY'],
  ['eos', false, 'stop', 'eos'],
  ['constructor', false, 'stop', 'constructor'],
];

for (const [native, hasCall, reason, told] of reasons) {
  test(`finish reason ${native} ${hasCall ? 'with' : 'without'} a call is ${reason}`, () => {
    const calls = hasCall ? { tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: '{}' } }] } : {};
    const finish = assertGrammar(read([chunk(calls), chunk({}, native)]));
    assert.equal(finish.reason, reason);
    assert.equal(finish.nativeReason, told);
  });
}

test('a legacy function call is a tool call', () => {
  const events = read([
    chunk({ function_call: { name: 'f', arguments: '{"a"' } }),
    chunk({ function_call: { arguments: ':1}' } }, 'function_call'),
  ]);
  assert.equal(assertGrammar(events).reason, 'tool_calls');
});

test('a call cut off at the limit has no end; cut off otherwise it is unusable', () => {
  const cut = chunk({ tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: '{"a' } }] });
  const events = read([cut, chunk({}, 'length')]);
  assert.equal(assertGrammar(events).reason, 'length');
  assert.equal(
    events.some(({ type }) => type === 'tool-call-end'),
    false,
  );
  assert.equal(
    faultOf(() => read([cut, chunk({}, 'tool_calls')])),
    'unusable',
  );
});

test('no finish reason is a cut, one of breakdown a server fault', () => {
  assert.equal(
    faultOf(() => read([chunk({ content: 'a' })])),
    'cut',
  );
  assert.equal(
    faultOf(() => read([chunk({}, 'error')])),
    'server',
  );
});

test('usage that is no count is estimated, and later usage wins', () => {
  for (const usage of [
    null,
    {},
    { prompt_tokens: -1, completion_tokens: 2 },
    { prompt_tokens: 1, completion_tokens: Infinity },
    { prompt_tokens: '1', completion_tokens: 2 },
  ]) {
    const finish = assertGrammar(
      read([{ choices: [{ delta: { content: 'abcdefgh' }, finish_reason: 'stop' }], usage }]),
    );
    assert.deepEqual(finish.usage, { promptTokens: 100, completionTokens: 2, estimated: true });
  }
  const finish = assertGrammar(
    read([
      { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } },
      {
        choices: [{ delta: {}, finish_reason: 'stop' }],
        usage: {
          prompt_tokens: 9,
          completion_tokens: 5.5,
          completion_tokens_details: { reasoning_tokens: 3 },
          prompt_tokens_details: { cached_tokens: 4 },
        },
      },
    ]),
  );
  assert.deepEqual(finish.usage, { promptTokens: 9, completionTokens: 5, reasoningTokens: 3, cachedTokens: 4 });
});

test('a surrogate pair cut in two is joined, a lone half is replaced', () => {
  const events = read([
    chunk({ content: 'a\ud83d' }),
    chunk({ content: '\ude00b' }),
    chunk({ content: '\ude00c\ud83d' }, 'stop'),
  ]);
  assert.equal(textOfEvents(events), 'a😀b\uFFFDc\uFFFD');
  for (const event of events) if (event.type === 'text-delta') assert.ok(event.text.isWellFormed());
});

test('scores that are no numbers are left out, positive ones are 0', () => {
  const content = [
    { token: 'a', logprob: 0.001, top_logprobs: [{ token: 'b', logprob: -1 }, null] },
    { token: 'b', logprob: 'x' },
    { logprob: -1 },
    null,
  ];
  const events = read([{ choices: [{ delta: { content: 'ab' }, logprobs: { content }, finish_reason: 'stop' }] }]);
  assert.deepEqual(events[1], {
    type: 'token-scores',
    about: 'text',
    scores: [{ token: 'a', logprob: 0, top: [{ token: 'b', logprob: -1 }] }],
  });
});

test('whatever JSON comes, only backend errors escape and events keep their grammar', () => {
  const value = fc.jsonValue();
  const odd = fc.record({
    delta: fc.oneof(
      value,
      fc.record({
        content: value,
        tool_calls: fc.oneof(
          value,
          fc.array(fc.record({ index: value, id: value, function: fc.record({ name: value, arguments: value }) })),
        ),
        reasoning: value,
      }),
    ),
    finish_reason: fc.oneof(value, fc.constantFrom('stop', 'length', 'tool_calls')),
    logprobs: value,
  });
  const oddChunk = fc.oneof(value, fc.record({ choices: fc.oneof(value, fc.array(odd)), usage: value, model: value }));
  fc.assert(
    fc.property(fc.array(oddChunk, { maxLength: 5 }), fc.boolean(), (chunks, isWhole) => {
      let events: InferenceEvent[];
      try {
        events = read(chunks.map(asJson), isWhole);
      } catch (error) {
        assert.ok(error instanceof BackendError, String(error));
        return;
      }
      assertGrammar(events);
    }),
    { numRuns: scaled({ always: 2_000, full: 100_000 }), seed: 31 },
  );
});

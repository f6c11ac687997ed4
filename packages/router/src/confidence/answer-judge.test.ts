import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import * as fc from 'fast-check';
import type { FinalVerdict } from '../core/confidence.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { ChatRequest } from '../core/request.ts';
import { createAnswerJudge } from './answer-judge.ts';
import { estimatorContract } from './estimator-contract.ts';
import { callAnswer, finish, judged, textAnswer, weatherTool } from './judge-fixture.ts';

const answerJudge = createAnswerJudge();

estimatorContract(answerJudge);

function ask(text: string, change: Partial<ChatRequest> = {}): ChatRequest {
  return chatRequest({ messages: [{ role: 'user', content: [{ type: 'text', text }] }], ...change });
}

/** The verdict as the gate comes to it, with the number of events it took. */
function judge(
  request: ChatRequest,
  events: readonly InferenceEvent[],
  threshold = 0.7,
): FinalVerdict & { after: number } {
  const session = answerJudge.begin(judged(request, threshold));
  for (const [index, event] of events.entries()) {
    const verdict = session.observe(event);
    if (verdict.type !== 'hold') return { ...verdict, after: index + 1 };
  }
  return { ...session.end(), after: events.length };
}

/** Recorded from Qwen2.5-Coder-0.5B-Instruct Q4_K_M at temperature 0. */
const sum = textAnswer(
  [-0.2766, -0.6137, -0.0001, 0, -0.0467, -0.0048, -0.0005, -0.0359],
  ['2', ' +', ' ', '2', ' equals', ' ', '4', '.'],
);
const newSouth = textAnswer([-1.3434, -0.4729, -0.7127], ['New', ' South', ' Australia']);
/** Made up around a first token of .19; the rest is as sure as can be. */
const capital = textAnswer([-1.6607, 0], ['Sydney', '.']);

test('"What is 2+2?" passes at 0.7', () => {
  const verdict = judge(ask('What is 2+2?'), sum);
  assert.deepEqual([verdict.type, verdict.reason], ['commit', 'confident']);
});

test('"Capital of Australia? One word." with a first token of .19 escalates at that token', () => {
  const verdict = judge(ask('Capital of Australia? One word.'), capital);
  assert.deepEqual([verdict.type, verdict.reason], ['escalate', 'low_confidence']);
  assert.ok(verdict.after <= 4);
});

test('the recorded answer to the same question escalates too', () => {
  assert.equal(judge(ask('Capital of Australia? One word.'), newSouth).type, 'escalate');
});

test('the evidence of a text is what its score was made of, and of calls what was seen in them', () => {
  const text = answerJudge.begin(judged(ask('Capital of Australia?'), 0));
  for (const event of newSouth) text.observe(event);
  assert.deepEqual(text.evidence(), {
    judge: 'answer-judge',
    text_tokens: 3,
    text_nats: 2.529,
    text_worst_nats: [1.3434, 0.7127],
  });
  const calls = answerJudge.begin(judged(ask('Weather in Paris?', { tools: [weatherTool] }), 0));
  for (const event of callAnswer([['get_weather', '{"city":"Paris"}']], 0.5)) calls.observe(event);
  const { call_nats: nats, calls: made, grounded, repaired } = calls.evidence();
  assert.deepEqual({ nats, made, grounded, repaired }, { nats: 0.5, made: 1, grounded: 1, repaired: false });
});

test('a long sure text is committed at the sixteenth token, not at its end', () => {
  const verdict = judge(ask('Explain.'), textAnswer(Array.from({ length: 200 }, () => -0.05)));
  // The start, fifteen scores with their text, and the sixteenth score.
  assert.deepEqual([verdict.type, verdict.after], ['commit', 1 + 2 * 15 + 1]);
});

test('the early exit accepts exactly what judging the first sixteen tokens whole accepts', () => {
  const logprobs = fc.array(fc.double({ min: -3, max: 0, noNaN: true }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(logprobs, fc.double({ min: 0.01, max: 0.99, noNaN: true }), (values, threshold) => {
      const early = judge(chatRequest(), textAnswer(values), threshold);
      const patient = answerJudge.begin(judged(chatRequest(), threshold));
      for (const event of textAnswer(values)) patient.observe(event);
      assert.equal(early.type, patient.end().type);
    }),
  );
});

const tools = [weatherTool];
const calls: readonly (readonly [
  name: string,
  request: ChatRequest,
  events: readonly InferenceEvent[],
  type: string,
  reason: string,
])[] = [
  [
    'a grounded sure call',
    ask('Weather in Paris?', { tools }),
    callAnswer([['get_weather', '{"city":"Paris","unit":"c"}']], 0.2),
    'commit',
    'confident',
  ],
  [
    'the same call by an engine without scores',
    ask('Weather in Paris?', { tools }),
    callAnswer([['get_weather', '{"city":"Paris"}']]),
    'commit',
    'confident',
  ],
  [
    'a grounded call written with doubt',
    ask('Weather in Paris?', { tools }),
    callAnswer([['get_weather', '{"city":"Paris"}']], 4),
    'escalate',
    'low_confidence',
  ],
  [
    'London out of nowhere',
    ask('What is 2+2?', { tools }),
    callAnswer([['get_weather', '{"city":"London"}']], 0),
    'escalate',
    'ungrounded_arguments',
  ],
  [
    'an undeclared tool',
    ask('What is 2+2?', { tools }),
    callAnswer([['add', '{"a":2,"b":2}']], 0),
    'escalate',
    'unknown_tool',
  ],
  [
    'broken JSON',
    ask('Weather in Paris?', { tools }),
    callAnswer([['get_weather', '{"city":"Par']], 0),
    'escalate',
    'tool_call_unparsed',
  ],
  [
    'a missing argument',
    ask('Weather in Paris?', { tools }),
    callAnswer([['get_weather', '{}']], 0),
    'escalate',
    'tool_call_invalid',
  ],
  [
    'an undeclared argument',
    ask('Weather in Paris?', { tools }),
    callAnswer([['get_weather', '{"city":"Paris","zip":1}']], 0),
    'escalate',
    'tool_call_invalid',
  ],
  [
    'a wrong type',
    ask('Weather in Paris?', { tools }),
    callAnswer([['get_weather', '{"city":7}']], 0),
    'escalate',
    'tool_call_invalid',
  ],
  [
    'a value outside the enum',
    ask('Weather in Paris?', { tools }),
    callAnswer([['get_weather', '{"city":"Paris","unit":"k"}']], 0),
    'escalate',
    'tool_call_invalid',
  ],
  [
    'the same call twice',
    ask('Weather in Paris?', { tools }),
    callAnswer(
      [
        ['get_weather', '{"city":"Paris"}'],
        ['get_weather', '{ "city": "Paris" }'],
      ],
      0,
    ),
    'escalate',
    'tool_call_invalid',
  ],
  [
    'two calls where one is allowed',
    ask('Weather in Paris and Rome?', { tools, parallelToolCalls: false }),
    callAnswer(
      [
        ['get_weather', '{"city":"Paris"}'],
        ['get_weather', '{"city":"Rome"}'],
      ],
      0,
    ),
    'escalate',
    'tool_call_invalid',
  ],
  [
    'two calls for two cities',
    ask('The weather in Paris and in Rome?', { tools }),
    callAnswer(
      [
        ['get_weather', '{"city":"Paris"}'],
        ['get_weather', '{"city":"Rome"}'],
      ],
      0.4,
    ),
    'commit',
    'confident',
  ],
  [
    'one call where two tasks were set',
    ask('Give me both the weather in Paris and in Rome for 3 and 5 days respectively.', { tools }),
    callAnswer([['get_weather', '{"city":"Paris","days":3}']], 0.4),
    'escalate',
    'low_confidence',
  ],
  [
    'text where a call was required',
    ask('Weather in Paris?', { tools, toolChoice: { type: 'required' } }),
    sum,
    'escalate',
    'tool_call_unparsed',
  ],
  [
    'text that is an unread call',
    ask('Weather in Paris?', { tools }),
    textAnswer([0, 0], ['{"name":', '"get_weather", oops}']),
    'escalate',
    'tool_call_unparsed',
  ],
  [
    'a call that is cut off',
    ask('Weather in Paris?', { tools }),
    [{ type: 'tool-call-start', index: 0, id: 'c', name: 'get_weather' }, finish(5, 'length')],
    'escalate',
    'hold_limit',
  ],
  [
    'a call without its end',
    ask('Weather in Paris?', { tools }),
    [{ type: 'tool-call-start', index: 0, id: 'c', name: 'get_weather' }, finish(5)],
    'escalate',
    'tool_call_unparsed',
  ],
  [
    'JSON that is cut off, by the client or by a cap',
    ask('JSON please', { responseFormat: { type: 'json_object' } }),
    [...textAnswer([0, 0], ['{"a"', ':']).slice(0, -1), finish(5, 'length')],
    'escalate',
    'hold_limit',
  ],
  ['an empty answer', ask('Hello'), [{ type: 'start', model: 'm' }, finish(0)], 'escalate', 'empty_answer'],
  [
    'an answer cut off by the engine',
    ask('Hello'),
    [...sum.slice(0, -1), finish(8, 'length')],
    'escalate',
    'truncated_answer',
  ],
  [
    'an answer cut off where the client wanted it',
    ask('Hello', { sampling: { stop: [], logprobs: false, maxTokens: 8 } }),
    [...sum.slice(0, -1), finish(8, 'length')],
    'commit',
    'confident',
  ],
  [
    'JSON that is none',
    ask('JSON please', { responseFormat: { type: 'json_object' } }),
    textAnswer([0, 0], ['Sure', '!']),
    'escalate',
    'schema_violation',
  ],
  [
    'JSON against its schema',
    ask('JSON please', {
      responseFormat: { type: 'json_schema', name: 's', schema: { type: 'object', required: ['a'] } },
    }),
    textAnswer([0, 0], ['{"b"', ':1}']),
    'escalate',
    'schema_violation',
  ],
  [
    'JSON that fits',
    ask('JSON please', {
      responseFormat: { type: 'json_schema', name: 's', schema: { type: 'object', required: ['a'] } },
    }),
    textAnswer([0, 0], ['{"a"', ':1}']),
    'commit',
    'confident',
  ],
  [
    'a hand-off without any score',
    ask('Hello'),
    [{ type: 'self-report', handOff: true }, { type: 'text-delta', text: 'Hm' }, finish(1)],
    'escalate',
    'engine_handed_off',
  ],
  [
    'a hand-off against good scores',
    ask('What is 2+2?'),
    [{ type: 'self-report', handOff: true }, ...sum],
    'commit',
    'confident',
  ],
];

for (const [name, request, events, type, reason] of calls) {
  test(`${name}: ${type}, ${reason}`, () => {
    const verdict = judge(request, events);
    assert.deepEqual([verdict.type, verdict.reason], [type, reason]);
  });
}

test('an undeclared tool escalates at its name, before its arguments', () => {
  assert.equal(judge(ask('Hi', { tools }), callAnswer([['add', '{}']])).after, 2);
});

test('text without scores is not held for long', () => {
  const events = Array.from({ length: 50 }, (): InferenceEvent => ({ type: 'text-delta', text: 'word ' }));
  assert.deepEqual(judge(ask('Hello'), events), { type: 'commit', reason: 'no_evidence', after: 4 });
});

test('scores of reasoning and scores under a grammar are no evidence', () => {
  const doubtful = { token: 'x', logprob: -9 };
  const events: readonly InferenceEvent[] = [
    { type: 'reasoning-delta', text: 'hm' },
    { type: 'token-scores', about: 'text', scores: [doubtful] },
    { type: 'text-delta', text: 'Yes' },
    { type: 'token-scores', about: 'text', scores: [{ ...doubtful, taken: 'grammar' }] },
    finish(2),
  ];
  assert.equal(judge(ask('Hello'), events).reason, 'no_evidence');
});

test('a call that was answered in this turn is not made again, one of an earlier turn may be', () => {
  const user = { role: 'user', content: [{ type: 'text', text: 'Weather in Paris?' }] } as const;
  const called = {
    role: 'assistant',
    content: [],
    toolCalls: [{ id: 'a', name: 'get_weather', arguments: '{ "city": "Paris" }' }],
  } as const;
  const result = { role: 'tool', toolCallId: 'a', content: [{ type: 'text', text: '18 degrees' }] } as const;
  const again = callAnswer([['get_weather', '{"city":"Paris"}']], 0);
  const tools = [weatherTool];
  const looping = judge(chatRequest({ messages: [user, called, result], tools }), again);
  assert.deepEqual([looping.type, looping.reason], ['escalate', 'repeated_tool_call']);
  const later = judge(chatRequest({ messages: [user, called, result, user], tools }), again);
  assert.equal(later.type, 'commit');
});

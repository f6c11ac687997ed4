import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import type { ConfidenceSession, FinalVerdict } from '../../core/confidence.ts';
import type { InferenceEvent } from '../../core/events.ts';
import { parseJson, type JsonValue } from '../../core/json.ts';
import type { ChatRequest, ToolSpec } from '../../core/request.ts';
import { estimatorContract } from '../estimator-contract.ts';
import { readWordWeights } from '../features/word-weights.ts';
import { callAnswer, finish, judged, textAnswer, weatherTool } from '../judge-fixture.ts';
import { readCalibration } from './calibration.ts';
import { headsEstimator } from './heads-estimator.ts';

function shipped(name: string): JsonValue {
  return parseJson(readFileSync(new URL(`../calibration/${name}`, import.meta.url), 'utf8')) ?? null;
}

const options = {
  calibrations: [readCalibration(shipped('qwen2.5-coder-0.5b.json'))],
  weights: readWordWeights(shipped('word-weights.json')),
};
const estimator = headsEstimator(options);

const describedTool: ToolSpec = {
  ...weatherTool,
  description: 'Get the weather forecast of a city for some days.',
};

function asking(text: string, changes: Partial<ChatRequest> = {}): ChatRequest {
  const messages = [{ role: 'user' as const, content: [{ type: 'text' as const, text }] }];
  return chatRequest({ messages, tools: [describedTool], ...changes });
}

/** A call as a device host streams it: every token with its score, then the call. */
function scoredCall(json: string, logprob: (piece: string) => number = () => -0.01): readonly InferenceEvent[] {
  const text = `{"name": "get_weather", "arguments": ${json}}`;
  const scores = (text.match(/\w+|[^\w]+/g) ?? []).map((token) => ({ token, logprob: logprob(token) }));
  const [start, ...rest] = callAnswer([['get_weather', json]]);
  assert.ok(start !== undefined);
  return [start, { type: 'token-scores', about: 'tool-call', scores }, ...rest];
}

function verdictOn(request: ChatRequest, events: readonly InferenceEvent[]): FinalVerdict {
  const session = estimator.begin(judged(request, 0.7));
  for (const event of events) session.observe(event);
  return session.end();
}

function scoreOf(request: ChatRequest, events: readonly InferenceEvent[]): number {
  const { score } = verdictOn(request, events);
  assert.ok(score !== undefined);
  return score;
}

estimatorContract(estimator);

test('a call whose values are said stays, one with a made-up place does not', () => {
  const request = asking('What is the weather forecast for Paris?');
  assert.equal(verdictOn(request, scoredCall('{"city": "Paris"}')).type, 'commit');
  const invented = verdictOn(asking('What is 2+2?'), scoredCall('{"city": "London"}'));
  assert.equal(invented.type, 'escalate');
  assert.equal(invented.reason, 'ungrounded_arguments');
});

test('a call that leaves half of the request undone scores below one that does it all', () => {
  const one = scoreOf(asking('What is the weather forecast for Paris?'), scoredCall('{"city": "Paris"}'));
  const half = scoreOf(
    asking('What is the weather forecast for Paris and Oslo? Also book a table for 4 people at Maxim.'),
    scoredCall('{"city": "Paris"}'),
  );
  assert.ok(half < one / 2, `${half} against ${one}`);
});

test('values written with doubt score below values written surely', () => {
  const request = asking('What is the weather forecast for Paris?');
  const unsure = scoredCall('{"city": "Paris"}', (piece) => (piece === 'Paris' ? -2.5 : -0.01));
  assert.ok(scoreOf(request, unsure) < scoreOf(request, scoredCall('{"city": "Paris"}')));
});

test('padding, politeness and a system prompt hardly move the score', () => {
  const call = scoredCall('{"city": "Paris"}');
  const plain = scoreOf(asking('What is the weather forecast for Paris?'), call);
  const padded = scoreOf(
    asking(
      'My train is late again and the coffee here is dreadful, but never mind. What is the weather forecast for Paris? Take your time.',
    ),
    call,
  );
  assert.ok(Math.abs(plain - padded) < 0.1, `${plain} against ${padded}`);
});

test('without scores the heads that need none judge calls, and nothing is invented for plain text', () => {
  const request = asking('What is the weather forecast for Paris?');
  const good = verdictOn(request, callAnswer([['get_weather', '{"city": "Paris"}']]));
  const bad = verdictOn(request, callAnswer([['get_weather', '{"city": "Rome"}']]));
  assert.ok(good.score !== undefined && bad.score !== undefined && bad.score < good.score);
  assert.deepEqual(verdictOn(chatRequest(), callAnswer([]).concat([{ type: 'text-delta', text: 'Hi' }, finish(1)])), {
    type: 'commit',
    reason: 'no_evidence',
  });
});

test('a request in a language its declarations do not share is judged without comparing words', () => {
  const request = asking('请问明天巴黎的天气怎么样？');
  const session = estimator.begin(judged(request, 0.7));
  for (const event of scoredCall('{"city": "巴黎"}')) session.observe(event);
  assert.ok(!('unexplained' in session.evidence()));
  const said = scoreOf(request, scoredCall('{"city": "巴黎"}'));
  const made = scoreOf(request, scoredCall('{"city": "伦敦"}'));
  assert.ok(made < said && said > 0.5, `${made} against ${said}`);
});

test('a text that declines stays where no tool fits and does not where one does', () => {
  const text = textAnswer(Array.from({ length: 20 }, () => -0.1));
  assert.equal(verdictOn(asking('Write a limerick about a stubborn goat.'), text).type, 'commit');
  assert.equal(
    verdictOn(asking('What is the weather forecast of the city Paris for some days?'), text).type,
    'escalate',
  );
});

test('a text that follows a tool result is judged by its wording, though the tool fits', () => {
  const request = asking('What is the weather forecast of the city Paris for some days?');
  const messages: ChatRequest['messages'] = [
    ...request.messages,
    { role: 'assistant', content: [], toolCalls: [{ id: 'a', name: 'get_weather', arguments: '{"city":"Paris"}' }] },
    { role: 'tool', toolCallId: 'a', content: [{ type: 'text', text: '21 degrees' }] },
  ];
  assert.equal(verdictOn({ ...request, messages }, textAnswer(Array.from({ length: 8 }, () => -0.05))).type, 'commit');
});

test('structure condemns at once: an undeclared tool, an ill-typed argument, the same call twice', () => {
  const request = asking('What is the weather forecast for Paris?');
  for (const [calls, reason] of [
    [[['made_up', '{}']], 'unknown_tool'],
    [[['get_weather', '{"city": 3}']], 'tool_call_invalid'],
    [Array.from({ length: 2 }, (): [string, string] => ['get_weather', '{"city":"Paris"}']), 'tool_call_invalid'],
  ] as const) {
    assert.deepEqual(verdictOn(request, callAnswer(calls)), { type: 'escalate', score: 0, reason });
  }
});

test('a model that no calibration was fitted for gets the shipped one as a prior, and the record says so', () => {
  const of = (model: string): ConfidenceSession => estimator.begin({ ...judged(chatRequest(), 0.7), model: { model } });
  const [known, unknown] = [of('qwen2.5-coder-0.5b'), of('another')];
  assert.equal('prior' in known.evidence(), false);
  assert.equal(unknown.evidence()['prior'], true);
});

test('without any calibration nothing is scored', () => {
  const session = headsEstimator({ ...options, calibrations: [] }).begin(judged(asking('Weather in Paris?'), 0.7));
  for (const event of scoredCall('{"city": "Paris"}')) session.observe(event);
  assert.deepEqual(session.end(), { type: 'commit', reason: 'no_evidence' });
});

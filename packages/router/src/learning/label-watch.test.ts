import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { AnswerLabel, Judgement } from '../core/judgement.ts';
import type { ChatRequest, Message } from '../core/request.ts';
import { beginAttempt, beginTrace } from '../core/trace.ts';
import { AnsweredCalls } from './answered-calls.ts';
import { LabelWatch } from './label-watch.ts';

const judgement: Judgement = {
  policy: 'judge',
  model: { model: 'm' },
  evidence: {},
  score: 0.9,
  threshold: 0.7,
  verdict: 'commit',
  reason: 'confident',
};

function scene() {
  const clock = new FakeClock();
  const labels: AnswerLabel[] = [];
  const calls = new AnsweredCalls();
  const watch = new LabelWatch(clock, calls, { add: (label) => void labels.push(label) });
  /** One request answered locally, with these tool calls. */
  const answer = (request: ChatRequest, callIds: readonly string[] = [], judged: Judgement = judgement): void => {
    const trace = beginTrace(request, { startMs: 0, startedAtMs: 0 }, 0.7);
    const followers = [calls, watch].map((sink) => sink.begin(request, trace));
    trace.route = 'local';
    const attempt = beginAttempt(trace, 'local', 0);
    attempt.outcome = 'answered';
    attempt.judgement = judged;
    for (const [index, id] of callIds.entries())
      for (const follower of followers) follower.wrote?.([{ type: 'tool-call-start', index, id, name: 't' }]);
    for (const follower of followers) follower.ended({ status: 200 });
  };
  return { clock, labels, answer, calls };
}

const user = (text: string): Message => ({ role: 'user', content: [{ type: 'text', text }] });
const result = (toolCallId: string, text: string): Message => ({
  role: 'tool',
  toolCallId,
  content: [{ type: 'text', text }],
});
const tools = [{ name: 't' }];

test('a tool that fails speaks against the call that was made locally, one that works a little for it', () => {
  const { labels, answer } = scene();
  answer(chatRequest({ id: 'r1', tools, messages: [user('go')] }), ['a', 'b']);
  const results = [result('a', '{"error":"no such city"}'), result('b', '{"celsius":3}'), result('z', 'Error')];
  answer(chatRequest({ id: 'r2', tools, messages: [user('go'), ...results] }));
  assert.deepEqual(
    labels.map(({ requestId, source, label, weight }) => [requestId, source, label, weight]),
    [
      ['r1', 'tool_result', 1, 0.3],
      ['r1', 'tool_result', 0, 1],
    ],
  );
});

test('who made a call decides where its loop goes on', () => {
  const { answer, calls } = scene();
  answer(chatRequest({ tools, messages: [user('go')] }), ['a']);
  assert.equal(calls.loopTier(chatRequest({ tools, messages: [user('go'), result('a', '1')] })), 'local');
  assert.equal(calls.loopTier(chatRequest({ tools, messages: [user('go')] })), undefined);
  const other = { mode: 'auto', clientKey: 'another' } as const;
  assert.equal(
    calls.loopTier(chatRequest({ tools, hints: other, messages: [user('go'), result('a', '1')] })),
    undefined,
  );
});

test('the same conversation asked again soon speaks against the answer, later or over and over it does not', () => {
  const { clock, labels, answer } = scene();
  const ask = (id: string, text = 'why?') => answer(chatRequest({ id, messages: [user(text)] }));
  ask('r1');
  clock.advance(5_000);
  ask('r2');
  assert.deepEqual(
    labels.map(({ requestId, label }) => [requestId, label]),
    [['r1', 0]],
  );
  clock.advance(200_000);
  ask('r3');
  assert.equal(labels.length, 1);
  ask('r4', 'another question');
  assert.equal(labels.length, 1);
});

test('an answer that broke the schema is labelled wrong', () => {
  const { labels, answer } = scene();
  answer(chatRequest({ id: 'r1' }), [], { ...judgement, verdict: 'escalate', reason: 'schema_violation' });
  assert.deepEqual(
    labels.map(({ source, label }) => [source, label]),
    [['schema', 0]],
  );
});

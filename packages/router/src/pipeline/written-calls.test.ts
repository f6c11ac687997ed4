import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import * as fc from 'fast-check';
import type { InferenceEvent } from '../core/events.ts';
import type { ChatRequest, Tier } from '../core/request.ts';
import { writtenCalls } from './written-calls.ts';

const tools = [{ name: 'weather', parameters: { type: 'object' } }, { name: 'clock' }];
const usage = { promptTokens: 3, completionTokens: 5 };
const finish = (reason: 'stop' | 'length' = 'stop'): InferenceEvent => ({ type: 'finish', reason, usage });

function texts(...pieces: readonly string[]): readonly InferenceEvent[] {
  return pieces.map((text) => ({ type: 'text-delta', text }));
}

function read(
  events: readonly InferenceEvent[],
  { tier = 'local', ...request }: Partial<ChatRequest> & { readonly tier?: Tier } = {},
): readonly InferenceEvent[] {
  const calls = writtenCalls(chatRequest({ tools, ...request }), tier);
  assert.ok(calls !== undefined);
  return events.flatMap((event) => calls.read([event]));
}

/** Text, calls by name and JSON, and why it ended. */
function summary(events: readonly InferenceEvent[]): object {
  const calls = new Map<number, { name: string; json: string; isWhole: boolean }>();
  let text = '';
  let reason = '';
  for (const event of events) {
    if (event.type === 'text-delta') text += event.text;
    else if (event.type === 'tool-call-start') calls.set(event.index, { name: event.name, json: '', isWhole: false });
    else if (event.type === 'finish') reason = event.reason;
    const call = 'index' in event ? calls.get(event.index) : undefined;
    if (call !== undefined && event.type === 'tool-call-delta') call.json += event.json;
    if (call !== undefined && event.type === 'tool-call-end') call.isWhole = true;
  }
  return { text, calls: [...calls.values()], reason };
}

const bern = { name: 'weather', json: '{"city":"Bern"}', isWhole: true };

const written: Readonly<Record<string, string>> = {
  'in tags': '<tool_call>\n{"name": "weather", "arguments": {"city":"Bern"}}\n</tool_call>',
  'in tags that are not closed': '<tool_call>\n{"name": "weather", "arguments": {"city":"Bern"}}',
  bare: '{"name": "weather", "arguments": {"city":"Bern"}}',
  'in a fence': '```json\n{"name": "weather", "arguments": {"city":"Bern"}}\n```',
  'by another name of its parts': '{"tool": "weather", "parameters": {"city":"Bern"}}',
  'with a mark of Mistral': '[TOOL_CALLS][{"name": "weather", "arguments": {"city":"Bern"}}]',
};

for (const [how, text] of Object.entries(written)) {
  test(`a call written as text ${how} becomes a call, wherever the text is cut`, () => {
    for (const tier of ['local', 'cloud'] as const) {
      for (let at = 1; at < text.length; at += 3) {
        const events = read([...texts(text.slice(0, at), text.slice(at)), finish()], { tier });
        assert.deepEqual(summary(events), { text: '', calls: [bern], reason: 'tool_calls' });
      }
    }
  });
}

test('words before a call stay, and so does the call of a cloud’s model that only quotes one', () => {
  const text = 'I look.\n<tool_call>{"name": "weather", "arguments": {"city":"Bern"}}</tool_call>';
  assert.deepEqual(summary(read([...texts(text), finish()])), { text: 'I look.', calls: [bern], reason: 'tool_calls' });
  assert.deepEqual(summary(read([...texts(text), finish()], { tier: 'cloud' })), { text, calls: [], reason: 'stop' });
});

test('what names no tool that is offered stays the text it was', () => {
  for (const text of [
    '{"name": "Ada", "arguments": "none"}',
    '<tool_call>{"name": "delete", "arguments": {}}</tool_call>',
    '{"city": "Bern"}',
    'Use `<b>` and {curly} [signs].',
  ]) {
    assert.deepEqual(summary(read([...texts(text), finish()])), { text, calls: [], reason: 'stop' }, text);
  }
});

test('a call that the limit cut off stays without its end', () => {
  const { calls } = Object(
    summary(read([...texts('<tool_call>{"name": "weather", "arguments": {"ci'), finish('length')])),
  );
  assert.deepEqual(
    calls.map(({ name, isWhole }: { name: string; isWhole: boolean }) => [name, isWhole]),
    [['weather', false]],
  );
});

test('a native call ends the search and keeps its place behind those that were found', () => {
  const native: readonly InferenceEvent[] = [
    { type: 'tool-call-start', index: 0, id: 'n', name: 'clock' },
    { type: 'tool-call-delta', index: 0, json: '{}' },
    { type: 'tool-call-end', index: 0 },
  ];
  const events = read([
    ...texts('{"name": "weather", "arguments": {"city":"Bern"}}'),
    ...native,
    { type: 'finish', reason: 'tool_calls', usage },
  ]);
  const clock = { name: 'clock', json: '{}', isWhole: true };
  assert.deepEqual(summary(events), { text: '', calls: [bern, clock], reason: 'tool_calls' });
});

test('scores go with what they are about', () => {
  const scores = [{ token: 'x', logprob: -0.1 }];
  const scored: InferenceEvent = { type: 'token-scores', scores, about: 'text' };
  const about = (events: readonly InferenceEvent[]) =>
    events.flatMap((event) => (event.type === 'token-scores' ? [[event.about, event.scores.length]] : []));
  const call = read([
    scored,
    ...texts('<tool_call>'),
    scored,
    ...texts('{"name": "clock", "arguments": {}}</tool_call>'),
    finish(),
  ]);
  assert.deepEqual(about(call), [['tool-call', 2]]);
  assert.deepEqual(about(read([scored, ...texts('Hello.'), finish()])), [['text', 1]]);
});

test('nothing is looked for where no call may be answered, or JSON is what was asked for', () => {
  assert.equal(writtenCalls(chatRequest({}), 'local'), undefined);
  assert.equal(writtenCalls(chatRequest({ tools, toolChoice: { type: 'none' } }), 'local'), undefined);
  assert.equal(writtenCalls(chatRequest({ tools, responseFormat: { type: 'json_object' } }), 'local'), undefined);
});

test('text without a call comes out as it went in', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 20 }), { maxLength: 8 }), (pieces) => {
      const whole = pieces.join('');
      const { text } = Object(summary(read([...texts(...pieces), finish()])));
      assert.equal(text, whole);
    }),
  );
});

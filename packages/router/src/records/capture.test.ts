import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { Mode } from '../core/request.ts';
import { CaptureBuilder } from './capture.ts';
import { Captures, isCaptured } from './captures.ts';

const usage = { promptTokens: 1, completionTokens: 1 };

function copyOf(events: readonly InferenceEvent[], request = chatRequest()): ReturnType<CaptureBuilder['capture']> {
  const copy = new CaptureBuilder(request);
  for (const event of events) copy.add(event);
  return copy.capture();
}

test('the text of every kind of event are kept, each in its place', () => {
  const { answer, isCut } = copyOf([
    { type: 'start', model: 'm' },
    { type: 'reasoning-delta', text: 'Let me ' },
    { type: 'reasoning-delta', text: 'see.' },
    { type: 'text-delta', text: 'It is' },
    { type: 'tool-call-start', index: 0, id: 'a', name: 'weather' },
    { type: 'tool-call-start', index: 1, id: 'b', name: 'time' },
    { type: 'tool-call-delta', index: 1, json: '{}' },
    { type: 'tool-call-delta', index: 0, json: '{"city":' },
    { type: 'tool-call-delta', index: 0, json: '"Paris"}' },
    { type: 'text-delta', text: ' 4.' },
    { type: 'refusal-delta', text: 'No.' },
    { type: 'finish', reason: 'stop', usage },
  ]);
  assert.deepEqual(answer, {
    text: 'It is 4.',
    reasoning: 'Let me see.',
    refusal: 'No.',
    calls: [
      { name: 'weather', arguments: '{"city":"Paris"}' },
      { name: 'time', arguments: '{}' },
    ],
  });
  assert.equal(isCut, false);
});

test('messages keep their order, their calls and the kinds of what is not text', () => {
  const request = chatRequest({
    messages: [
      { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What is ' },
          { type: 'image', url: 'data:image/png;base64,AAAA' },
          { type: 'text', text: 'this?' },
        ],
      },
      { role: 'assistant', content: [], toolCalls: [{ id: 'c', name: 'look', arguments: '{"at":1}' }] },
      { role: 'tool', toolCallId: 'c', content: [{ type: 'text', text: 'a cat' }] },
    ],
    tools: [{ name: 'look', description: 'looks' }],
  });
  const { messages, tools } = copyOf([], request);
  assert.deepEqual(messages, [
    { role: 'system', text: 'Be brief.', attachments: [], calls: [] },
    { role: 'user', text: 'What is this?', attachments: ['image'], calls: [] },
    { role: 'assistant', text: '', attachments: [], calls: [{ name: 'look', arguments: '{"at":1}' }] },
    { role: 'tool', text: 'a cat', attachments: [], calls: [] },
  ]);
  assert.deepEqual(tools, ['look']);
});

test('beyond its bound the oldest text is cut, and it says so', () => {
  const turn = (text: string) => ({ role: 'user', content: [{ type: 'text', text }] }) as const;
  const request = chatRequest({ messages: [turn('a'.repeat(100_000)), turn('b'.repeat(100_000))] });
  const answer = Array.from({ length: 300 }, () => ({ type: 'text-delta', text: 'c'.repeat(1_000) }) as const);
  const kept = copyOf(answer, request);
  assert.deepEqual(
    kept.messages.map(({ text }) => text.length),
    [31_072, 100_000],
  );
  assert.equal(kept.answer.text.length, 131_072);
  assert.equal(kept.isCut, true);
});

test('prompts and answers are kept where the operator says so, and those of mode local in no database elsewhere', () => {
  const kept = { enabled: true, retentionDays: 1, maxRows: 1, capture: true, captureRetentionDays: 1 };
  const wants = (mode: Mode, captureLocal: boolean, capture = true): boolean =>
    isCaptured(chatRequest({ hints: { mode } }), { ...kept, capture, captureLocal });
  assert.deepEqual([wants('local', true), wants('local', false)], [true, false]);
  assert.deepEqual([wants('auto', false), wants('auto', true, false)], [true, false]);
});

test('captures that come faster than the database takes them are lost and counted, and the answers pass', async () => {
  const { promise: freed, resolve: free } = Promise.withResolvers<void>();
  let stored = 0;
  const append = async (_: string, rows: readonly unknown[]): Promise<void> => {
    await freed;
    stored += rows.length;
  };
  const captures = new Captures({ append }, new FakeClock());
  for (let request = 0; request < 200; request++) {
    const follower = captures.follow(chatRequest());
    follower.wrote([
      { type: 'text-delta', text: 'Hello.' },
      { type: 'finish', reason: 'stop', usage },
    ]);
    follower.ended({ status: 200 });
  }
  const { pending, dropped } = captures.status();
  assert.ok(dropped >= 200 - 128 - 16, `${dropped} lost`);
  free();
  await captures.close();
  assert.equal(captures.status().dropped, dropped);
  assert.equal(stored, 200 - dropped);
  assert.ok(pending <= 128);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { type ChatRequest, type Message, textOf } from '../core/request.ts';
import { PromptCounts } from './prompt-counts.ts';

const turn = (text: string): Message => ({ role: 'user', content: [{ type: 'text', text }] });

/** Ten tokens of a template, four a turn, one a word; the words that were looked at. */
function counter() {
  const looked: number[] = [];
  const whole = async ({ messages, tools }: ChatRequest): Promise<number> => {
    const words = messages.flatMap((message) => textOf(message).split(' ')).length;
    looked.push(words);
    return 10 + 4 * messages.length + words + 100 * tools.length;
  };
  return { looked, whole };
}

test('a conversation that has grown is counted from where it was, to the same number', async () => {
  const { looked, whole } = counter();
  const counts = new PromptCounts();
  const tools = [{ name: 'f' }];
  const messages = [turn('one two three'), turn('four five')];
  assert.equal(await counts.count(chatRequest({ messages, tools }), whole), 123);
  looked.length = 0;
  const grown = chatRequest({ messages: [...messages, turn('six'), turn('seven eight')], tools });
  const tokens = await counts.count(grown, whole);
  assert.ok(
    looked.every((words) => words <= 4),
    String(looked),
  );
  assert.equal(tokens, await whole(grown));
  looked.length = 0;
  assert.equal(await counts.count(chatRequest({ messages: grown.messages, tools }), whole), tokens);
  assert.deepEqual(looked, []);
});

test('another beginning, other tools and another key are counted on their own', async () => {
  const { looked, whole } = counter();
  const counts = new PromptCounts();
  const messages = [turn('one two three')];
  await counts.count(chatRequest({ messages }), whole);
  for (const other of [
    chatRequest({ messages: [turn('one two four')] }),
    chatRequest({ messages, tools: [{ name: 'f' }] }),
    chatRequest({ messages, hints: { mode: 'auto', clientKey: 'k' } }),
  ]) {
    looked.length = 0;
    await counts.count(other, whole);
    assert.equal(looked.length, 1);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { Capabilities } from '../../../core/backend.ts';
import type { Continuation } from '../../../core/request.ts';
import { completeMessage } from './complete-message.ts';

const able: Capabilities = { tools: true, jsonSchema: true, images: false, audio: false, logprobs: true };

function complete(continuation: Continuation | undefined, capabilities: Partial<Capabilities>) {
  const warned: string[] = [];
  const call = {
    signal: new AbortController().signal,
    clock: new FakeClock(),
    model: 'tiny',
    wantScores: false,
    warn: (param: string) => void warned.push(param),
    keepAlive() {},
  };
  const request = chatRequest(continuation === undefined ? {} : { continuation });
  const target = { id: 1, backend: 'embedded', capabilities: { ...able, ...capabilities }, wantsPrefixes: true };
  return { message: completeMessage(request, call, target), warned };
}

test('a text goes on as it stands where the model can, and is a user’s message elsewhere, which a warning says', () => {
  const here = complete({ prompt: 'Once' }, { texts: true });
  assert.deepEqual([here.message.text, here.message.prefix, here.warned], [{ prompt: 'Once' }, undefined, []]);
  const filled = complete({ prompt: 'Once', suffix: 'end', bestOf: 2 }, { texts: true, infill: true });
  assert.deepEqual([filled.message.text, filled.warned], [{ prompt: 'Once', suffix: 'end' }, ['best_of']]);
  const there = complete({ prompt: 'Once', bestOf: 2 }, {});
  assert.deepEqual([there.message.text, there.warned], [undefined, ['prompt', 'best_of']]);
  assert.ok(there.message.messages.length > 0 && there.message.prefix !== undefined);
  assert.throws(() => complete({ prompt: 'Once', suffix: 'end' }, { texts: true }), { param: 'suffix', status: 400 });
  const chat = complete(undefined, { texts: true });
  assert.deepEqual([chat.message.text, chat.warned], [undefined, []]);
});

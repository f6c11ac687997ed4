import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chatRequest } from '@lfo/testing/chat-request.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { pino } from 'pino';

import { createConfigHandle } from '../config/handle.ts';
import { loadConfig } from '../config/load.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { AnswerWriter, Delivery, RequestSink } from '../core/sink.ts';
import { RetryBudget } from './retry.ts';
import { Chats } from './serve-chat.ts';

function chatsThatFail(error: Error, sinks: readonly RequestSink[]): { chats: Chats; log: string[] } {
  const config = loadConfig({ env: { LFO_LOCAL_MODEL: 'none' }, cwd: '/' });
  const log: string[] = [];
  const chats = new Chats({
    config: createConfigHandle(config, () => config),
    clock: new FakeClock(),
    logger: pino({ level: 'info' }, { write: (line: string) => void log.push(line) }),
    retries: new RetryBudget(config.retry, () => 0),
    stagesFor: () => {
      throw error;
    },
    costOf: () => undefined,
    sinks,
  });
  return { chats, log };
}

test('an internal error of a chat is logged with its id and where it came from, and none of its words', async () => {
  const deliveries: Delivery[] = [];
  const wrote: InferenceEvent[] = [];
  const sink: RequestSink = {
    begin: () => ({
      wrote: (events) => void wrote.push(...events),
      ended: (delivery) => void deliveries.push(delivery),
    }),
  };
  const { chats, log } = chatsThatFail(new TypeError('the prompt was: secret\n    at secret'), [sink]);
  const failed: unknown[] = [];
  const writer: AnswerWriter = {
    committed: false,
    write: () => undefined,
    end: async () => ({ status: 200 }),
    async fail(error) {
      failed.push(error);
      return { status: 500 };
    },
  };
  const request = chatRequest({ id: 'request-1' });
  const trace = await chats.serve({
    request,
    signal: new AbortController().signal,
    receivedMs: 0,
    bodyMs: 0,
    hasHead: () => false,
    open: () => writer,
  });
  assert.equal(trace.id, 'request-1');
  assert.equal(failed.length, 1);
  assert.deepEqual(deliveries, [{ status: 500 }]);
  const line: unknown = JSON.parse(log[0] ?? '');
  assert.ok(typeof line === 'object' && line !== null && 'stack' in line && 'requestId' in line);
  assert.equal(line.requestId, 'request-1');
  assert.match(String(line.stack), /serve-chat\.test\.ts:\d+/);
  assert.doesNotMatch(log.join(''), /secret/);
  assert.equal(chats.size, 0);
});

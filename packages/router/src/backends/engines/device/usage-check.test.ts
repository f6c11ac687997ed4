import assert from 'node:assert/strict';
import { test } from 'node:test';
import { routerLink, framedChannel, encodeFrame, maxFrameBytes } from '@lfo/protocol';
import { carrierPair } from '@lfo/testing/carrier-pair.ts';
import { deviceVectors } from '@lfo/testing/device-vectors.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { scriptedHello } from '@lfo/testing/scripted-device.ts';
import * as z from 'zod';
import { checkUsage, type CheckedUsage } from './usage-check.ts';

const { usage: cases } = deviceVectors(
  'trust',
  z.object({
    usage: z.array(
      z.object({
        answer_bytes: z.number(),
        request_bytes: z.number(),
        messages: z.number(),
        calls: z.number(),
        said: z.json(),
        taken: z.object({ prompt_tokens: z.number().nullable(), completion_tokens: z.number().nullable() }),
      }),
    ),
  }),
);

for (const { answer_bytes: answerBytes, request_bytes: requestBytes, messages, calls, said, taken } of cases)
  test(`a usage of ${JSON.stringify(said)} after ${answerBytes} bytes and ${calls} calls is checked`, () => {
    const found: CheckedUsage[] = [];
    const [near] = carrierPair();
    routerLink(framedChannel(near, maxFrameBytes), new FakeClock()).listen({
      onMessage(message) {
        if (message.t === 'done') found.push(checkUsage(message.usage, { answerBytes, requestBytes, messages, calls }));
      },
      onClose() {},
    });
    for (const message of [scriptedHello, { t: 'done', id: 0, n: 0, finish_reason: 'stop', usage: said }])
      near.inject(encodeFrame(Buffer.from(JSON.stringify(message))));
    assert.deepEqual(found, [
      {
        ...(taken.prompt_tokens === null ? {} : { promptTokens: taken.prompt_tokens }),
        ...(taken.completion_tokens === null ? {} : { completionTokens: taken.completion_tokens }),
      },
    ]);
  });

test('cached tokens beyond the prompt are absent', () => {
  const known = { answerBytes: 10, requestBytes: 10, messages: 1, calls: 0 };
  assert.deepEqual(checkUsage({ prompt_tokens: 5, completion_tokens: 1, cached_tokens: 6 }, known), {
    promptTokens: 5,
    completionTokens: 1,
  });
});

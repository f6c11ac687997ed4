import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { assertGrammar } from '@lfo/testing/event-grammar.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { frame, openaiChunks } from '@lfo/testing/upstream/openai-answer.ts';
import { scaled } from '@lfo/testing/test-scale.ts';
import * as fc from 'fast-check';
import type { Backend } from '../../../core/backend.ts';
import { BackendError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import type { HttpRequest } from '../../http/client.ts';
import { createOpenAiCompatibleBackend } from './backend.ts';

interface Canned {
  readonly status: number;
  readonly type: string;
  readonly reads: readonly Uint8Array[];
}

function backendAnswering({ status, type, reads }: Canned): Backend {
  async function* body(): AsyncGenerator<Uint8Array, void> {
    yield* reads;
  }
  const response = {
    status,
    headers: { 'content-type': type },
    body: Object.assign(body(), { destroy: () => undefined }),
  };
  // The only GET asks whether it is an Ollama.
  const none = { status: 404, headers: {}, body: Object.assign(noBytes(), { destroy: () => undefined }) };
  const client = {
    send: ({ method }: HttpRequest) => Promise.resolve(method === 'GET' ? none : response),
    close: () => Promise.resolve(),
  };
  return createOpenAiCompatibleBackend(
    {
      kind: 'openai-compatible',
      name: 'b',
      tier: 'local',
      baseUrl: 'http://127.0.0.1:1/v1',
      apiKeys: [],
      models: ['m'],
      capabilities: {},
      concurrency: 1,
      dialect: 'standard',
      fallbackModels: [],
      embeddingModels: [],
    },
    { client, clock: new FakeClock(), limits: { upstreamEventBytes: 1000, answerBytes: 10_000 } },
  );
}

async function* noBytes(): AsyncGenerator<Uint8Array, void> {}

async function eventsOf(canned: Canned): Promise<InferenceEvent[]> {
  const events: InferenceEvent[] = [];
  const infer = backendAnswering(canned).infer(chatRequest(), {
    signal: new AbortController().signal,
    clock: new FakeClock(),
    model: 'm',
    wantScores: false,
    warn: () => undefined,
    keepAlive: () => undefined,
  });
  for await (const batch of infer) events.push(...batch);
  return events;
}

const type = fc.constantFrom('text/event-stream', 'application/json', 'text/plain', '');
const good = Buffer.from(
  openaiChunks({ deltas: ['añ€', '😀'] })
    .map(frame)
    .join('') + 'data: [DONE]\n\n',
);

test('whatever bytes come, only backend errors escape and whole answers keep their grammar', async () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .constantFrom(
        'data: ',
        '\n\n',
        '\r',
        '[DONE]',
        '{"choices":[',
        '{"delta":{"content":"',
        '"}',
        ']}',
        '{"error":{}}',
      )
      .map((text) => Buffer.from(text)),
    fc.nat(good.length).map((end) => good.subarray(0, end)),
  );
  const status = fc.constantFrom(200, 200, 200, 204, 400, 429, 500, 599);
  await fc.assert(
    fc.asyncProperty(status, type, fc.array(piece, { maxLength: 6 }), async (status, type, reads) => {
      try {
        assertGrammar(await eventsOf({ status, type, reads }));
      } catch (error) {
        assert.ok(error instanceof BackendError, String(error));
      }
    }),
    { numRuns: scaled({ always: 2_000, full: 100_000 }), seed: 41 },
  );
});

test('a good answer is the same however it is split', async () => {
  const whole = await eventsOf({ status: 200, type: 'text/event-stream', reads: [good] });
  const cut = fc.array(fc.nat(good.length), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(cut, async (cuts) => {
      const ends = [...cuts.toSorted((a, b) => a - b), good.length];
      const reads = ends.map((end, at) => good.subarray(at === 0 ? 0 : ends[at - 1], end));
      assert.deepEqual(await eventsOf({ status: 200, type: 'text/event-stream', reads }), whole);
    }),
    { numRuns: 500, seed: 43 },
  );
});

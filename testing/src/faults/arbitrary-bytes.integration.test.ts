import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { Backend } from '@lfo/router/src/core/backend.ts';
import { UpstreamAnswer } from '@lfo/router/src/pipeline/upstream-answer.ts';
import type { HttpClient } from '@lfo/router/src/backends/http/client.ts';
import { createGeminiBackend } from '@lfo/router/src/backends/engines/gemini/backend.ts';
import { createOpenAiCompatibleBackend } from '@lfo/router/src/backends/engines/openai-compatible/backend.ts';
import { childOf } from '@lfo/router/src/core/abort.ts';
import { systemClock } from '@lfo/router/src/core/clock.ts';
import { LfoError } from '@lfo/router/src/core/errors.ts';
import { BoundedSignatureStore } from '@lfo/router/src/backends/engines/gemini/signature-store.ts';
import * as fc from 'fast-check';

import { chatRequest } from '../chat-request.ts';
import { assertWithin } from '../figure.ts';
import { scriptedRouter } from '../scripted-router.ts';
import { at } from '../sse.ts';
import { scaled } from '../test-scale.ts';
import { heldBytes } from './held-bytes.ts';
import { cloudServer, type FaultSubject, geminiCloud } from './subject.ts';

const mebibyte = 1024 * 1024;
/** 100,000 in all in the full run, 2,000 in every. */
const each = scaled({ always: 20, full: 1_000 });
const cases = { bodies: 30 * each, openai: 35 * each, gemini: 35 * each };
const limits = { upstreamEventBytes: 65_536, answerBytes: mebibyte, answerTokens: 10_000, fetchImages: false };

/** Bytes that are mostly noise, or mostly right with a wound. */
function woundedBytes(samples: readonly string[]): fc.Arbitrary<Uint8Array> {
  const noise = fc.uint8Array({ maxLength: 300 });
  const wounded = fc
    .tuple(fc.constantFrom(...samples), fc.nat(), fc.uint8Array({ maxLength: 12 }), fc.nat(40))
    .map(([sample, where, put, cut]) => {
      const bytes = Buffer.from(sample);
      const from = where % (bytes.length + 1);
      return Uint8Array.from(Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + cut)]));
    });
  const json = fc.json({ maxDepth: 4 }).map((text) => Uint8Array.from(Buffer.from(text)));
  return fc.oneof({ weight: 1, arbitrary: noise }, { weight: 4, arbitrary: wounded }, { weight: 1, arbitrary: json });
}

/** A client whose every answer is the bytes it was given. */
class CannedClient implements HttpClient {
  parts: readonly Uint8Array[] = [];
  status = 200;
  type = 'text/event-stream';

  send(): ReturnType<HttpClient['send']> {
    const { parts } = this;
    async function* read(): AsyncGenerator<Uint8Array> {
      yield* parts;
    }
    return Promise.resolve({
      status: this.status,
      headers: { 'content-type': this.type },
      body: Object.assign(read(), { destroy: () => undefined }),
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const call =
  '{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{\\"a\\":1}"}}]}';
const openaiSamples = [
  cloudServer.text('Hello 👋') + cloudServer.end,
  `data: {"choices":[{"index":0,"delta":${call},"logprobs":{"content":[{"token":"a","logprob":-0.1,"top_logprobs":[]}]}}]}\n\n${cloudServer.end}`,
  JSON.stringify(cloudServer.whole('Hello')),
  '[{"error":{"code":429,"message":"m","details":[{"retryDelay":"3s"}]}}]',
  'data: {"usage":{"prompt_tokens":1,"completion_tokens":2},"choices":[]}\n\ndata: [DONE]\n\n',
];
const geminiSamples = [
  geminiCloud.text('Hello 👋') + geminiCloud.end,
  'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":1},"id":"x"},"thoughtSignature":"c2ln"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2}}\r\n\r\n',
  JSON.stringify(geminiCloud.whole('Hello')),
  '{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"3s","violations":[{"quotaId":"PerDay"}]}]}}',
  '{"promptFeedback":{"blockReason":"SAFETY"}}',
];

function wire(
  subject: FaultSubject,
  samples: readonly string[],
  count: number,
  backendOver: (client: HttpClient) => Backend,
): void {
  test(
    `${subject.name}: whatever an upstream sends, only the project's errors come out, or one answer with one end`,
    { timeout: scaled({ always: 120_000, full: 1_700_000 }) },
    async (t) => {
      const client = new CannedClient();
      const request = chatRequest({ stream: true });
      const before = heldBytes();
      let slowestMs = 0;
      const property = fc.asyncProperty(
        woundedBytes(samples),
        fc.nat(),
        fc.constantFrom(200, 200, 200, 200, 400, 429, 500),
        fc.constantFrom('text/event-stream', 'text/event-stream', 'application/json', 'text/plain'),
        async (bytes, where, status, type) => {
          const cut = where % (bytes.length + 1);
          Object.assign(client, { parts: [bytes.subarray(0, cut), bytes.subarray(cut)], status, type });
          const startMs = performance.now();
          await assertContained(backendOver(client), request);
          slowestMs = Math.max(slowestMs, performance.now() - startMs);
        },
      );
      await fc.assert(property, { numRuns: count, endOnFailure: true });
      const heldMore = heldBytes() - before;
      t.diagnostic(
        `${count} cases, slowest ${slowestMs.toFixed(1)} ms, ${(heldMore / mebibyte).toFixed(1)} MB more held`,
      );
      assertWithin(t, 'slowest case', slowestMs, 2000);
      assert.ok(heldMore < 50 * mebibyte, `${heldMore} bytes`);
    },
  );
}

/** Runs one inference to its end, good or bad. */
async function assertContained(backend: Backend, request: ReturnType<typeof chatRequest>): Promise<void> {
  const abort = childOf(new AbortController().signal);
  const context = { model: 'm', wantScores: true, warn: () => undefined };
  const budgets = { connectMs: 1000, firstTokenMs: 1000, idleMs: 1000, totalMs: 1000 };
  const answer = new UpstreamAnswer((upstream) => backend.infer(request, { ...upstream, ...context }), {
    backend: backend.id,
    budgets,
    limits,
    clock: systemClock,
    abort,
    promptTokens: 1,
    refusesEmpty: true,
  });
  let finishes = 0;
  try {
    await answer.read({
      dueMs: () => Infinity,
      take(events) {
        for (const event of events) {
          assert.equal(finishes, 0, 'nothing follows the end');
          if (event.type !== 'finish') continue;
          finishes++;
          assert.ok(Number.isFinite(event.usage.promptTokens) && Number.isFinite(event.usage.completionTokens));
        }
        return undefined;
      },
      due: () => undefined,
    });
    assert.equal(finishes, 1);
  } catch (error) {
    if (!(error instanceof LfoError)) throw error;
  } finally {
    answer.close();
  }
}

describe('arbitrary bytes', () => {
  wire(cloudServer, openaiSamples, cases.openai, (client) =>
    createOpenAiCompatibleBackend(
      {
        kind: 'openai-compatible',
        name: 'b',
        tier: 'cloud',
        baseUrl: 'http://127.0.0.1/v1',
        apiKeys: [],
        models: ['m'],
        capabilities: {},
        concurrency: 1,
        dialect: 'standard',
        fallbackModels: [],
        embeddingModels: [],
      },
      { client, clock: systemClock, limits },
    ),
  );

  const signatures = new BoundedSignatureStore();
  wire(geminiCloud, geminiSamples, cases.gemini, (client) =>
    createGeminiBackend(
      {
        kind: 'gemini',
        name: 'g',
        tier: 'cloud',
        baseUrl: 'http://127.0.0.1',
        apiKeys: ['k'],
        auth: 'bearer',
        models: ['m'],
        concurrency: 1,
        fallbackModels: [],
        embeddingModels: [],
      },
      { client, clock: systemClock, signatures, limits },
    ),
  );

  test(
    'as a body they are answered with the envelope or with an answer',
    { timeout: scaled({ always: 120_000, full: 1_700_000 }) },
    async (t) => {
      const { app } = scriptedRouter();
      const samples = [
        '{"messages":[{"role":"user","content":"hi"}]}',
        '{"model":"tiny","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string","pattern":"^a+$"}}}}}],"metadata":{"mode":"auto"}}',
        '{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"1"}],"stream":true,"stream_options":{"include_usage":true}}',
        '{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}],"n":1,"temperature":0.5,"top_p":1,"stop":["a"],"logprobs":true,"top_logprobs":2,"response_format":{"type":"json_object"},"max_tokens":5}',
      ];
      const before = heldBytes();
      let slowestMs = 0;
      const property = fc.asyncProperty(woundedBytes(samples), async (bytes) => {
        const startMs = performance.now();
        const answer = await app.inject({
          method: 'POST',
          url: '/v1/chat/completions',
          headers: { host: 'localhost', 'content-type': 'application/json' },
          payload: Buffer.from(bytes),
        });
        slowestMs = Math.max(slowestMs, performance.now() - startMs);
        assert.ok(
          answer.statusCode === 200 || (answer.statusCode >= 400 && answer.statusCode < 500),
          `${answer.statusCode}: ${answer.body}`,
        );
        if (answer.statusCode === 200) return;
        const body: unknown = answer.json();
        for (const name of ['message', 'type', 'param', 'code']) assert.notEqual(at(body, 'error', name), undefined);
      });
      await fc.assert(property, { numRuns: cases.bodies, endOnFailure: true });
      const heldMore = heldBytes() - before;
      t.diagnostic(
        `${cases.bodies} cases, slowest ${slowestMs.toFixed(1)} ms, ${(heldMore / mebibyte).toFixed(1)} MB more held`,
      );
      assertWithin(t, 'slowest case', slowestMs, 2000);
      await app.close();
    },
  );
});

import type { TestContext } from 'node:test';
import { createGeminiBackend, type GeminiDependencies } from '@lfo/router/src/backends/engines/gemini/backend.ts';
import { createHttpClient } from '@lfo/router/src/backends/http/socket-client.ts';
import type { Backend, CallContext } from '@lfo/router/src/core/backend.ts';
import type { GeminiBackendConfig } from '@lfo/router/src/config/config.ts';
import type { InferenceEvent } from '@lfo/router/src/core/events.ts';
import type { ChatRequest } from '@lfo/router/src/core/request.ts';
import { BoundedSignatureStore } from '@lfo/router/src/backends/engines/gemini/signature-store.ts';
import { chatRequest } from '../chat-request.ts';
import { collectEvents } from '../collect.ts';
import { deepFreeze } from '../deep-freeze.ts';
import { FakeClock } from '../fake-clock.ts';

/** A Gemini backend in front of some origin, with everything a test may look at. */
export interface GeminiSubject {
  readonly backend: Backend;
  readonly clock: FakeClock;
  /** Parameters named as not honoured, over all requests. */
  readonly warned: string[];
  /** Calls sent with the sentinel instead of a signature. */
  readonly sentinels: () => number;
  /** Runs a deep-frozen request to its end. */
  readonly infer: (request: Partial<ChatRequest>, call?: Partial<CallContext>) => Promise<InferenceEvent[]>;
}

/** Makes a backend that is closed with the test. Its models come first in `config.models`. */
export function geminiSubject(
  t: TestContext,
  origin: string,
  config: Partial<GeminiBackendConfig> = {},
  dependencies: Partial<GeminiDependencies> = {},
): GeminiSubject {
  const clock = new FakeClock();
  const warned: string[] = [];
  let sentinels = 0;
  const models = config.models ?? ['gemini-2.5-flash'];
  const backend = createGeminiBackend(
    {
      kind: 'gemini',
      name: 'gemini',
      tier: 'cloud',
      baseUrl: origin,
      apiKeys: ['fake-key'],
      auth: 'api_key',
      models,
      concurrency: 1_000,
      fallbackModels: [],
      embeddingModels: [],
      ...config,
    },
    {
      client: createHttpClient({
        backend: 'gemini',
        tier: 'cloud',
        origins: new Set([origin]),
        clock,
        connectMs: 2_000,
      }),
      clock,
      signatures: new BoundedSignatureStore(),
      limits: { upstreamEventBytes: 1_000_000, answerBytes: 4_000_000 },
      onSentinel: () => sentinels++,
      ...dependencies,
    },
  );
  t.after(() => backend.close());
  return {
    backend,
    clock,
    warned,
    sentinels: () => sentinels,
    infer: (request, call = {}) =>
      collectEvents(
        backend.infer(deepFreeze(chatRequest(request)), {
          signal: new AbortController().signal,
          clock,
          model: models[0] ?? '',
          wantScores: false,
          warn: (param) => warned.push(param),
          keepAlive: () => undefined,
          ...call,
        }),
      ),
  };
}

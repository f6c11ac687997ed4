import { abortSignalOf } from '@lfo/router/src/core/abort.ts';
import type { Clock } from '@lfo/router/src/core/clock.ts';
import { systemClock } from '@lfo/router/src/core/clock.ts';
import type { LimitsConfig, ServerConfig } from '@lfo/router/src/config/config.ts';
import type { LfoError } from '@lfo/router/src/core/errors.ts';
import type { InferenceEvent, Usage } from '@lfo/router/src/core/events.ts';
import type { ChatExchange, ListedModel, Readiness } from '@lfo/router/src/core/exchange.ts';
import type { ChatRequest } from '@lfo/router/src/core/request.ts';
import { beginTrace, type RequestTrace } from '@lfo/router/src/core/trace.ts';
import type { Delivery } from '@lfo/router/src/core/sink.ts';
import type { VerifyKey } from '@lfo/router/src/core/identity.ts';
import { createHttp } from '@lfo/router/src/app/routes.ts';
import { pino } from 'pino';

import { playAnswer } from './play-answer.ts';

/** Plays the pipeline: yields the events of one answer and writes the trace as the pipeline would. */
export type ScriptedAnswer = (
  request: ChatRequest,
  call: { readonly signal: AbortSignal; readonly trace: RequestTrace },
) => AsyncIterable<InferenceEvent>;

export interface ScriptedRouterOptions {
  readonly answer?: ScriptedAnswer;
  readonly server?: Partial<ServerConfig>;
  readonly limits?: Partial<LimitsConfig>;
  readonly clock?: Clock;
  readonly verifyKey?: VerifyKey;
  readonly readiness?: () => Readiness;
  readonly isDraining?: () => boolean;
  readonly admissionError?: () => LfoError | undefined;
  /** Receives every log line. */
  readonly onLog?: (line: string) => void;
}

export const scriptedModels: readonly ListedModel[] = [
  { id: 'lfo-auto', ownedBy: 'lfo', aliasOf: 'auto' },
  { id: 'lfo-local', ownedBy: 'lfo', aliasOf: 'local' },
  { id: 'lfo-cloud', ownedBy: 'lfo', aliasOf: 'cloud' },
  { id: 'tiny', ownedBy: 'embedded', tier: 'local' },
  { id: 'vendor/large', ownedBy: 'faraway', tier: 'cloud' },
];

/** Numbers of a server for tests. */
export const serverDefaults: ServerConfig = {
  host: '127.0.0.1',
  port: 0,
  ollamaVersion: '0.30.0',
  allowedHosts: [],
  allowedOrigins: [],
  trustedProxies: [],
  headersTimeoutMs: 10_000,
  bodyTimeoutMs: 30_000,
  heartbeatMs: 10_000,
  slowReaderMs: 60_000,
  drainMs: 0,
  shutdownGraceMs: 30_000,
};

/** Limits of a server for tests. */
export const limitDefaults: LimitsConfig = {
  bodyBytes: 16 * 1024 * 1024,
  bodyDepth: 100,
  messages: 2048,
  tools: 128,
  upstreamEventBytes: 1024 * 1024,
  answerBytes: 16 * 1024 * 1024,
  answerTokens: 65_536,
  concurrency: 1024,
  queue: 1024,
  queueWaitMs: 30_000,
  failedAuthPerMinute: 100,
  fetchImages: false,
  storeWaitMs: 50,
  onOutage: 'share',
};

/** The real server and dialect around a scripted answer; `inject` it, or `listen` for a socket. */
export function scriptedRouter(options: ScriptedRouterOptions = {}) {
  const clock = options.clock ?? systemClock;
  const server = { ...serverDefaults, ...options.server };
  const answer = options.answer ?? (() => fromEvents(plainAnswer('4')));
  const exchanges: ChatExchange[] = [];
  const deliveries: Delivery[] = [];

  const app = createHttp({
    config: { server, limits: { ...limitDefaults, ...options.limits } },
    clock,
    pace: () => server,
    log: pino({ level: 'info' }, { write: (line: string) => options.onLog?.(line) }),
    ...(options.verifyKey !== undefined && { verifyKey: options.verifyKey }),
    models: () => scriptedModels,
    readiness: options.readiness ?? (() => ({ ready: true, reasons: [] })),
    isDraining: options.isDraining ?? (() => false),
    ...(options.admissionError !== undefined && { admissionError: options.admissionError }),
    explain: async (request) => ({
      mode: request.hints.mode,
      route: request.hints.mode === 'cloud' ? 'cloud' : 'local',
      reasons: ['local_first'],
      attempts: [{ tier: 'local', gated: true }],
      threshold: 0.7,
      promptTokens: 12,
      promptTokensFrom: 'bound',
      skipped: [],
    }),
    async chat(exchange) {
      exchanges.push(exchange);
      const { request, signal } = exchange;
      const times = { startMs: exchange.receivedMs, startedAtMs: clock.wallMs() };
      const trace = beginTrace(request, times, 0.7);
      Object.assign(trace, {
        route: 'local',
        backend: 'embedded',
        model: 'tiny',
        reason: 'local_first',
        overheadMs: 0.4,
      });
      deliveries.push(
        await playAnswer(answer(request, { signal: abortSignalOf(signal), trace }), exchange.open(trace)),
      );
    },
  });
  return {
    app,
    exchanges,
    deliveries,
    /** Base URL on a free loopback port. */
    listen: () => app.listen({ host: '127.0.0.1', port: 0 }),
  };
}

export const someUsage: Usage = { promptTokens: 12, completionTokens: 3 };

/** Text in the given pieces, and its end. */
export function plainAnswer(...pieces: readonly string[]): readonly InferenceEvent[] {
  return [
    { type: 'start', model: 'tiny' },
    ...pieces.map((text) => ({ type: 'text-delta', text }) as const),
    { type: 'finish', reason: 'stop', usage: someUsage },
  ];
}

/** Calls of one tool each, their arguments in two fragments, and the end. */
export function callingAnswer(
  ...calls: readonly { readonly name: string; readonly json: string }[]
): readonly InferenceEvent[] {
  return [
    { type: 'start', model: 'tiny' },
    ...calls.flatMap(({ name, json }, index): InferenceEvent[] => [
      { type: 'tool-call-start', index, id: `call${index}`, name },
      { type: 'tool-call-delta', index, json: json.slice(0, 3) },
      { type: 'tool-call-delta', index, json: json.slice(3) },
      { type: 'tool-call-end', index },
    ]),
    { type: 'finish', reason: 'tool_calls', usage: someUsage },
  ];
}

/** Events one a microtask. */
export async function* fromEvents(events: readonly InferenceEvent[]): AsyncGenerator<InferenceEvent> {
  yield* events;
}

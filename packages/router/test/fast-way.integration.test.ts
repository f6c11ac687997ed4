/**
 * Two routers, from bytes to bytes without a socket: one takes every shortcut that there is (bodies of the plain form,
 * kept decisions, answers that are told in the turn in which they come), the other none of them. For the same request and
 * the same upstream both send the same, answer the same, record the same and count the same, over a lifetime of requests.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { scaled } from '@lfo/testing/test-scale.ts';
import { frame, type OpenaiAnswer, openaiChunks, openaiCompletion } from '@lfo/testing/upstream/openai-answer.ts';
import * as fc from 'fast-check';
import { pino } from 'pino';
import { Pool } from 'undici';

import { createFleet } from '../src/app/fleet.ts';
import { modelLister } from '../src/app/model-list.ts';
import { createHttp } from '../src/app/routes.ts';
import { createOpenAiCompatibleBackend } from '../src/backends/engines/openai-compatible/backend.ts';
import type { HttpClient, HttpRequest, HttpResponse } from '../src/backends/http/client.ts';
import { createAnswerJudge } from '../src/confidence/answer-judge.ts';
import { createConfigHandle } from '../src/config/handle.ts';
import { loadConfig } from '../src/config/load.ts';
import type { BackendPool } from '../src/core/backend.ts';
import { BackendError } from '../src/core/errors.ts';
import { type Sink, type Source, sourceOf } from '../src/core/flow.ts';
import type { EndedRequest } from '../src/core/sink.ts';
import { RetryBudget } from '../src/pipeline/retry.ts';
import { Chats } from '../src/pipeline/serve-chat.ts';
import { requestRow } from '../src/records/request-record.ts';
import { Metrics } from '../src/telemetry/metrics.ts';

/** What an upstream does with one call. */
interface Play {
  readonly answer: OpenaiAnswer;
  readonly fault:
    | 'none'
    | 'refused'
    | 'status'
    | 'limited'
    | 'page'
    | 'nonsense'
    | 'error'
    | 'cut'
    | 'no end'
    | 'no finish';
  readonly status: number;
  /** Share of the answer after which the fault comes, and where its bytes are divided. */
  readonly at: number;
  readonly parts: number;
}

interface Case {
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly local: readonly Play[];
  readonly cloud: readonly Play[];
}

/** What a request has left behind. */
interface Seen {
  readonly status: number;
  readonly headers: unknown;
  readonly text: string;
  readonly upstream: readonly unknown[];
  readonly rows: readonly unknown[];
  readonly metrics: string;
}

const yaml = `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "http://127.0.0.1:9/v1", models: [small, other], concurrency: 4 }
  - { name: next, kind: openai-compatible, tier: local, base_url: "http://127.0.0.1:9/v1", models: [small], concurrency: 4 }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "https://cloud.example/v1", api_key: key, models: [large], concurrency: 4 }
`;

/** One router for many requests. */
class World {
  readonly #isFast: boolean;
  readonly #clock = new FakeClock(1_000_000);
  readonly #ended: EndedRequest[] = [];
  readonly #chats: Chats;
  readonly #metrics: Metrics;
  readonly #app: ReturnType<typeof createHttp>;
  #upstream: unknown[] = [];
  #plays: { local: Play[]; cloud: Play[] } = { local: [], cloud: [] };

  constructor(folder: string, isFast: boolean) {
    this.#isFast = isFast;
    const clock = this.#clock;
    const load = () => loadConfig({ env: { LFO_LOCAL_MODEL: 'none', LFO_DATA_DIR: folder }, cwd: folder });
    const config = createConfigHandle(load(), load);
    const logger = pino({ level: 'silent' });
    const { limits, retry } = config.current();
    const members = config.current().backends.flatMap((backend) => {
      if (backend.kind !== 'openai-compatible') return [];
      const client = this.#clientOf(backend.tier, backend.name);
      return {
        tier: backend.tier,
        backend: createOpenAiCompatibleBackend(backend, { client, clock, limits }),
        concurrency: 4,
      };
    });
    const ofTier = (wanted: string) => members.filter(({ tier }) => tier === wanted);
    const retries = new RetryBudget(retry, () => 0);
    const options = {
      config,
      clock,
      logger,
      processStartMs: 0,
      startup: { listening() {}, progress() {}, ready() {}, unable() {} },
    };
    const learning = {
      judge: createAnswerJudge(),
      sinks: [],
      loopTier: () => undefined,
      thresholdFor: () => undefined,
      expectedRight: () => undefined,
      compared: () => undefined,
      limits: () => config.current().routing,
    };
    const fleet = createFleet({ local: ofTier('local'), cloud: ofTier('cloud') }, options, retries, learning, () => 0);
    const stagesFor: typeof fleet.stagesFor = (request) => {
      const stages = fleet.stagesFor(request);
      return isFast ? stages : { ...stages, pool: unkept(stages.pool) };
    };
    const look = () => ({
      fleet: fleet.view(),
      inFlight: 0,
      waiting: 0,
      loopDelayMs: 0,
      loopUtilization: 0,
      sentinels: 0,
      ...noFigures,
    });
    this.#metrics = new Metrics({ version: 'v', node: 'n', router: 'r' }, look);
    const settled = (ended: readonly EndedRequest[]): void => {
      for (const one of ended) this.#metrics.observe(one.trace, one.delivery.status);
      this.#ended.push(...ended);
    };
    const chats = new Chats({
      config,
      clock,
      logger,
      retries,
      stagesFor,
      costOf: () => undefined,
      sinks: [{ settle: settled }],
    });
    this.#chats = chats;
    this.#app = createHttp({
      config: config.current(),
      clock,
      log: logger,
      pace: () => config.current().server,
      chat: async (exchange) => void (await chats.serve(exchange)),
      models: modelLister(() => fleet.members, clock).list,
      explain: () => assert.fail('nothing is explained'),
      readiness: () => ({ ready: true, reasons: [] }),
      isDraining: () => false,
    });
  }

  async ask({ body, headers, local, cloud }: Case): Promise<Seen> {
    this.#plays = { local: [...local], cloud: [...cloud] };
    this.#upstream = [];
    const text = JSON.stringify(body);
    // White space before a colon says the same, and is not of the plain form.
    const payload = this.#isFast ? text : text.replaceAll(/"(model|messages|stream)":/g, '"$1" :');
    const asked = this.#app.inject({
      method: 'POST',
      url: '/v1/chat/completions',
      headers: { 'content-type': 'application/json', ...headers },
      payload,
    });
    const answered = { isOver: false };
    void asked.finally(() => (answered.isOver = true));
    for (let turn = 0; !answered.isOver; turn++) {
      assert.ok(turn < 5_000, `no answer to ${text}`);
      await this.#clock.advanceAsync(turn < 100 ? 1 : 1_000);
    }
    const { statusCode, headers: given, body: answer } = await asked;
    this.#chats.settle();
    const named = (value: string): string => nameless(value, String(given['x-request-id']));
    const rows = this.#ended
      .splice(0)
      .map(({ trace, delivery, clientKey }) =>
        JSON.parse(
          named(JSON.stringify(requestRow(trace, { ...delivery, ...(clientKey !== undefined && { clientKey }) }))),
        ),
      );
    // Breakers and pauses pass, as between requests of a client.
    await this.#clock.advanceAsync(90_000);
    return {
      status: statusCode,
      headers: { ...given, 'x-request-id': 'ID', date: undefined, 'content-length': undefined },
      text: named(answer),
      upstream: this.#upstream,
      rows,
      metrics: this.#metrics.text(),
    };
  }

  async close(): Promise<void> {
    await this.#app.close();
  }

  #clientOf(tier: 'local' | 'cloud', backend: string): HttpClient {
    return {
      send: async (request) => {
        this.#upstream.push({
          backend,
          url: request.url.href,
          headers: request.headers,
          body: JSON.parse(request.body ?? 'null'),
        });
        const play = this.#plays[tier].shift();
        if (play === undefined || play.fault === 'refused')
          throw new BackendError('nobody listens', { fault: 'connect', backend });
        return this.#answerOf(play, request, backend);
      },
      close: async () => undefined,
    };
  }

  #answerOf(play: Play, { body = '', signal }: HttpRequest, backend: string): HttpResponse {
    const { status, type, bytes, isCut } = bytesOf(play, body.includes('"stream":true'));
    const reads = dividedAt(bytes, play.parts);
    const source = this.#told(reads, isCut ? new BackendError('cut', { fault: 'cut', backend }) : undefined, signal);
    const asked: Source<Uint8Array> = { [Symbol.asyncIterator]: () => source[Symbol.asyncIterator]() };
    const told = this.#isFast ? source : asked;
    return { status, headers: { 'content-type': type }, body: { ...told, destroy: () => undefined } };
  }

  /** One read a millisecond. */
  #told(reads: readonly Uint8Array[], error: unknown, signal: HttpRequest['signal']) {
    return sourceOf((to: Sink<Uint8Array>) => {
      const left = [...reads];
      let isPaused = false;
      let isOver = false;
      let cancel = (): void => undefined;
      const next = (): void => {
        if (isOver || isPaused) return;
        cancel = this.#clock.schedule(1, () => {
          const read = left.shift();
          if (signal.aborted) {
            isOver = true;
            to.end(signal.reason);
          } else if (read === undefined) {
            isOver = true;
            to.end(error);
          } else {
            to.put(read);
            next();
          }
        });
      };
      next();
      return {
        pause() {
          isPaused = true;
          cancel();
        },
        resume() {
          if (!isPaused) return;
          isPaused = false;
          next();
        },
        stop() {
          isOver = true;
          cancel();
        },
      };
    });
  }
}

/** A pool whose snapshot is another each time, so that no decision made over one is found again. */
function unkept(pool: BackendPool): BackendPool {
  return {
    acquire: (attempt, choice) => pool.acquire(attempt, choice),
    hasCandidate: (attempt, choice) => pool.hasCandidate(attempt, choice),
    predict: () => new Map(),
    wake() {},
    view: () => pool.view(),
    snapshot: () => ({ ...pool.snapshot() }),
  };
}

const noFigures = {
  devices: {
    devices: [],
    refused: new Map<string, number>(),
    pairings: new Map<string, number>(),
    wakes: new Map<string, number>(),
  },
  records: { pending: 0, written: 0, dropped: 0, degraded: false },
  captures: { dropped: 0 },
  expiring: [],
  spans: { sent: 0, dropped: 0 },
};

function bytesOf(
  { answer, fault, status, at }: Play,
  isStream: boolean,
): { readonly status: number; readonly type: string; readonly bytes: Buffer; readonly isCut: boolean } {
  if (fault === 'status' || fault === 'limited') {
    const text = JSON.stringify({ error: { message: 'logprobs are not supported', code: 'x' } });
    return {
      status: fault === 'limited' ? 429 : status,
      type: 'application/json',
      bytes: Buffer.from(text),
      isCut: false,
    };
  }
  const chunks = openaiChunks(answer);
  if (fault === 'no finish') chunks.splice(-2, 1);
  const done = fault === 'no end' ? '' : 'data: [DONE]\n\n';
  const text = isStream ? chunks.map(frame).join('') + done : JSON.stringify(openaiCompletion(answer));
  const whole = Buffer.from(text);
  const kept = whole.subarray(0, Math.floor(whole.length * at));
  const type = isStream ? 'text/event-stream' : 'application/json';
  switch (fault) {
    case 'page':
      return { status: 200, type: 'text/html', bytes: Buffer.from('<html></html>'), isCut: false };
    case 'nonsense':
      return { status: 200, type, bytes: Buffer.concat([kept, Buffer.from('\n\ndata: {{{\n\n')]), isCut: false };
    case 'error':
      return {
        status: 200,
        type,
        bytes: Buffer.concat([kept, Buffer.from('\n\ndata: {"error":{"message":"x","code":500}}\n\n')]),
        isCut: false,
      };
    case 'cut':
      return { status: 200, type, bytes: kept, isCut: true };
    default:
      return { status: 200, type, bytes: whole, isCut: false };
  }
}

function dividedAt(bytes: Buffer, parts: number): readonly Uint8Array[] {
  const size = Math.max(1, Math.ceil(bytes.length / parts));
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}

const word = fc.constantFrom('hello ', 'ü€😀', '"quoted"\\', '\n', '{"a":1}', 'data: ', '');
const words = fc.array(word, { maxLength: 6 });
const call = fc.record({
  id: fc.constantFrom('call_1', 'call_2'),
  name: fc.constantFrom('look', 'unknown'),
  argumentDeltas: fc.constantFrom(['{"path":', '"a"}'], ['{}'], ['{"path"'], [' no json']),
});
const answer: fc.Arbitrary<OpenaiAnswer> = fc
  .record({
    deltas: words,
    toolCalls: fc.option(fc.array(call, { minLength: 1, maxLength: 2 }), { nil: undefined }),
    finishReason: fc.option(fc.constantFrom('stop', 'length', 'content_filter', 'tool_calls', 'error'), {
      nil: undefined,
    }),
    sureness: fc.option(fc.constantFrom(-0.001, -0.1, -3), { nil: undefined }),
  })
  .map(({ deltas, toolCalls, finishReason, sureness }) => ({
    deltas,
    ...(toolCalls !== undefined && { toolCalls }),
    ...(finishReason !== undefined && { finishReason }),
    ...(sureness !== undefined && { logprobs: deltas.map(() => sureness) }),
  }));
const play: fc.Arbitrary<Play> = fc.record({
  answer,
  fault: fc.oneof(
    { weight: 6, arbitrary: fc.constant('none' as const) },
    {
      weight: 4,
      arbitrary: fc.constantFrom(
        'refused' as const,
        'status',
        'limited',
        'page',
        'nonsense',
        'error',
        'cut',
        'no end',
        'no finish',
      ),
    },
  ),
  status: fc.constantFrom(400, 401, 403, 404, 422, 500, 503),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  parts: fc.integer({ min: 1, max: 12 }),
});
const tool = {
  type: 'function',
  function: {
    name: 'look',
    description: 'Looks.',
    parameters: { type: 'object', properties: { path: { type: 'string' } } },
  },
};
const message = fc.oneof(
  fc.record({ role: fc.constantFrom('user', 'system', 'assistant'), content: words.map((all) => all.join('')) }),
  fc.record({ role: fc.constant('user'), content: fc.constant([{ type: 'text', text: 'parts' }]) }),
);
/** As a rule one of the sound values. */
function mostly<T, U>(sound: fc.Arbitrary<T>, other: fc.Arbitrary<U>): fc.Arbitrary<T | U> {
  return fc.oneof({ weight: 30, arbitrary: sound }, { weight: 1, arbitrary: other });
}
const request = fc
  .record(
    {
      model: mostly(
        fc.constantFrom('lfo-auto', 'lfo-local', 'lfo-cloud', 'small', 'near/other', 'large'),
        fc.constant('nobody'),
      ),
      messages: mostly(fc.array(message, { minLength: 1, maxLength: 4 }), fc.constantFrom([], 'hello', [{}])),
      stream: fc.boolean(),
      stream_options: fc.constant({ include_usage: true }),
      tools: mostly(fc.constant([tool]), fc.constantFrom([], [{ type: 'function' }])),
      temperature: mostly(fc.constantFrom(0, 1, -0), fc.constantFrom(3, 'warm')),
      tokens: fc.constantFrom({ max_tokens: 1 }, { max_tokens: 64 }, { max_completion_tokens: 32 }),
      response_format: fc.constantFrom({ type: 'json_object' }, { type: 'text' }),
      logprobs: fc.boolean(),
      stop: fc.constantFrom('x', ['a', 'b']),
      user: fc.constant('somebody'),
      unknown_field: fc.constant({ nested: [1] }),
    },
    { requiredKeys: ['model', 'messages'] },
  )
  .map(({ stream_options: options, tokens, ...body }) => ({
    ...body,
    ...tokens,
    ...(options !== undefined && body.stream === true && { stream_options: options }),
  }));
const headers = fc.constantFrom<Record<string, string>>(
  {},
  {},
  {},
  { 'x-lfo-mode': 'local' },
  { 'x-lfo-mode': 'cloud' },
);
const asked: fc.Arbitrary<Case> = fc.record({
  body: request,
  headers,
  local: fc.array(play, { minLength: 1, maxLength: 3 }),
  cloud: fc.array(play, { minLength: 1, maxLength: 2 }),
});

function worldFor(t: TestContext, isFast: boolean): World {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-way-'));
  writeFileSync(join(folder, 'lfo.yaml'), yaml);
  const world = new World(folder, isFast);
  t.after(async () => {
    await world.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return world;
}

test('the fast way and the slow way send, answer, record and count the same', { timeout: 3_600_000 }, async (t) => {
  const [fast, slow] = [worldFor(t, true), worldFor(t, false)];
  const statuses = new Map<number, number>();
  const property = fc.asyncProperty(asked, async (one) => {
    const [quick, thorough] = [await fast.ask(one), await slow.ask(one)];
    for (const part of ['status', 'upstream', 'text', 'headers', 'rows', 'metrics'] as const) {
      assert.deepEqual(quick[part], thorough[part], part);
    }
    statuses.set(quick.status, (statuses.get(quick.status) ?? 0) + 1);
  });
  // What was asked before is part of the case: nothing is shrunk.
  await fc.assert(property, {
    numRuns: scaled({ always: 2_000, full: 100_000 }),
    seed: 20_261_129,
    endOnFailure: true,
  });
  t.diagnostic(`statuses: ${JSON.stringify(Object.fromEntries(statuses))}`);
  assert.ok((statuses.get(200) ?? 0) > 500, 'many are answered');
  assert.ok(statuses.size >= 5, 'and many are not');
});

/** A text without the request's id; calls that came without a usable id have one made of it. */
function nameless(text: string, id: string): string {
  return text.replaceAll(id, 'ID').replaceAll(/call_[0-9a-f]{16}_/g, 'call_ID_');
}

/** Everything of an answer but when it came, and that something like it had come before. */
function timeless(text: string, id: string): string {
  return nameless(text, id)
    .replaceAll(/,"prefix_reuse":[\d.]+/g, '')
    .replaceAll(/"(created|latency_ms|overhead_ms|first_token_ms|held_ms)":(?:[\d.]+|null)/g, '"$1":0');
}

/** Pings keep a slow machine's stream open, wherever they fall. */
const withoutPings = (text: string): string => text.replaceAll(': waiting\n\n', '');

test('over sockets both ways are the same to the client and to the backend', { timeout: 600_000 }, async (t) => {
  let plays: Play[] = [];
  const upstream = await ScriptedUpstream.start(async (exchange) => {
    if (exchange.request.method === 'GET') return exchange.json(200, { data: [] });
    const current = plays.shift();
    // Not by a reset: whether a kept connection was lost or a request refused, nobody could say.
    if (current === undefined || current.fault === 'refused') return exchange.json(503, { error: { message: 'no' } });
    const { status, type, bytes, isCut } = bytesOf(current, exchange.request.text.includes('"stream":true'));
    exchange.head(status, { 'content-type': type });
    for (const part of dividedAt(bytes, current.parts)) await exchange.write(part);
    if (isCut) exchange.reset();
    else exchange.finish();
  });
  t.after(() => upstream.close());
  const router = await startRouter(t, {
    yaml: `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${upstream.origin}/v1", models: [small] }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${upstream.origin}/v1", api_key: key, models: [large] }
breaker: { failures: 10000 }
retry: { max_retries: 0 }
`,
  });
  const pool = new Pool(router.app.url);
  t.after(() => pool.destroy());
  const ask = async (payload: string) => {
    const chats = () => upstream.requests.filter(({ method }) => method === 'POST');
    const before = chats().length;
    const {
      statusCode,
      headers: given,
      body,
    } = await pool.request({
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { 'content-type': 'application/json' },
      body: payload,
    });
    const text = withoutPings(timeless(await body.text(), String(given['x-request-id'])));
    const sent = chats()
      .slice(before)
      .map(({ json }) => json);
    return { statusCode, text, sent };
  };
  // Until its rate is known a local server is asked for streams alone.
  const long: OpenaiAnswer = { deltas: Array.from({ length: 20 }, () => 'word ') };
  const sound = { answer: long, fault: 'none', status: 200, at: 1, parts: 12 } as const;
  for (let round = 0; round < 4; round++) {
    plays = [sound];
    await ask(JSON.stringify({ model: 'small', messages: [{ role: 'user', content: 'x'.repeat(400) }], stream: true }));
  }
  const named = fc.constantFrom('lfo-local', 'lfo-cloud', 'small', 'large');
  const unlimited = play.filter(({ fault, status }) => fault !== 'limited' && status !== 401 && status !== 403);
  const property = fc.asyncProperty(request, named, unlimited, async (body, model, one) => {
    // A whole answer of a local server may be asked for either way, by what is known of its speed at that moment.
    const isLocal = model === 'lfo-local' || model === 'small';
    const text = JSON.stringify({ ...body, model, ...(isLocal && { stream: true }) });
    plays = [one];
    const quick = await ask(text);
    plays = [one];
    assert.deepEqual(quick, await ask(text.replaceAll(/"(model|messages|stream)":/g, '"$1" :')));
  });
  await fc.assert(property, { numRuns: scaled({ always: 100, full: 500 }), seed: 20_261_129, endOnFailure: true });
});

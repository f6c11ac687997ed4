import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { type Behaviour, describeBackend } from '@lfo/testing/backend-contract.ts';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { collectEvents, oneByOne } from '@lfo/testing/collect.ts';
import { assertGrammar, textOfEvents } from '@lfo/testing/event-grammar.ts';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import { refusingOrigin, ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import type { Script } from '@lfo/testing/upstream/exchange.ts';
import { FakeOllama } from '@lfo/testing/upstream/fake-ollama.ts';
import { answerWith, frame, hello, openaiChunks } from '@lfo/testing/upstream/openai-answer.ts';
import type { Backend, BackendStatus, CallContext } from '../../../core/backend.ts';
import { type Clock, systemClock } from '../../../core/clock.ts';
import type { HttpBackendConfig } from '../../../config/config.ts';
import { BackendError, type BackendFault } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import type { ChatRequest } from '../../../core/request.ts';
import { createHttpClient } from '../../http/socket-client.ts';
import { createOpenAiCompatibleBackend } from './backend.ts';

const models: Readonly<Partial<Record<Behaviour, string>>> = {
  'hang-before-first-byte': 'fault-hang-before-head',
  'hang-mid-stream': 'fault-hang-mid-stream',
  'reset-mid-stream': 'fault-reset-mid-stream',
  'no-finish': 'fault-no-finish',
  'truncated-json': 'fault-truncated-json',
  'wrong-content-type': 'fault-html',
  'unknown-fields': 'fault-unknown-fields',
  length: 'fault-length',
  'status-401': 'fault-401',
  'status-429': 'fault-429',
  'status-500': 'fault-500',
};

const toolCall = answerWith({
  deltas: [],
  toolCalls: [{ id: 'call_1', name: 'add', argumentDeltas: ['{"a"', ':1}'] }],
});

function backendFor(
  t: TestContext,
  origin: string,
  config: Partial<HttpBackendConfig> = {},
  clock: Clock = systemClock,
): Backend {
  const tier = config.tier ?? 'local';
  const client = createHttpClient({
    backend: 'server',
    tier,
    origins: new Set([origin]),
    clock: systemClock,
    connectMs: 2000,
  });
  const backend = createOpenAiCompatibleBackend(
    {
      kind: 'openai-compatible',
      name: 'server',
      tier,
      baseUrl: `${origin}/v1`,
      apiKeys: ['key-secret-1'],
      models: ['scripted'],
      capabilities: {},
      concurrency: 1000,
      dialect: 'standard',
      fallbackModels: [],
      embeddingModels: [],
      ...config,
    },
    { client, clock, limits: { upstreamEventBytes: 100_000, answerBytes: 1_000_000 } },
  );
  t.after(() => backend.close());
  return backend;
}

async function upstreamFor(t: TestContext): Promise<ScriptedUpstream> {
  const upstream = await ScriptedUpstream.start();
  t.after(() => upstream.close());
  return upstream;
}

for (const tier of ['local', 'cloud'] as const) {
  describeBackend(
    `openai-compatible, ${tier}`,
    async (behaviour, t) => {
      const upstream = await upstreamFor(t);
      if (behaviour === 'tool-call') upstream.always(toolCall);
      const origin = behaviour === 'refused' ? await refusingOrigin() : upstream.origin;
      const model = models[behaviour] ?? 'scripted';
      const abandoned = async (): Promise<void> => {
        await upstream.received(1);
        assert.equal(await upstream.exchanges[0]?.ended, 'aborted');
      };
      return { backend: backendFor(t, origin, { tier }), model, abandoned };
    },
    true,
  );
}

function infer(
  backend: Backend,
  request: Partial<ChatRequest>,
  call: Partial<CallContext> = {},
): Promise<InferenceEvent[]> {
  return collectEvents(backend.infer(chatRequest(request), callContext(call)));
}

function callContext(call: Partial<CallContext> = {}): CallContext {
  return {
    signal: new AbortController().signal,
    clock: systemClock,
    model: 'scripted',
    wantScores: false,
    warn: () => undefined,
    keepAlive: () => undefined,
    ...call,
  };
}

async function faultOf(promise: Promise<unknown>): Promise<BackendError> {
  const error = await promise.then(
    () => assert.fail('it succeeded'),
    (error: unknown) => error,
  );
  assert.ok(error instanceof BackendError, String(error));
  assert.doesNotMatch(JSON.stringify([error.message, error.cause]), /secret/);
  return error;
}

for (const model of [
  'fault-byte-by-byte',
  'fault-sse-crlf',
  'fault-sse-cr',
  'fault-sse-bom',
  'fault-sse-comments',
  'fault-sse-no-space',
  'fault-sse-multi-line',
  'fault-no-done',
  'fault-json-for-stream',
  'fault-unknown-fields',
  'fault-usage-nan',
  'fault-usage-missing',
]) {
  test(`${model} changes nothing about the answer`, async (t) => {
    const upstream = await upstreamFor(t);
    const events = await infer(backendFor(t, upstream.origin), {}, { model });
    const finish = assertGrammar(events);
    assert.equal(textOfEvents(events), 'Hello from upstream.');
    assert.equal(finish.usage.estimated, model.startsWith('fault-usage') ? true : undefined);
  });
}

const faults: readonly [model: string, fault: BackendFault, status: number][] = [
  ['fault-reset-before-head', 'cut', 502],
  ['fault-fin-mid-stream', 'cut', 502],
  ['fault-done-without-finish', 'cut', 502],
  ['fault-bad-json-event', 'bad_answer', 502],
  ['fault-html-502', 'server', 502],
  ['fault-400', 'rejected', 400],
  ['fault-403', 'auth', 502],
  ['fault-404', 'rejected', 404],
  ['fault-413', 'rejected', 413],
  ['fault-422', 'rejected', 422],
  ['fault-context-length', 'rejected', 400],
  ['fault-500', 'server', 502],
  ['fault-503', 'server', 503],
  ['fault-504', 'server', 504],
  ['fault-redirect', 'bad_answer', 502],
  ['fault-encoded', 'bad_answer', 502],
  ['fault-error-as-stream', 'server', 503],
  ['fault-error-in-ok-stream', 'server', 503],
  ['fault-array-error', 'rate_limit', 429],
  ['fault-error-frame', 'server', 503],
  ['fault-error-event', 'server', 502],
  ['fault-endless-line', 'bad_answer', 502],
];

for (const [model, fault, status] of faults) {
  test(`${model} is a ${fault} fault with status ${status}, asked once`, async (t) => {
    const upstream = await upstreamFor(t);
    const error = await faultOf(infer(backendFor(t, upstream.origin), {}, { model }));
    assert.equal(error.fault, fault);
    assert.equal(error.status, status);
    assert.equal(upstream.requests.length, 1);
  });
}

test('a whole answer without choices is a bad answer', async (t) => {
  const upstream = await upstreamFor(t);
  const backend = backendFor(t, upstream.origin, { tier: 'cloud' });
  assert.equal((await faultOf(infer(backend, { stream: false }, { model: 'fault-no-choices' }))).fault, 'bad_answer');
});

for (const tier of ['local', 'cloud'] as const) {
  test(`an answer in one piece holds what the stream of it holds, in the ${tier} tier`, async (t) => {
    const upstream = await upstreamFor(t);
    const backend = backendFor(t, upstream.origin, { tier });
    const streamed = await infer(backend, { stream: false });
    const whole = (await backend.complete?.(chatRequest({ stream: false }), callContext())) ?? [];
    assertGrammar(whole);
    assert.equal(textOfEvents(whole), textOfEvents(streamed));
    assert.deepEqual(whole.at(-1), streamed.at(-1));
    assert.deepEqual(
      upstream.requests.map(({ text }) => text.includes('"stream":true')),
      [true, false],
    );
  });
}

test('scores are asked for when the gate wants them', async (t) => {
  const upstream = await upstreamFor(t);
  const events = await infer(backendFor(t, upstream.origin), {}, { wantScores: true });
  const scores = events.flatMap((event) => (event.type === 'token-scores' ? event.scores : []));
  assert.deepEqual(
    scores.map(({ logprob }) => logprob),
    [-0.1, -0.2, -0.3, -0.4],
  );
});

const noLogprobs: Script = (exchange) =>
  exchange.request.text.includes('"logprobs"')
    ? exchange.json(400, { error: { message: 'unknown field logprobs' } })
    : answerWith(hello)(exchange);

test('a server that refuses logprobs is asked once more without, and remembered', async (t) => {
  const upstream = await upstreamFor(t);
  upstream.always(noLogprobs);
  const backend = backendFor(t, upstream.origin);
  assert.equal(backend.capabilities.logprobs, true);
  for (let i = 0; i < 3; i++)
    assert.equal(textOfEvents(await infer(backend, {}, { wantScores: true })), 'Hello from upstream.');
  assert.equal(upstream.requests.length, 4);
  assert.equal(backend.capabilities.logprobs, false);
});

for (const said of [
  "'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is 32768 tokens and your request has 17459 input tokens (32000 > 32768 - 17459).",
  "This model's maximum context length is 32768 tokens. However, you requested 49459 tokens (17459 in the messages, 32000 in the completion).",
  'max_tokens is too large: 32000. This model supports at most 16384 completion tokens, whereas you provided 32000.',
]) {
  for (const tier of ['local', 'cloud'] as const) {
    test(`an answer longer than there is room for is asked for without a limit, in the ${tier} tier: ${said}`, async (t) => {
      const upstream = await upstreamFor(t);
      upstream.always((exchange) =>
        exchange.request.text.includes('_tokens"')
          ? exchange.json(400, { error: { message: said, type: 'BadRequestError', param: 'max_tokens', code: 400 } })
          : answerWith(hello)(exchange),
      );
      const backend = backendFor(t, upstream.origin, { tier });
      const warned: string[] = [];
      const sampling = { stop: [], logprobs: false, maxTokens: 32_000 };
      const events = await infer(backend, { sampling }, { warn: (param) => warned.push(param) });
      assert.equal(textOfEvents(events), 'Hello from upstream.');
      assert.deepEqual([upstream.requests.length, warned], [2, ['max_tokens']]);
    });
  }
}

const noScoresWithTools =
  (status: number, message: string): Script =>
  (exchange) => {
    const { text } = exchange.request;
    const isRefused = text.includes('"logprobs"') && text.includes('"tools"') && text.includes('"stream":true');
    return isRefused
      ? exchange.json(status, { error: { code: status, message, type: 'invalid_request_error' } })
      : answerWith(text.includes('"logprobs"') ? { ...hello, logprobs: [-0.1, -0.2, -0.3, -0.4] } : hello)(exchange);
  };

for (const status of [400, 500]) {
  test(`llama-server refuses scores with tools by a ${status}: dropped for that shape alone, learned, no failure`, async (t) => {
    const upstream = await upstreamFor(t);
    upstream.always(noScoresWithTools(status, 'logprobs is not supported with tools + stream'));
    const backend = backendFor(t, upstream.origin);
    const tools = [{ name: 'add' }];
    const hasScores = async (request: Partial<ChatRequest>): Promise<boolean> =>
      (await infer(backend, request, { wantScores: true })).some(({ type }) => type === 'token-scores');
    assert.equal(await hasScores({ tools }), false);
    assert.equal(upstream.requests.length, 2);
    assert.equal(await hasScores({ tools }), false);
    assert.equal(upstream.requests.length, 3);
    assert.equal(await hasScores({}), true);
    assert.equal(upstream.requests.length, 4);
  });
}

test('a 500 that does not name what it refuses is a failure, asked once', async (t) => {
  const upstream = await upstreamFor(t);
  const error = await faultOf(infer(backendFor(t, upstream.origin), {}, { wantScores: true, model: 'fault-500' }));
  assert.equal(error.fault, 'server');
  assert.equal(upstream.requests.length, 1);
});

test('an error status decides at once, whether or not its body ever comes', async (t) => {
  for (const [status, fault] of [
    [400, 'rejected'],
    [401, 'auth'],
    [429, 'rate_limit'],
    [500, 'server'],
    [503, 'server'],
  ] as const) {
    const upstream = await upstreamFor(t);
    upstream.always(async (exchange) => {
      exchange.head(status, { 'content-type': 'application/json', 'retry-after': '7' });
      await exchange.write('{"error":');
      await exchange.silence();
    });
    const error = await faultOf(infer(backendFor(t, upstream.origin), {}));
    assert.equal(error.fault, fault);
    assert.equal(error.retryAfterMs, 7000);
    assert.equal(await upstream.exchanges[0]?.ended, 'aborted');
  }
});

async function ollamaFor(t: TestContext, models: Readonly<Record<string, string | undefined>>): Promise<FakeOllama> {
  const ollama = await FakeOllama.start(models);
  t.after(() => ollama.upstream.close());
  return ollama;
}

const probed = async (backend: Backend): Promise<BackendStatus> => await backend.probe(new AbortController().signal);

test('Ollama lists models that run in its cloud: the local tier neither offers nor asks them', async (t) => {
  const ollama = await ollamaFor(t, {
    'gpt-oss:120b-cloud': 'gpt-oss:120b',
    'minimax-m2:cloud': 'minimax-m2',
    'qwen3:4b': undefined,
  });
  const backend = backendFor(t, ollama.origin, { models: [] });
  await probed(backend);
  assert.deepEqual(backend.models, ['qwen3:4b']);
  const error = await faultOf(infer(backend, {}, { model: 'gpt-oss:120b-cloud' }));
  assert.equal(error.code, 'egress_violation');
  assert.ok(ollama.upstream.requests.every(({ method }) => method === 'GET'));
});

test('an alias of a cloud model is known for what it is, whatever it is called', async (t) => {
  const ollama = await ollamaFor(t, {
    'mine:latest': 'gpt-oss:120b',
    'me/helper:v2': 'minimax-m2',
    'qwen3:4b': undefined,
  });
  const backend = backendFor(t, ollama.origin, { models: [] });
  assert.equal((await probed(backend)).state, 'ready');
  assert.deepEqual(backend.models, ['qwen3:4b']);
  for (const model of ['mine', 'mine:latest', 'MINE:Latest', ' mine', 'library/mine', 'me/helper:v2']) {
    assert.equal((await faultOf(infer(backend, {}, { model }))).code, 'egress_violation', model);
    const whole = backend.complete?.(chatRequest(), callContext({ model }));
    assert.equal((await faultOf(whole ?? Promise.resolve())).code, 'egress_violation', model);
  }
  assert.equal(textOfEvents(await infer(backend, {}, { model: 'qwen3:4b' })), 'Hello from upstream.');
  assert.deepEqual(ollama.sentOut, []);
  assert.equal(ollama.upstream.chats.length, 1);
});

test('an alias that its entry names is not used in the local tier, from the very first request on', async (t) => {
  const ollama = await ollamaFor(t, { 'mine:latest': 'gpt-oss:120b', 'qwen3:4b': undefined });
  const entry = { models: ['mine', 'qwen3:4b'], fallbackModels: ['mine'], embeddingModels: ['mine'] };
  const backend = backendFor(t, ollama.origin, entry);
  assert.equal((await faultOf(infer(backend, {}, { model: 'mine' }))).code, 'egress_violation');
  await probed(backend);
  assert.deepEqual([backend.models, backend.standIns, backend.embedder?.models], [['qwen3:4b'], [], []]);
  const { signal } = new AbortController();
  const embedding = backend.embedder?.embed(
    { inputs: ['a'], truncate: true },
    { ...callContext(), signal, model: 'mine' },
  );
  assert.equal((await faultOf(embedding ?? Promise.resolve())).code, 'egress_violation');
  const alone = backendFor(t, ollama.origin, { models: ['mine'] });
  const { state, detail } = await probed(alone);
  assert.equal(state, 'down');
  assert.match(detail ?? '', /tier cloud/);
  assert.equal((await faultOf(infer(alone, {}, { model: '' }))).code, 'egress_violation');
  assert.deepEqual(ollama.sentOut, []);
});

test('a name that is given to a cloud model after the last probe is not asked for', async (t) => {
  const ollama = await ollamaFor(t, { 'gpt-oss:120b-cloud': 'gpt-oss:120b', 'mine:latest': undefined });
  const clock = new FakeClock();
  const backend = backendFor(t, ollama.origin, { models: ['mine', 'new'] }, clock);
  await probed(backend);
  assert.equal((await faultOf(infer(backend, {}, { model: 'new' }))).code, 'model_not_found');
  assert.equal(textOfEvents(await infer(backend, {}, { model: 'mine' })), 'Hello from upstream.');
  ollama.copy('gpt-oss:120b-cloud', 'new:latest');
  ollama.copy('gpt-oss:120b-cloud', 'mine:latest');
  clock.advance(1001);
  for (const model of ['new', 'mine']) {
    assert.equal((await faultOf(infer(backend, {}, { model }))).code, 'egress_violation', model);
  }
  assert.deepEqual(ollama.sentOut, []);
});

test('an Ollama that does not say which models it hands on is given no prompt, and says why', async (t) => {
  for (const tags of [
    (exchange) => exchange.json(500, { error: 'no manifest' }),
    (exchange) => exchange.json(403, {}),
    (exchange) => exchange.reset(),
  ] satisfies Script[]) {
    const ollama = await ollamaFor(t, { 'mine:latest': 'gpt-oss:120b', 'qwen3:4b': undefined });
    const said = ollama.upstream.tags;
    for (const models of [[], ['qwen3:4b', 'mine']]) {
      ollama.upstream.tags = tags;
      const backend = backendFor(t, ollama.origin, { models });
      const { state, detail } = await probed(backend);
      assert.equal(state, 'down');
      assert.match(detail ?? '', /\/api\/tags/);
      for (const model of ['qwen3:4b', 'mine', '']) await faultOf(infer(backend, {}, { model }));
      assert.equal(ollama.upstream.chats.length, 0);
      ollama.upstream.tags = said;
      assert.equal((await probed(backend)).state, 'ready');
      assert.deepEqual(backend.models, ['qwen3:4b']);
    }
  }
});

test('a server that is no Ollama is used as ever, whatever it answers where Ollama would say', async (t) => {
  const llama = { name: '/m.gguf', model: '/m.gguf', size: '', digest: '', type: 'model' };
  const answers: readonly (readonly [askedAgain: boolean, Script])[] = [
    [false, (exchange) => exchange.json(404, { error: 'not found' })],
    [false, (exchange) => exchange.json(401, {})],
    [false, (exchange) => exchange.json(200, { error: 'Unexpected endpoint or method.' })],
    [false, (exchange) => exchange.json(200, { models: [llama], object: 'list', data: [] })],
    [true, (exchange) => exchange.json(500, {})],
    [true, (exchange) => exchange.reset()],
  ];
  for (const [askedAgain, answer] of answers) {
    const upstream = await upstreamFor(t);
    let asked = 0;
    upstream.tags = (exchange) => {
      asked++;
      return answer(exchange);
    };
    const backend = backendFor(t, upstream.origin);
    for (let i = 0; i < 3; i++) assert.equal((await probed(backend)).state, 'ready');
    assert.deepEqual(backend.models, ['scripted']);
    assert.equal(asked > 1, askedAgain);
    asked = 0;
    assert.equal(textOfEvents(await infer(backend, {})), 'Hello from upstream.');
    assert.equal(asked, 0);
  }
});

test('a local server is told the mode, and an answer that left the network is thrown away', async (t) => {
  for (const egress of ['gemini', 'undecided']) {
    const upstream = await upstreamFor(t);
    upstream.always(async (exchange) => {
      exchange.head(200, { 'content-type': 'text/event-stream', 'x-lfo-egress': egress });
      for (const chunk of openaiChunks(hello)) await exchange.write(frame(chunk));
      exchange.finish('data: [DONE]\n\n');
    });
    const error = await faultOf(infer(backendFor(t, upstream.origin), {}));
    assert.equal(error.code, 'egress_violation');
    assert.equal(error.status, 502);
    assert.equal(error.retryable, false);
    assert.equal(upstream.requests[0]?.headers['x-lfo-mode'], 'local');
  }
  const upstream = await upstreamFor(t);
  upstream.always(async (exchange) => {
    exchange.head(200, { 'content-type': 'text/event-stream', 'x-lfo-egress': 'none' });
    for (const chunk of openaiChunks(hello)) await exchange.write(frame(chunk));
    await exchange.write(frame({ choices: [], lfo_metadata: { egress: 'gemini' } }));
    exchange.finish('data: [DONE]\n\n');
  });
  const late = await faultOf(infer(backendFor(t, upstream.origin), {}));
  assert.equal(late.code, 'egress_violation');
  const cloud = backendFor(t, upstream.origin, { tier: 'cloud' });
  assert.equal(textOfEvents(await infer(cloud, {})), 'Hello from upstream.');
  assert.equal(upstream.requests[1]?.headers['x-lfo-mode'], undefined);
});

test('an LFO behind the local tier offers what stays local', async (t) => {
  const upstream = await upstreamFor(t);
  upstream.always((exchange) =>
    exchange.json(200, { object: 'list', data: ['lfo-auto', 'lfo-local', 'lfo-cloud', 'qwen'].map((id) => ({ id })) }),
  );
  const backend = backendFor(t, upstream.origin, { models: [] });
  await backend.probe(new AbortController().signal);
  assert.deepEqual(backend.models, ['lfo-local', 'qwen']);
});

test('a request that is refused for itself teaches nothing', async (t) => {
  const upstream = await upstreamFor(t);
  const backend = backendFor(t, upstream.origin);
  assert.equal((await faultOf(infer(backend, {}, { wantScores: true, model: 'fault-400' }))).fault, 'rejected');
  assert.equal(upstream.requests.length, 2);
  assert.equal(backend.capabilities.logprobs, true);
});

function keyOf(upstream: ScriptedUpstream, at: number): string | undefined {
  return upstream.requests[at]?.headers.authorization;
}

test('a limited or refused key makes way for the next, and is not used before its time', async (t) => {
  for (const [status, laterCalls] of [
    [429, ['b', 'b']],
    [401, ['b', 'b']],
  ] as const) {
    const upstream = await upstreamFor(t);
    upstream.next((exchange) => exchange.json(status, { error: {} }, { 'retry-after': '60' }));
    const backend = backendFor(t, upstream.origin, { apiKeys: ['a', 'b'] });
    await infer(backend, {});
    await infer(backend, {});
    assert.deepEqual(
      [0, 1, 2].map((at) => keyOf(upstream, at)),
      ['a', ...laterCalls].map((key) => `Bearer ${key}`),
    );
  }
});

test('with every key limited nothing is sent, and the wait is told', async (t) => {
  const upstream = await upstreamFor(t);
  upstream.always((exchange) => exchange.json(429, { error: {} }, { 'retry-after': '60' }));
  const backend = backendFor(t, upstream.origin, { apiKeys: ['a', 'b'] });
  const firstWaitMs = (await faultOf(infer(backend, {}))).retryAfterMs ?? 0;
  assert.ok(firstWaitMs > 59_000 && firstWaitMs <= 60_000);
  const again = await faultOf(infer(backend, {}));
  assert.equal(again.fault, 'rate_limit');
  assert.ok(again.retryAfterMs !== undefined && again.retryAfterMs > 50_000);
  assert.equal(upstream.requests.length, 2);
});

test('stand-ins are named for the plan, which makes them attempts; the backend asks once', async (t) => {
  const upstream = await upstreamFor(t);
  const backend = backendFor(t, upstream.origin, { fallbackModels: ['scripted'] });
  assert.deepEqual(backend.standIns, ['scripted']);
  await faultOf(infer(backend, {}, { model: 'fault-500' }));
  assert.equal(upstream.requests.length, 1);
});

test('a probe of the local tier lists models and their context, or says what is wrong', async (t) => {
  const { signal } = new AbortController();
  const upstream = await upstreamFor(t);
  const backend = backendFor(t, upstream.origin, { models: [] });
  assert.equal((await backend.probe(signal)).state, 'ready');
  assert.deepEqual(backend.models, ['scripted']);
  assert.equal(backend.capabilities.contextTokens, 4096);
  const gone = backendFor(t, await refusingOrigin());
  const status = await gone.probe(signal);
  assert.equal(status.state, 'down');
  assert.match(status.detail ?? '', /refused/);
  assert.equal(gone.status().state, 'down');
});

test('the cloud tier sends nothing before a request, not even for a probe', async (t) => {
  const upstream = await upstreamFor(t);
  const backend = backendFor(t, upstream.origin, { tier: 'cloud', models: [] });
  assert.equal((await backend.probe(new AbortController().signal)).state, 'ready');
  assert.equal(upstream.openConnections, 0);
  await infer(backend, {}, { model: '' });
  assert.deepEqual(
    upstream.requests.map(({ method }) => method),
    ['GET', 'POST'],
  );
});

test('a finished stream leaves its connection for the next request', async (t) => {
  const upstream = await upstreamFor(t);
  const backend = backendFor(t, upstream.origin);
  for (let i = 0; i < 5; i++) {
    const controller = new AbortController();
    for await (const event of oneByOne(
      backend.infer(chatRequest(), {
        signal: controller.signal,
        clock: systemClock,
        model: 'scripted',
        wantScores: false,
        warn: () => undefined,
        keepAlive: () => undefined,
      }),
    ))
      if (event.type === 'finish') break;
    controller.abort();
    await settle(20);
  }
  assert.deepEqual(new Set(upstream.requests.map(({ connection }) => connection)).size, 1);
});

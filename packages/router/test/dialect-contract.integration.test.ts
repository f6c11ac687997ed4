import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test, type TestContext } from 'node:test';
import { eventSequence } from '@lfo/testing/answer-events.ts';
import { startTiers } from '@lfo/testing/both-tiers.ts';
import { openApiValidator } from '@lfo/testing/openapi-validator.ts';
import { fromEvents, type ScriptedAnswer, scriptedRouter, someUsage } from '@lfo/testing/scripted-router.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import * as fc from 'fast-check';
import { BackendError, LfoError, NoBackendError } from '../src/core/errors.ts';
import type { InferenceEvent } from '../src/core/events.ts';
import type { ChatRequest } from '../src/core/request.ts';
import type { Talk, TalkCall, Understood, Wire } from './wires/talk.ts';
import { geminiArray } from './wires/gemini.ts';
import { openaiChat } from './wires/openai-chat.ts';
import { openaiCompletions } from './wires/openai-completions.ts';
import { wires } from './wires/wires.ts';

// The contract of a dialect, which each of them passes: the same conversation reaches the pipeline as the same request, the
// same events come out as the same answer, and a stream says what the whole answer says, in the order its clients expect.

const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const weather = {
  name: 'weather',
  description: 'The weather now.',
  schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const clock = { name: 'clock', description: 'The time.', schema: { type: 'object', properties: {} } };
const call = (id: string, city: string): TalkCall => ({ id, name: 'weather', input: { city } });
const question = { user: 'What is the weather in Zürich 🏔?' };
const maxTokens = 64;

/** Conversations, by what they hold. */
const talks: Readonly<Record<string, Talk>> = {
  'a text': { turns: [question], maxTokens },
  'a system text': { system: 'You are terse.', turns: [question], maxTokens },
  'several turns': {
    turns: [question, { assistant: 'Sunny.' }, { user: 'And tomorrow?' }],
    maxTokens,
    temperature: 0.5,
  },
  'a call and its result': {
    system: 'You are terse.',
    turns: [question, { assistant: 'I look.', calls: [call('c1', 'Zürich')] }, { result: 'sunny', of: call('c1', '') }],
    tools: [weather, clock],
    maxTokens,
  },
  'parallel calls': {
    turns: [
      question,
      { assistant: '', calls: [call('c1', 'Zürich'), call('c2', 'Bern')] },
      { result: 'sunny', of: call('c1', '') },
      { result: 'rain', of: call('c2', '') },
      { user: 'And Basel?' },
    ],
    tools: [weather],
    maxTokens,
  },
  'a result that is an error': {
    turns: [
      question,
      { assistant: '', calls: [call('c1', 'Zürich')] },
      { result: 'no such city', of: call('c1', ''), isError: true },
    ],
    tools: [weather],
    maxTokens,
  },
  'an image': { turns: [{ user: 'What is this?', image: pixel }], maxTokens },
  'a JSON schema': { turns: [question], schema: weather.schema, maxTokens },
  'thoughts of earlier turns': {
    turns: [
      question,
      { assistant: '', thought: 'I must look it up.', calls: [call('c1', 'Zürich')] },
      { result: 'sunny', of: call('c1', '') },
    ],
    tools: [weather],
    maxTokens,
  },
  'a call that nobody answered': {
    turns: [question, { assistant: 'I look.', calls: [call('c1', 'Zürich')] }, { user: 'Never mind. Say hello.' }],
    tools: [weather],
    maxTokens,
  },
};

const start: InferenceEvent = { type: 'start', model: 'tiny' };
const finish = (reason: 'stop' | 'length' | 'tool_calls' | 'content_filter' = 'stop'): InferenceEvent => ({
  type: 'finish',
  reason,
  usage: someUsage,
});
const said = (...texts: readonly string[]): readonly InferenceEvent[] =>
  texts.map((text) => ({ type: 'text-delta', text }));
const called = (index: number, name: string, ...json: readonly string[]): readonly InferenceEvent[] => [
  { type: 'tool-call-start', index, id: `call${index}`, name },
  ...json.map((piece): InferenceEvent => ({ type: 'tool-call-delta', index, json: piece })),
  { type: 'tool-call-end', index },
];

type Answer = Omit<Understood, 'inputTokens' | 'outputTokens'>;
const nothing: Answer = { text: '', thought: '', calls: [], stop: 'end' };

/** Answers, by what they are, with what every client is to understand. */
const answers: Readonly<Record<string, { readonly events: readonly InferenceEvent[]; readonly is: Answer }>> = {
  'a text': { events: [start, ...said('It is', ' 4.'), finish()], is: { ...nothing, text: 'It is 4.' } },
  'a text cut between the halves of a sign': {
    events: [start, ...said('On top \ud83c', '\udfd4.'), finish()],
    is: { ...nothing, text: 'On top 🏔.' },
  },
  'nothing at all': { events: [start, finish()], is: nothing },
  'a text that ran into its limit': {
    events: [start, ...said('It'), finish('length')],
    is: { ...nothing, text: 'It', stop: 'length' },
  },
  'a thought and a text': {
    events: [start, { type: 'reasoning-delta', text: 'Two and two.' }, ...said('4'), finish()],
    is: { ...nothing, thought: 'Two and two.', text: '4' },
  },
  'a text and a call': {
    events: [start, ...said('I look.'), ...called(0, 'weather', '{"city":"Zü', 'rich 🏔"}'), finish('tool_calls')],
    is: { ...nothing, text: 'I look.', calls: [{ name: 'weather', input: { city: 'Zürich 🏔' } }], stop: 'calls' },
  },
  'a call without arguments': {
    events: [start, ...called(0, 'clock', '{}'), finish('tool_calls')],
    is: { ...nothing, calls: [{ name: 'clock', input: {} }], stop: 'calls' },
  },
  'two calls at once': {
    events: [
      start,
      { type: 'tool-call-start', index: 0, id: 'a', name: 'weather' },
      { type: 'tool-call-start', index: 1, id: 'b', name: 'clock' },
      { type: 'tool-call-delta', index: 1, json: '{' },
      { type: 'tool-call-delta', index: 0, json: '{"city":' },
      { type: 'tool-call-delta', index: 1, json: '}' },
      { type: 'tool-call-delta', index: 0, json: '"Bern"}' },
      { type: 'tool-call-end', index: 0 },
      { type: 'tool-call-end', index: 1 },
      finish('tool_calls'),
    ],
    is: {
      ...nothing,
      calls: [
        { name: 'weather', input: { city: 'Bern' } },
        { name: 'clock', input: {} },
      ],
      stop: 'calls',
    },
  },
  'a filtered answer': {
    events: [start, ...said('I'), finish('content_filter')],
    is: { ...nothing, text: 'I', stop: 'refusal' },
  },
};

const talk: Talk = { turns: [question], tools: [weather, clock], maxTokens, thinks: true };

interface Scene {
  readonly base: string;
  readonly seen: ChatRequest[];
  /** What answers from now on. */
  script: ScriptedAnswer;
}

async function scene(t: TestContext, options: Parameters<typeof scriptedRouter>[0] = {}): Promise<Scene> {
  const seen: ChatRequest[] = [];
  const router = scriptedRouter({
    ...options,
    answer(request, context) {
      seen.push(request);
      return playing.script(request, context);
    },
  });
  const base = await router.listen();
  t.after(() => router.app.close());
  const playing: Scene = { base, seen, script: () => fromEvents(answers['a text']?.events ?? []) };
  return playing;
}

function post(
  base: string,
  path: string,
  body: object,
  { headers, ...more }: { readonly headers?: Record<string, string>; readonly signal?: AbortSignal } = {},
): Promise<Response> {
  return fetch(base + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    ...more,
  });
}

interface Sent {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

async function send(
  base: string,
  wire: Wire,
  { asks = talk, model = 'lfo-auto', isStream = false, headers = {} }: Asking = {},
): Promise<Sent> {
  const response = await post(base, wire.path(model, isStream), wire.body(asks, model, isStream), { headers });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

interface Asking {
  readonly asks?: Talk;
  readonly model?: string;
  readonly isStream?: boolean;
  readonly headers?: Record<string, string>;
}

/** One wire has no word for an answer that was filtered. */
function expected(wire: Wire, is: Answer): Understood {
  const stop = wire.name === 'ollama' && is.stop === 'refusal' ? 'end' : is.stop;
  return { ...is, stop, inputTokens: someUsage.promptTokens, outputTokens: someUsage.completionTokens };
}

/** What of a request says what the client meant. */
function meant({ messages, tools, toolChoice, responseFormat, sampling, hints: { mode } }: ChatRequest): object {
  const { maxTokens: limit, temperature, stop } = sampling;
  const schema = responseFormat?.type === 'json_schema' ? responseFormat.schema : responseFormat?.type;
  return { messages, tools, toolChoice, schema, limit, temperature, stop, mode };
}

for (const wire of [...wires, geminiArray, openaiCompletions]) {
  const isTextOnly = wire.isTextOnly === true;
  describe(wire.name, () => {
    for (const [name, asks] of Object.entries(isTextOnly ? {} : talks)) {
      test(`${name} reaches the pipeline as it does on the first wire`, async (t) => {
        const playing = await scene(t);
        const [chat] = wires;
        assert.ok(chat !== undefined);
        const first = await send(playing.base, chat, { asks });
        assert.equal(first.status, 200, first.text);
        for (const isStream of [false, true]) {
          const { status, text } = await send(playing.base, wire, { asks, isStream });
          assert.equal(status, 200, text);
        }
        const [reference, whole, streamed] = playing.seen;
        assert.ok(reference !== undefined && whole !== undefined && streamed !== undefined);
        assert.deepEqual(meant(whole), meant(reference));
        assert.deepEqual([meant(streamed), streamed.stream], [meant(whole), true]);
      });
    }

    for (const [name, { events, is }] of Object.entries(answers)) {
      if (isTextOnly && (is.calls.length > 0 || is.thought !== '')) continue;
      test(`${name} is understood, whole as in a stream`, async (t) => {
        const playing = await scene(t);
        playing.script = () => fromEvents(events);
        const whole = await send(playing.base, wire);
        assert.equal(whole.status, 200, whole.text);
        assert.deepEqual(wire.whole(whole.text), expected(wire, is));
        const { text } = await send(playing.base, wire, { isStream: true });
        assert.deepEqual(wire.stream(text), expected(wire, is));
      });
    }

    test('thoughts that nobody asked for are left out, but on the wire that has no way to ask', async (t) => {
      const playing = await scene(t);
      playing.script = () => fromEvents(answers['a thought and a text']?.events ?? []);
      const asks: Talk = { turns: [question], maxTokens };
      const thought = wire === openaiChat ? 'Two and two.' : '';
      for (const isStream of [false, true]) {
        const { text } = await send(playing.base, wire, { asks, isStream });
        const understood = isStream ? wire.stream(text) : wire.whole(text);
        assert.deepEqual([understood.thought, understood.text], [thought, '4']);
      }
    });

    test('whatever events come, a stream says what the whole answer says', async (t) => {
      const playing = await scene(t);
      await fc.assert(
        fc.asyncProperty(eventSequence(['weather', 'clock']), async (events) => {
          playing.script = () => fromEvents(events);
          const whole = await send(playing.base, wire);
          const { text } = await send(playing.base, wire, { isStream: true });
          assert.equal(whole.status, 200, whole.text);
          assert.deepEqual(wire.stream(text), wire.whole(whole.text));
        }),
        { numRuns: 40 },
      );
    });

    test('a stream is alive before its first word', { timeout: 10_000 }, async (t) => {
      const playing = await scene(t, { server: { heartbeatMs: 5 } });
      const { promise: isAlive, resolve: alive } = Promise.withResolvers<void>();
      playing.script = async function* () {
        yield start;
        await isAlive;
        yield* said('At last.');
        yield finish();
      };
      const response = await post(playing.base, wire.path('lfo-auto', true), wire.body(talk, 'lfo-auto', true));
      let text = '';
      const decoder = new TextDecoder();
      assert.ok(response.body !== null);
      for await (const bytes of response.body) {
        text += decoder.decode(bytes, { stream: true });
        alive();
      }
      assert.equal(wire.stream(text).text, 'At last.');
    });

    test('a client that leaves is told to the model', { timeout: 10_000 }, async (t) => {
      const playing = await scene(t);
      const { promise: left, resolve } = Promise.withResolvers<void>();
      playing.script = async function* (_request, { signal }) {
        yield start;
        yield* said('Wait');
        await once(signal, 'abort');
        resolve();
      };
      const abort = new AbortController();
      const response = await post(playing.base, wire.path('lfo-auto', true), wire.body(talk, 'lfo-auto', true), {
        signal: abort.signal,
      });
      await response.body?.getReader().read();
      abort.abort();
      await left;
    });

    test('a failure before the first word is an error with its own status, after it an error in the stream', async (t) => {
      const playing = await scene(t);
      const cut = new BackendError('The backend was cut off.', { fault: 'cut', backend: 'near' });
      playing.script = async function* () {
        yield start;
        throw cut;
      };
      for (const isStream of [false, true]) {
        const { status, text } = await send(playing.base, wire, { isStream });
        assert.equal(status, 502);
        assert.equal(wire.error(text).code, 'upstream_cut');
      }
      playing.script = async function* () {
        yield start;
        yield* said('It is');
        throw cut;
      };
      const { status, text } = await send(playing.base, wire, { isStream: true });
      assert.equal(status, 200);
      const { stop, text: so } = wire.stream(text);
      assert.equal(stop, 'failed');
      assert.ok(so === 'It is' || so === '', so);
    });

    test('errors come in the envelope of the wire, whoever raises them', async (t) => {
      const failing: Readonly<Record<number, Error>> = {
        429: new BackendError('Slow down.', { fault: 'rate_limit', backend: 'near', retryAfterMs: 3000 }),
        503: new NoBackendError('Nobody is there.', { reason: 'local_unavailable', skipped: [] }),
      };
      const playing = await scene(t, {
        limits: { bodyBytes: 2000 },
        verifyKey: (key) => (key === 'good' ? { id: 'good', scopes: ['chat'] } : undefined),
      });
      const headers = { authorization: 'Bearer good' };
      const unauthorised = await send(playing.base, wire);
      assert.deepEqual([unauthorised.status, wire.error(unauthorised.text).code], [401, 'invalid_api_key']);
      const unknown = await send(playing.base, wire, { model: 'nobody', headers });
      assert.deepEqual([unknown.status, wire.error(unknown.text).code], [404, 'model_not_found']);
      const asks: Talk = { turns: [{ user: 'word '.repeat(1000) }], maxTokens };
      const large = await send(playing.base, wire, { asks, headers });
      assert.equal(large.status, 413, large.text);
      assert.ok(wire.error(large.text).code.length > 0);
      for (const [status, error] of Object.entries(failing)) {
        playing.script = async function* () {
          yield start;
          throw error;
        };
        const sent = await send(playing.base, wire, { headers });
        assert.equal(sent.status, Number(status));
        const { code, message } = wire.error(sent.text);
        assert.ok(error instanceof LfoError && code === error.code, code);
        assert.ok(message.length > 0);
        assert.equal(sent.headers.get('retry-after') !== null, status === '429' || sent.headers.has('retry-after'));
      }
    });
  });
}

const scored: readonly InferenceEvent[] = [
  start,
  {
    type: 'token-scores',
    about: 'text',
    scores: [
      {
        token: '4',
        id: 19,
        logprob: -0.25,
        top: [
          { token: '4', logprob: -0.25 },
          { token: '5', logprob: -2 },
        ],
      },
    ],
  },
  ...said('4'),
  finish(),
];

test('scores of tokens are given on every wire that asks for them, whole as in a stream', async (t) => {
  const playing = await scene(t);
  playing.script = () => fromEvents(scored);
  const answerTo = async (path: string, body: object): Promise<string> => {
    const sent = await post(playing.base, path, body);
    const text = await sent.text();
    assert.equal(sent.status, 200, text);
    return text;
  };
  const model = 'lfo-auto';
  const messages = [{ role: 'user', content: '2+2?' }];
  const contents = [{ parts: [{ text: '2+2?' }] }];
  const generationConfig = { responseLogprobs: true, logprobs: 1 };
  const gemini = `/v1beta/models/${model}`;
  const asked: readonly (readonly [path: string, body: object, says: RegExp])[] = [
    ['/v1/chat/completions', { model, messages, logprobs: true, top_logprobs: 1 }, /"token":"4","logprob":-0\.25/],
    ['/v1/chat/completions', { model, messages, logprobs: true, stream: true }, /"token":"4","logprob":-0\.25/],
    ['/v1/completions', { model, prompt: '2+2?', logprobs: 1 }, /"token_logprobs":\[-0\.25\]/],
    ['/v1/responses', { model, input: '2+2?', top_logprobs: 1 }, /"token":"4","logprob":-0\.25/],
    ['/v1/responses', { model, input: '2+2?', top_logprobs: 1, stream: true }, /"token":"4","logprob":-0\.25/],
    [`${gemini}:generateContent`, { contents, generationConfig }, /"token":"4","tokenId":19,"logProbability":-0\.25/],
    [`${gemini}:streamGenerateContent?alt=sse`, { contents, generationConfig }, /"logProbability":-0\.25/],
    [`${gemini}:streamGenerateContent`, { contents, generationConfig }, /"logProbability":-0\.25/],
  ];
  for (const [path, body, says] of asked) {
    assert.match(await answerTo(path, body), says, path);
    assert.doesNotMatch(await answerTo(path, body), /"5"/, 'no more alternatives than were asked for');
  }
  for (const wire of wires) assert.doesNotMatch((await send(playing.base, wire)).text, /-0\.25/, wire.name);
});

test('of several choices one is given, which a warning says, or they are refused by name', async (t) => {
  const playing = await scene(t);
  for (const wire of [openaiChat, openaiCompletions]) {
    for (const isStream of [false, true]) {
      const body = { ...wire.body(talk, 'lfo-auto', isStream), n: 3 };
      const response = await post(playing.base, wire.path('lfo-auto', isStream), body);
      assert.match(response.headers.get('x-lfo-warning') ?? '', /\bn: one choice is given/);
      const text = await response.text();
      assert.equal((isStream ? wire.stream(text) : wire.whole(text)).text, 'It is 4.');
    }
  }
  const refused = await post(playing.base, '/v1beta/models/lfo-auto:generateContent', {
    contents: [{ parts: [{ text: 'a' }] }],
    generationConfig: { candidateCount: 2 },
  });
  assert.deepEqual([refused.status, /only one candidate is given/.test(await refused.text())], [400, true]);
});

test('embeddings fail in the envelope of their wire', async (t) => {
  const playing = await scene(t, {
    limits: { bodyBytes: 2000 },
    verifyKey: (key) => (key === 'good' ? { id: 'good', scopes: ['chat'] } : undefined),
  });
  const [chat, , , gemini, ollama] = wires;
  const of = (model: string, text: string): readonly (readonly [Wire | undefined, string, object])[] => [
    [chat, '/v1/embeddings', { model, input: text }],
    [ollama, '/api/embed', { model, input: text }],
    [ollama, '/api/embeddings', { model, prompt: text }],
    [gemini, `/v1beta/models/${model}:embedContent`, { content: { parts: [{ text }] } }],
    [gemini, `/v1beta/models/${model}:batchEmbedContents`, { requests: [{ content: { parts: [{ text }] } }] }],
  ];
  const check = async (status: number, key: string, asked: ReturnType<typeof of>): Promise<void> => {
    for (const [wire, path, body] of asked) {
      const response = await post(playing.base, path, body, { headers: { authorization: `Bearer ${key}` } });
      const text = await response.text();
      assert.equal(response.status, status, `${path}: ${text}`);
      assert.ok((wire?.error(text).code ?? '').length > 0, text);
    }
  };
  await check(401, 'bad', of('nobody', 'a'));
  await check(404, 'good', of('nobody', 'a'));
  await check(413, 'good', of('nobody', 'word '.repeat(1000)));
});

test('Responses fit OpenAI’s document, in every event and with every answer', async (t) => {
  const assertFits = openApiValidator();
  const wire = wires.find(({ name }) => name === 'openai-responses');
  assert.ok(wire !== undefined);
  const playing = await scene(t);
  for (const { events } of Object.values(answers)) {
    playing.script = () => fromEvents(events);
    assertFits('Response', JSON.parse((await send(playing.base, wire)).text));
    const { text } = await send(playing.base, wire, { isStream: true });
    for (const [, json = ''] of text.matchAll(/^data: (.*)$/gm)) assertFits('ResponseStreamEvent', JSON.parse(json));
  }
});

test('every wire gets the same verdict of the gate, and leaves one record', { timeout: 60_000 }, async (t) => {
  const unsure = answerWith({ deltas: ['Syd', 'ney', '.'], logprobs: [-1.9, -1.2, -0.9] });
  const sure = answerWith({ deltas: ['It', ' is', ' 4', '.'], logprobs: [-0.05, -0.02, -0.01, -0.02] });
  let isSure = false;
  const { router } = await startTiers(t, {
    local: (exchange) => (isSure ? sure(exchange) : unsure(exchange)),
    cloud: answerWith({ deltas: ['Can', 'berra.'] }),
    far: 'models: [large], api_key: sk-far',
  });
  const asks: Talk = { turns: [{ user: 'What is the capital of Australia?' }], maxTokens };
  const recorded: string[] = [];
  for (const sureness of [false, true]) {
    isSure = sureness;
    const verdicts: unknown[] = [];
    for (const wire of wires) {
      for (const isStream of [false, true]) {
        const body = wire.body(asks, 'lfo-auto', isStream);
        const { status, headers, text } = await router.request('POST', wire.path('lfo-auto', isStream), body);
        assert.equal(status, 200, text);
        const { text: words } = isStream ? wire.stream(text) : wire.whole(text);
        recorded.push(String(headers['x-request-id']));
        const [route, reason, confidence] = ['route', 'reason', 'confidence'].map((name) => headers[`x-lfo-${name}`]);
        verdicts.push({ words, route, reason, confidence });
      }
    }
    const [first] = verdicts;
    assert.equal(at(first, 'route'), sureness ? 'local' : 'cloud');
    for (const verdict of verdicts) assert.deepEqual(verdict, first);
  }
  await t.waitFor(
    async () => {
      const { json } = await router.request('GET', '/dashboard/api/requests?limit=100');
      const rows: unknown = at(json, 'requests');
      assert.ok(Array.isArray(rows));
      assert.deepEqual(rows.map((row: unknown) => String(at(row, 'id'))).toSorted(), recorded.toSorted());
      const dialects = new Set(rows.map((row: unknown) => String(at(row, 'dialect'))));
      assert.deepEqual([...dialects].toSorted(), wires.map(({ name }) => name).toSorted());
    },
    { timeout: 10_000 },
  );
  const { text: metrics } = await router.request('GET', '/metrics');
  for (const { name } of wires)
    assert.match(metrics, new RegExp(`lfo_requests_total\\{[^}]*dialect="${name}"[^}]*\\} 2`));
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import { openApiValidator } from '@lfo/testing/openapi-validator.ts';
import {
  callingAnswer,
  fromEvents,
  plainAnswer,
  type ScriptedAnswer,
  scriptedRouter,
  someUsage,
} from '@lfo/testing/scripted-router.ts';
import { at, readSse } from '@lfo/testing/sse.ts';
import * as fc from 'fast-check';

import { BackendError, LfoError, NoBackendError } from '../core/errors.ts';
import type { InferenceEvent, TokenScore } from '../core/events.ts';
import { beginAttempt } from '../core/trace.ts';

const assertFits = openApiValidator();

async function ask(answer: ScriptedAnswer, fields: object = {}) {
  const clock = new FakeClock(1000);
  const router = scriptedRouter({ answer, clock });
  const payload = { messages: [{ role: 'user', content: 'hi' }], ...fields };
  const response = await router.app.inject({ method: 'POST', url: '/v1/chat/completions', payload });
  await router.app.close();
  assert.equal(clock.pendingTimers, 0, 'no timer outlives its response');
  return {
    status: response.statusCode,
    headers: response.headers,
    text: response.body,
    delivery: router.deliveries[0],
  };
}

async function complete(events: readonly InferenceEvent[], fields: object = {}) {
  const { status, headers, text } = await ask(() => fromEvents(events), fields);
  const body: unknown = JSON.parse(text);
  if (status === 200) assertFits('CreateChatCompletionResponse', body);
  else assertFits('ErrorResponse', body);
  return { status, headers, body, choice: at(body, 'choices', 0), message: at(body, 'choices', 0, 'message') };
}

async function stream(events: readonly InferenceEvent[], fields: object = {}) {
  const { status, headers, text } = await ask(() => fromEvents(events), { stream: true, ...fields });
  const read = readSse(text);
  for (const chunk of read.chunks) if (!('error' in chunk)) assertFits('CreateChatCompletionStreamResponse', chunk);
  return { status, headers, text, ...read, deltas: read.chunks.map((chunk) => at(chunk, 'choices', 0, 'delta')) };
}

function contentOf(delta: unknown): string {
  const content = at(delta, 'content');
  return typeof content === 'string' ? content : '';
}

const start: InferenceEvent = { type: 'start', model: 'tiny' };
const finish = (reason: 'stop' | 'length' | 'tool_calls' | 'content_filter'): InferenceEvent => ({
  type: 'finish',
  reason,
  usage: someUsage,
});
const cutCall: readonly InferenceEvent[] = [
  start,
  { type: 'tool-call-start', index: 0, id: 'c0', name: 'f' },
  { type: 'tool-call-delta', index: 0, json: '{}' },
];
const tools = [{ type: 'function', function: { name: 'f' } }];

test('a stream opens with the role, ends with one reason, its story and [DONE]', async () => {
  const { headers, chunks, deltas, isDone } = await stream(plainAnswer('a', 'b'));
  assert.deepEqual(deltas, [{ role: 'assistant', content: 'a' }, { content: 'b' }, {}]);
  assert.deepEqual(
    chunks.map((chunk) => at(chunk, 'choices', 0, 'finish_reason')),
    [null, null, 'stop'],
  );
  assert.ok(chunks.every((chunk) => !('usage' in chunk)));
  assert.equal(at(chunks.at(-1), 'lfo_metadata', 'routing_reason'), 'local_first');
  assert.equal(isDone, true);
  assert.equal(headers['x-accel-buffering'], 'no');
  assert.equal(headers['cache-control'], 'no-cache');
  assert.equal(headers['x-lfo-overhead-ms'], '0.4');
});

test('the metadata names everything that was promised', async () => {
  const answer: ScriptedAnswer = (_request, { trace }) => {
    Object.assign(trace, { confidence: 0.91, degraded: true, reasons: ['local_first', 'degraded'] });
    const events = plainAnswer('x');
    return fromEvents([
      ...events.slice(0, -1),
      { type: 'finish', reason: 'stop', nativeReason: 'EOS', usage: { ...someUsage, estimated: true } },
    ]);
  };
  const { text, headers } = await ask(answer, { n: 2 });
  const metadata = at(JSON.parse(text), 'lfo_metadata');
  const fields = [
    'route',
    'backend',
    'model',
    'confidence',
    'threshold',
    'routing_reason',
    'degraded',
    'usage_estimated',
    'native_finish_reason',
    'egress',
  ];
  assert.deepEqual(
    fields.map((field) => at(metadata, field)),
    ['local', 'embedded', 'tiny', 0.91, 0.7, 'local_first', true, true, 'EOS', 'none'],
  );
  assert.ok(Array.isArray(at(metadata, 'attempts')) && typeof at(metadata, 'latency_ms') === 'number');
  assert.deepEqual(at(metadata, 'warnings'), { n: 'one choice is given' });
  assert.equal(headers['x-lfo-warning'], 'n: one choice is given');
  assert.equal(headers['x-lfo-confidence'], '0.91');
});

/** Plays attempts at these backends; those in capitals are in the cloud, those in brackets were never reached. */
function attempted(...backends: readonly string[]): ScriptedAnswer {
  return (_request, { trace }) => {
    for (const name of backends) {
      const tier = name === name.toUpperCase() ? 'cloud' : 'local';
      const attempt = beginAttempt(trace, tier, 0);
      if (name.startsWith('(')) continue;
      Object.assign(attempt, { backend: name, leasedMs: 0 });
      Object.assign(trace, { route: tier, backend: name });
    }
    return fromEvents(plainAnswer('x'));
  };
}

test('egress names every cloud backend that was given the prompt, in order, whoever answered', async () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [['near'], 'none'],
    [['FAR'], 'FAR'],
    [['near', 'FAR'], 'FAR'],
    [['FAR', 'near'], 'FAR'],
    [['FAR', 'FURTHER', 'FAR', 'near'], 'FAR,FURTHER'],
    [['(FAR)', 'near'], 'none'],
  ];
  for (const [backends, egress] of cases) {
    for (const asked of [{}, { stream: true }]) {
      const { headers, text } = await ask(attempted(...backends), asked);
      assert.equal(headers['x-lfo-egress'], egress);
      assert.match(text, new RegExp(`"egress":"${egress}"`));
    }
  }
});

test('a failure tells which cloud backends had been given the prompt', async () => {
  const { status, headers } = await ask(async function* (request, call) {
    yield* attempted('FAR', 'near')(request, call);
    throw new BackendError('No.', { fault: 'server', backend: 'near' });
  });
  assert.deepEqual([status, headers['x-lfo-egress']], [502, 'FAR']);
});

test('tool-call deltas carry id, type and name once, and the index always', async () => {
  const { deltas } = await stream(callingAnswer({ name: 'f', json: '{"a":1}' }), { tools });
  assert.deepEqual(deltas, [
    {
      role: 'assistant',
      tool_calls: [{ index: 0, id: 'call0', type: 'function', function: { name: 'f', arguments: '' } }],
    },
    { tool_calls: [{ index: 0, function: { arguments: '{"a' } }] },
    { tool_calls: [{ index: 0, function: { arguments: '":1}' } }] },
    {},
  ]);
});

test('a thought signature comes back where clients look for it', async () => {
  const events: InferenceEvent[] = [...cutCall, { type: 'tool-call-end', index: 0 }, finish('stop')];
  events[1] = { type: 'tool-call-start', index: 0, id: 'c0', name: 'f', thoughtSignature: 'sig' };
  const { message, choice } = await complete(events, { tools });
  assert.equal(at(message, 'tool_calls', 0, 'extra_content', 'google', 'thought_signature'), 'sig');
  assert.equal(at(choice, 'finish_reason'), 'tool_calls', 'a stop after whole calls is tool_calls');
  const { deltas } = await stream(events, { tools });
  assert.equal(at(deltas[0], 'tool_calls', 0, 'extra_content', 'google', 'thought_signature'), 'sig');
});

test('whoever declared functions is answered with a function_call', async () => {
  const events = callingAnswer({ name: 'f', json: '{"a":1}' }, { name: 'f', json: '{}' });
  const { message, choice } = await complete(events, { functions: [{ name: 'f' }] });
  assert.deepEqual(at(message, 'function_call'), { name: 'f', arguments: '{"a":1}' });
  assert.deepEqual([at(message, 'tool_calls'), at(choice, 'finish_reason')], [undefined, 'function_call']);
  const { deltas } = await stream(events, { functions: [{ name: 'f' }] });
  assert.deepEqual(deltas.slice(0, 2), [
    { role: 'assistant', function_call: { name: 'f', arguments: '' } },
    { function_call: { arguments: '{"a' } },
  ]);
});

test('a call that was cut off is never delivered as whole', async () => {
  const claimed = await complete([...cutCall, finish('tool_calls')], { tools });
  assert.deepEqual(
    [claimed.status, at(claimed.body, 'error', 'code'), at(claimed.body, 'error', 'source')],
    [502, 'upstream_cut', 'upstream'],
  );
  const limited = await complete([...cutCall, finish('length')], { tools });
  assert.deepEqual([at(limited.choice, 'finish_reason'), at(limited.message, 'tool_calls')], ['length', undefined]);
  const streamed = await stream([...cutCall, finish('tool_calls')], { tools });
  assert.deepEqual([streamed.isDone, at(streamed.chunks.at(-1), 'error', 'code')], [false, 'upstream_cut']);
});

test('events that end without a finish are a cut, whole or streamed', async () => {
  const { status } = await complete([start, { type: 'text-delta', text: 'half' }]);
  assert.equal(status, 502);
  const { isDone, chunks, text } = await stream([start, { type: 'text-delta', text: 'half' }]);
  assert.equal(isDone, false);
  assert.deepEqual(Object.keys(chunks.at(-1) ?? {}), ['error', 'lfo_metadata']);
  assert.equal(text.includes('"finish_reason":"'), false);
});

test('an error before the first byte has its status and its headers, streamed or not', async () => {
  const limited = () => new BackendError('Wait.', { fault: 'rate_limit', backend: 'b', retryAfterMs: 1500 });
  for (const asked of [{}, { stream: true }]) {
    const { status, headers, text, delivery } = await ask(async function* () {
      yield start;
      throw limited();
    }, asked);
    assert.deepEqual([status, headers['retry-after'], headers['retry-after-ms']], [429, '2', '1500']);
    assert.equal(headers['x-should-retry'], undefined, 'waiting helps');
    assert.equal(at(JSON.parse(text), 'error', 'type'), 'rate_limit_error');
    assert.equal(delivery?.error?.code, 'rate_limit_exceeded');
  }
});

test('a refusal lists the backends that were passed over, inside the error', async () => {
  const { status, text } = await ask(async function* () {
    yield start;
    throw new NoBackendError('No backend is ready.', {
      reason: 'local_unavailable',
      skipped: [{ backend: 'b', why: 'down' }],
    });
  });
  const body: unknown = JSON.parse(text);
  assert.deepEqual(Object.keys(JSON.parse(text)), ['error'], 'SDKs show nothing that stands beside the error');
  assert.deepEqual([status, at(body, 'error', 'skipped', 0, 'backend')], [503, 'b']);
  assert.equal(at(body, 'error', 'source'), 'lfo');
  assert.equal(at(body, 'error', 'message'), 'No backend is ready. (b: down)');
});

test('an exception that is not ours says nothing of itself', async () => {
  const { status, text } = await ask(async function* () {
    yield start;
    throw new TypeError('secret detail');
  });
  assert.equal(status, 500);
  assert.equal(text.includes('secret'), false);
});

test('log-probabilities are given where they were asked for, and only there', async () => {
  const score = (token: string, logprob: number): TokenScore => ({
    token,
    logprob,
    top: [
      { token, logprob },
      { token: 'z', logprob: -9 },
    ],
  });
  const events: InferenceEvent[] = [
    start,
    { type: 'token-scores', about: 'text', scores: [score('a', -0.1)] },
    { type: 'text-delta', text: 'a' },
    { type: 'text-delta', text: 'ä' },
    { type: 'token-scores', about: 'text', scores: [score('ä', -Infinity)] },
    finish('stop'),
  ];
  const asked = { logprobs: true, top_logprobs: 1 };
  const { choice } = await complete(events, asked);
  const content = [
    { token: 'a', logprob: -0.1, bytes: [97], top_logprobs: [{ token: 'a', logprob: -0.1, bytes: [97] }] },
    {
      token: 'ä',
      logprob: -9999,
      bytes: [195, 164],
      top_logprobs: [{ token: 'ä', logprob: -9999, bytes: [195, 164] }],
    },
  ];
  assert.deepEqual(at(choice, 'logprobs'), { content, refusal: null });
  const streamed = await stream(events, asked);
  assert.deepEqual(
    streamed.chunks.flatMap((chunk) => at(chunk, 'choices', 0, 'logprobs', 'content') ?? []),
    content,
  );
  assert.equal(at((await complete(events)).choice, 'logprobs'), null);
});

const url = 'data:image/png;base64,iVBORw0KGgo=';

test('images of an answer stand beside its text, which may be missing', async () => {
  const images = [{ type: 'image_url', image_url: { url } }];
  const alone = await complete([start, { type: 'image', url }, finish('stop')]);
  assert.deepEqual(alone.message, { role: 'assistant', content: null, refusal: null, images });
  const events: InferenceEvent[] = [start, { type: 'text-delta', text: 'See' }, { type: 'image', url }, finish('stop')];
  const { message } = await complete(events);
  assert.deepEqual(message, { role: 'assistant', content: 'See', refusal: null, images });
  const { deltas } = await stream(events);
  assert.deepEqual(deltas, [{ role: 'assistant', content: 'See' }, { images }, {}]);
});

test('a client of Google’s gets the images of an answer as its own wire has them', async () => {
  const image = { inlineData: { mimeType: 'image/png', data: 'iVBORw0KGgo=' } };
  const events: InferenceEvent[] = [start, { type: 'image', url }, finish('stop')];
  const router = scriptedRouter({ answer: () => fromEvents(events) });
  const payload = { contents: [{ role: 'user', parts: [{ text: 'Draw' }] }] };
  const asked = { method: 'POST', payload } as const;
  const whole = await router.app.inject({ ...asked, url: '/v1beta/models/lfo-auto:generateContent' });
  assert.deepEqual(at(whole.json(), 'candidates', 0, 'content', 'parts'), [image]);
  const streamed = await router.app.inject({ ...asked, url: '/v1beta/models/lfo-auto:streamGenerateContent?alt=sse' });
  const first: unknown = JSON.parse(/^data: (.*)$/m.exec(streamed.body)?.[1] ?? '');
  assert.deepEqual(at(first, 'candidates', 0, 'content', 'parts'), [image]);
  await router.app.close();
});

test('a wire without a place for the images of an answer says that they are missing', async () => {
  const router = scriptedRouter({ answer: () => fromEvents([start, { type: 'image', url }, finish('stop')]) });
  const messages = [{ role: 'user', content: 'Draw' }];
  const asked: readonly (readonly [string, object])[] = [
    ['/v1/messages', { model: 'lfo-auto', max_tokens: 9, messages }],
    ['/v1/responses', { model: 'lfo-auto', input: 'Draw' }],
    ['/api/chat', { model: 'lfo-auto', messages }],
  ];
  for (const [path, body] of asked) {
    for (const isStream of [true, false]) {
      const { headers, body: text } = await router.app.inject({
        method: 'POST',
        url: path,
        payload: { ...body, stream: isStream },
      });
      assert.match(String(headers['x-lfo-warning']), /images: /, path);
      assert.match(text, /"images":"the answer holds images/, path);
    }
  }
  await router.app.close();
});

test('reasoning and refusals have fields of their own', async () => {
  const events: InferenceEvent[] = [
    start,
    { type: 'reasoning-delta', text: 'hm' },
    { type: 'refusal-delta', text: 'no' },
    finish('stop'),
  ];
  const { message } = await complete(events);
  assert.deepEqual(message, { role: 'assistant', content: null, refusal: 'no', reasoning_content: 'hm' });
  const { deltas } = await stream(events);
  assert.deepEqual(deltas, [{ role: 'assistant', reasoning_content: 'hm' }, { refusal: 'no' }, {}]);
});

test('usage is made of integers whatever a backend counted', async () => {
  const usage = { promptTokens: NaN, completionTokens: -3, cachedTokens: Infinity, reasoningTokens: 2.6 };
  const { body } = await complete([
    start,
    { type: 'text-delta', text: 'x' },
    { type: 'finish', reason: 'stop', usage },
  ]);
  assert.deepEqual(at(body, 'usage'), {
    prompt_tokens: 0,
    completion_tokens: 0,
    total_tokens: 0,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 3 },
  });
  assert.equal(at(body, 'lfo_metadata', 'usage_estimated'), true);
});

test('any text in any pieces arrives well-formed and the same both ways', async () => {
  const unit = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code));
  const pieces = fc.array(
    fc
      .array(fc.oneof(unit, fc.constantFrom('\ud83d', '\ude00', 'a', '"', '\n')), { maxLength: 4 })
      .map((units) => units.join('')),
    { maxLength: 6 },
  );
  await fc.assert(
    fc.asyncProperty(pieces, async (texts) => {
      const expected = texts.join('').toWellFormed();
      const { message } = await complete(plainAnswer(...texts));
      assert.equal(at(message, 'content'), expected);
      const { deltas } = await stream(plainAnswer(...texts));
      assert.equal(deltas.map(contentOf).join(''), expected);
    }),
    { numRuns: 60 },
  );
});

test('the head of a local stream says none however early it leaves', async () => {
  const clock = new FakeClock();
  const gate = Promise.withResolvers<void>();
  const router = scriptedRouter({
    clock,
    server: { heartbeatMs: 10_000 },
    async *answer() {
      await gate.promise;
      yield* plainAnswer('x');
    },
  });
  const payload = { model: 'lfo-local', messages: [{ role: 'user', content: 'hi' }], stream: true };
  const asked = router.app.inject({ method: 'POST', url: '/v1/chat/completions', payload });
  await settle();
  await clock.advanceAsync(10_000);
  gate.resolve();
  const { headers } = await asked;
  assert.equal(headers['x-lfo-egress'], 'none');
  await router.app.close();
});

test('a silent backend is covered by comments, and what fails after them is a frame', async () => {
  const clock = new FakeClock();
  const gate = Promise.withResolvers<void>();
  const router = scriptedRouter({
    clock,
    server: { heartbeatMs: 10_000 },
    async *answer() {
      yield start;
      await gate.promise;
      throw new LfoError('Too late.', { code: 'deadline', status: 504 });
    },
  });
  const payload = { messages: [{ role: 'user', content: 'hi' }], stream: true };
  const asked = router.app.inject({ method: 'POST', url: '/v1/chat/completions', payload });
  await settle();
  await clock.advanceAsync(9_999);
  await clock.advanceAsync(20_001);
  gate.resolve();
  const response = await asked;
  const { comments, chunks, isDone } = readSse(response.body);
  assert.equal(response.headers['x-lfo-egress'], 'undecided', 'the head had to leave before');
  assert.deepEqual([response.statusCode, comments, isDone], [200, 3, false]);
  assert.equal(at(chunks[0], 'error', 'code'), 'deadline');
  assert.deepEqual([router.deliveries[0]?.status, router.deliveries[0]?.error?.status], [200, 504]);
  assert.equal(clock.pendingTimers, 0);
  await router.app.close();
});

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { assertGrammar, textOfEvents } from '@lfo/testing/event-grammar.ts';
import type { FakeGeminiOptions, FakeRefusal } from '@lfo/testing/fake-gemini.ts';
import {
  asEventStream,
  FakeGemini,
  inArray,
  invalidKey,
  rateLimit,
  refusal,
  upstreamSecret,
} from '@lfo/testing/fake-gemini.ts';
import { geminiSubject } from '@lfo/testing/gemini/gemini-subject.ts';
import { systemClock } from '../../../core/clock.ts';
import { BackendError } from '../../../core/errors.ts';

const day = 86_400_000;

async function fakeFor(t: TestContext, options: FakeGeminiOptions = {}): Promise<FakeGemini> {
  const fake = await FakeGemini.start(options);
  t.after(() => fake.close());
  return fake;
}

async function faultOf(promise: Promise<unknown>): Promise<BackendError> {
  const error = await promise.then(
    () => assert.fail('it succeeded'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof BackendError, String(error));
  assert.doesNotMatch(`${error.message} ${error.code}`, new RegExp(`${upstreamSecret}|fake-key|127\\.0\\.0\\.1`));
  return error;
}

const statuses: readonly (readonly [
  name: string,
  answer: FakeRefusal,
  status: number,
  code: string,
  retryable: boolean,
])[] = [
  ['INVALID_ARGUMENT', refusal(400, 'INVALID_ARGUMENT', 'Bad.'), 400, 'upstream_invalid_request', false],
  ['an invalid key', invalidKey(), 502, 'upstream_auth', false],
  ['UNAUTHENTICATED', refusal(401, 'UNAUTHENTICATED', 'No.'), 502, 'upstream_auth', false],
  ['PERMISSION_DENIED', refusal(403, 'PERMISSION_DENIED', 'No.'), 502, 'upstream_auth', false],
  ['a place that is not served', refusal(400, 'FAILED_PRECONDITION', 'User location.'), 502, 'upstream_auth', false],
  ['NOT_FOUND', refusal(404, 'NOT_FOUND', 'No such model.'), 404, 'model_not_found', false],
  ['a body too large', refusal(413, 'INVALID_ARGUMENT', 'Large.'), 413, 'upstream_rejected', false],
  [
    'a prompt too long',
    refusal(400, 'INVALID_ARGUMENT', 'The input token count (2) exceeds the maximum number of tokens allowed (1).'),
    400,
    'context_length_exceeded',
    false,
  ],
  ['RESOURCE_EXHAUSTED', rateLimit('34.4s'), 429, 'rate_limit_exceeded', true],
  ['INTERNAL', refusal(500, 'INTERNAL', 'Oops.'), 500, 'upstream_error', true],
  ['UNAVAILABLE', refusal(503, 'UNAVAILABLE', 'Overloaded.'), 503, 'upstream_error', true],
  ['DEADLINE_EXCEEDED', refusal(504, 'DEADLINE_EXCEEDED', 'Late.'), 504, 'upstream_timeout', true],
];

for (const [name, answer, status, code, retryable] of statuses) {
  for (const [form, shape] of Object.entries({
    plain: (a: FakeRefusal) => a,
    'in an array': inArray,
    'as an event stream': asEventStream,
  })) {
    test(`${name}, ${form}, is a ${status} ${code}`, async (t) => {
      const fake = await fakeFor(t);
      fake.next(shape(answer));
      const error = await faultOf(geminiSubject(t, fake.origin).infer({}));
      assert.deepEqual([error.status, error.code, error.retryable], [status, code, retryable]);
      assert.equal(fake.requests.length, 1);
    });
  }
}

test('an error inside a stream that began with 200 has the status it tells', async (t) => {
  const fake = await fakeFor(t);
  const { infer } = geminiSubject(t, fake.origin);
  fake.next({ chunks: [{ error: { code: 503, status: 'UNAVAILABLE', message: upstreamSecret } }] });
  assert.equal((await faultOf(infer({}))).status, 503);
  fake.next((exchange) => {
    exchange.head(200, { 'content-type': 'text/event-stream' });
    exchange.finish(JSON.stringify([{ error: { code: 429, status: 'RESOURCE_EXHAUSTED', message: upstreamSecret } }]));
  });
  assert.equal((await faultOf(infer({}))).status, 429);
});

test('a limited key makes no call before its delay is over', async (t) => {
  const fake = await fakeFor(t);
  const { infer, clock } = geminiSubject(t, fake.origin);
  fake.next(rateLimit('34.4s'));
  assert.equal((await faultOf(infer({}))).retryAfterMs, 34_400);
  clock.advance(30_000);
  const again = await faultOf(infer({}));
  assert.deepEqual([again.fault, again.retryAfterMs], ['rate_limit', 4_400]);
  assert.equal(fake.requests.length, 1);
  clock.advance(4_400);
  assertGrammar(await infer({}));
});

test('a delay is read from RetryInfo, quotaResetDelay, the message, or is a minute', async (t) => {
  const details = [{ metadata: { quotaResetDelay: '1m2.5s' } }];
  const cases: [FakeRefusal, number][] = [
    [rateLimit('1.5s'), 1_500],
    [refusal(429, 'RESOURCE_EXHAUSTED', 'Spent.', details), 62_500],
    [refusal(429, 'RESOURCE_EXHAUSTED', 'Please retry in 470ms.'), 470],
    [rateLimit(undefined), 60_000],
  ];
  const fake = await fakeFor(t);
  for (const [answer, delayMs] of cases) {
    fake.next(answer);
    assert.equal((await faultOf(geminiSubject(t, fake.origin).infer({}))).retryAfterMs, delayMs);
  }
});

test('a daily quota rests until midnight in California, whatever delay is told', async (t) => {
  const fake = await fakeFor(t);
  const { infer, clock } = geminiSubject(t, fake.origin);
  fake.next(rateLimit('3s', 'GenerateRequestsPerDayPerProject-FreeTier'));
  const { retryAfterMs = 0 } = await faultOf(infer({}));
  // The fake clock begins on 14 November 2023 at 22:13:20 UTC: 14:13:20 there.
  assert.equal(retryAfterMs, day - ((14 * 60 + 13) * 60 + 20) * 1_000);
  clock.advance(retryAfterMs);
  assertGrammar(await infer({}));
});

test('a quota of one model leaves the key to the others', async (t) => {
  const fake = await fakeFor(t);
  const { infer } = geminiSubject(t, fake.origin);
  fake.next(rateLimit('30s', 'GenerateRequestsPerMinutePerProjectPerModel-FreeTier'));
  await faultOf(infer({}));
  assert.equal((await faultOf(infer({}))).fault, 'rate_limit');
  assertGrammar(await infer({}, { model: 'gemini-2.5-flash-lite' }));
});

test('the next key takes over from a limited or refused one, and stays', async (t) => {
  const fake = await fakeFor(t, { keys: ['two', 'three'] });
  fake.limit('two', rateLimit('10s'));
  const { infer, clock, backend } = geminiSubject(t, fake.origin, { apiKeys: ['one', 'two', 'three'] });
  assertGrammar(await infer({}));
  assertGrammar(await infer({}));
  const keys = fake.requests.map(({ headers }) => headers['x-goog-api-key']);
  assert.deepEqual(keys, ['one', 'two', 'three', 'three']);
  assert.match(backend.status().detail ?? '', /1 of 3 API keys/);
  fake.limit('three', rateLimit('20s'));
  const error = await faultOf(infer({}));
  assert.deepEqual([error.fault, error.retryAfterMs], ['rate_limit', 10_000]);
  fake.limit('two', undefined);
  clock.advance(10_000);
  assertGrammar(await infer({}));
});

test('a refused key rests, so that a broken configuration does not hammer the provider', async (t) => {
  const fake = await fakeFor(t, { keys: [] });
  const { infer, clock } = geminiSubject(t, fake.origin);
  assert.equal((await faultOf(infer({}))).fault, 'auth');
  assert.equal((await faultOf(infer({}))).fault, 'auth');
  assert.equal(fake.requests.length, 1);
  clock.advance(60_000);
  await faultOf(infer({}));
  assert.equal(fake.requests.length, 2);
});

for (const finishReason of ['MALFORMED_FUNCTION_CALL', 'UNEXPECTED_TOOL_CALL', 'TOO_MANY_TOOL_CALLS']) {
  for (const stream of [true, false]) {
    test(`${finishReason} is one call and one fault: another is the plan's to make (stream: ${stream})`, async (t) => {
      const fake = await fakeFor(t);
      const { infer } = geminiSubject(t, fake.origin);
      fake.next({ chunks: [{ candidates: [{ content: {}, finishReason }] }] });
      const error = await faultOf(infer({ stream }));
      assert.deepEqual(
        [error.fault, error.code, error.countsAgainstBackend],
        ['unusable', 'malformed_function_call', false],
      );
      assert.equal(fake.requests.length, 1);
    });
  }
}

test('a request that this model cannot be asked is refused here alone: another attempt may take it', async (t) => {
  const fake = await fakeFor(t);
  const { infer } = geminiSubject(t, fake.origin, { models: ['gemma-3-27b-it'] });
  for (const request of [
    { tools: [{ name: 'f' }] },
    { sampling: { stop: ['1', '2', '3', '4', '5', '6'], logprobs: false } },
    { tools: [{ name: 'f' }], toolChoice: { type: 'function', name: 'g' } as const },
  ]) {
    const error = await faultOf(infer(request, { model: 'gemma-3-27b-it' }));
    assert.deepEqual([error.fault, error.status, error.source], ['rejected', 400, 'lfo']);
    assert.equal(error.countsAgainstBackend, false);
  }
  assert.equal(fake.requests.length, 0);
});

test('tools are a matter of the model, not of the backend', async (t) => {
  const fake = await fakeFor(t);
  const { backend } = geminiSubject(t, fake.origin, { models: ['gemini-2.5-flash', 'gemma-3-27b-it'] });
  assert.equal(backend.capabilitiesOf?.('gemini-2.5-flash').tools, true);
  assert.equal(backend.capabilitiesOf?.('gemma-3-27b-it').tools, false);
});

test('a tool name that Gemini would refuse goes there by another and comes back as it was', async (t) => {
  const fake = await fakeFor(t);
  const { infer } = geminiSubject(t, fake.origin);
  await infer({ tools: [{ name: '2-step' }] });
  const sent = /"functionDeclarations":\[\{"name":"([^"]+)"/.exec(fake.requests[0]?.text ?? '')?.[1] ?? '';
  assert.match(sent, /^[A-Za-z_]/);
  fake.next({ parts: [{ functionCall: { name: sent, args: {} } }] });
  const events = await infer({ tools: [{ name: '2-step' }] });
  assert.ok(events.some((event) => event.type === 'tool-call-start' && event.name === '2-step'));
});

test('an error status decides at once, whether or not its body ever comes', async (t) => {
  const fake = await fakeFor(t);
  const { infer } = geminiSubject(t, fake.origin, {}, { clock: systemClock });
  fake.next(async (exchange) => {
    exchange.head(503, { 'content-type': 'application/json' });
    await exchange.write('{"error":');
    await exchange.silence();
  });
  assert.deepEqual((await faultOf(infer({}))).status, 503);
});

test('a malformed call after text has been given is an error at once', async (t) => {
  const fake = await fakeFor(t);
  fake.next({ parts: [{ text: 'Let me see.' }], finishReason: 'MALFORMED_FUNCTION_CALL' });
  await faultOf(geminiSubject(t, fake.origin).infer({}));
  assert.equal(fake.requests.length, 1);
});

test('penalties a model refuses are left out from then on', async (t) => {
  const fake = await fakeFor(t);
  const { infer, warned } = geminiSubject(t, fake.origin, { models: ['gemini-2.0-flash'] });
  const sampling = { stop: [], logprobs: false, presencePenalty: 1 };
  fake.next(refusal(400, 'INVALID_ARGUMENT', 'Penalty is not enabled for models/gemini-2.0-flash'));
  assertGrammar(await infer({ sampling }));
  assertGrammar(await infer({ sampling }));
  assert.equal(fake.requests.length, 3);
  assert.deepEqual(warned, ['presence_penalty', 'presence_penalty']);
});

test('thoughts a model does not think are not asked for again, and those it thinks are told unasked', async (t) => {
  const fake = await fakeFor(t);
  const { infer, clock } = geminiSubject(t, fake.origin);
  let signs = 0;
  const call = { clock, keepAlive: () => void signs++ };
  const kinds = async (): Promise<string[]> => (await infer({}, call)).map(({ type }) => type);
  assert.deepEqual(await kinds(), ['start', 'reasoning-delta', 'text-delta', 'text-delta', 'finish']);
  assert.equal(fake.requests.length, 1);
  assert.match(fake.requests[0]?.text ?? '', /"includeThoughts":true/);
  assert.ok(signs > 0);
  fake.next(refusal(400, 'INVALID_ARGUMENT', 'Thinking_config.include_thoughts is only enabled when thinking is.'));
  await kinds();
  await kinds();
  assert.equal(fake.requests.length, 4);
  assert.deepEqual(
    fake.requests.map(({ text }) => text.includes('includeThoughts')),
    [true, true, false, false],
  );
});

test('the limit of one model leaves the key to those that stand in for it', async (t) => {
  const fake = await fakeFor(t);
  const perModel = 'GenerateRequestsPerMinutePerProjectPerModel-FreeTier';
  const { infer, backend } = geminiSubject(t, fake.origin, { fallbackModels: ['gemini-2.5-flash-lite'] });
  assert.deepEqual(backend.standIns, ['gemini-2.5-flash-lite']);
  fake.next(rateLimit('30s', perModel));
  const error = await faultOf(infer({}));
  assert.deepEqual([error.fault, error.retryAfterMs, error.model], ['rate_limit', 30_000, 'gemini-2.5-flash']);
  assert.equal(fake.requests.length, 1);
  const [start] = await infer({}, { model: 'gemini-2.5-flash-lite' });
  assert.deepEqual(start, { type: 'start', model: 'gemini-2.5-flash-lite' });
});

test('a blocked prompt and a blocked answer are content filters, not faults', async (t) => {
  const fake = await fakeFor(t);
  const { infer } = geminiSubject(t, fake.origin);
  for (const stream of [true, false]) {
    fake.next({ chunks: [{ promptFeedback: { blockReason: 'SAFETY' }, usageMetadata: { promptTokenCount: 4 } }] });
    const blocked = assertGrammar(await infer({ stream }));
    assert.deepEqual(
      [blocked.reason, blocked.nativeReason, blocked.usage.promptTokens],
      ['content_filter', 'SAFETY', 4],
    );
    fake.next({ parts: [{ text: 'Hel' }], finishReason: 'RECITATION' });
    const cut = await infer({ stream });
    assert.deepEqual([assertGrammar(cut).reason, textOfEvents(cut)], ['content_filter', 'Hel']);
  }
});

test('the list of models is asked for once, after the first answer, and never before', async (t) => {
  const fake = await fakeFor(t);
  const { infer, backend } = geminiSubject(t, fake.origin, { models: ['gemini-2.5-flash'] });
  await backend.probe(new AbortController().signal);
  assert.equal(fake.exchanges.length, 0);
  const contextTokens = (): number | undefined => backend.capabilities.contextTokens;
  assert.equal(contextTokens(), 1_048_576);
  await infer({});
  await infer({});
  while (contextTokens() !== 1_000_000) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(fake.exchanges.filter(({ request }) => request.method === 'GET').length, 1);
});

test('Vertex AI gets a bearer token, its own paths and no ids', async (t) => {
  const fake = await fakeFor(t, { keys: ['token'], isVertex: true });
  const base = `${fake.origin}/v1/projects/p/locations/global/publishers/google`;
  const { infer } = geminiSubject(t, fake.origin, { baseUrl: base, apiKeys: ['token'], auth: 'bearer' });
  const messages = [
    { role: 'user', content: [{ type: 'text', text: 'Go.' }] },
    { role: 'assistant', content: [], toolCalls: [{ id: 'a1', name: 'noop', arguments: '{}' }] },
    { role: 'tool', toolCallId: 'a1', content: [{ type: 'text', text: 'done' }] },
  ] as const;
  assertGrammar(await infer({ messages, tools: [{ name: 'noop' }] }));
  assert.deepEqual(fake.complaints, []);
  assert.match(
    fake.requests[0]?.path ?? '',
    /^\/v1\/projects\/p\/locations\/global\/publishers\/google\/models\/gemini-2\.5-flash:/,
  );
});

test('web images are fetched only where the operator allows it', async (t) => {
  const fake = await fakeFor(t);
  const fetched: string[] = [];
  const images = {
    fetch: (url: string) => {
      fetched.push(url);
      return Promise.resolve('data:image/png;base64,iVBORw0KGgo=');
    },
    close: () => Promise.resolve(),
  };
  const url = 'https://images.test/a.png';
  const ask = (fetchImages: boolean): Promise<unknown> => {
    const { infer } = geminiSubject(t, fake.origin, {}, fetchImages ? { images } : {});
    return infer({ messages: [{ role: 'user', content: [{ type: 'image', url }] }] });
  };
  assert.equal((await faultOf(ask(false))).fault, 'rejected');
  assert.deepEqual([fetched, fake.requests.length], [[], 0]);
  await ask(true);
  assert.deepEqual(fetched, [url]);
  assert.match(fake.requests[0]?.text ?? '', /"inlineData":\{"mimeType":"image\/png"/);
});

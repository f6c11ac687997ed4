import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';

import { openApiValidator } from '@lfo/testing/openapi-validator.ts';
import { withoutReferenceData } from '@lfo/testing/reference-data.ts';
import {
  callingAnswer,
  fromEvents,
  plainAnswer,
  type ScriptedAnswer,
  scriptedRouter,
} from '@lfo/testing/scripted-router.ts';
import { at } from '@lfo/testing/sse.ts';
import OpenAI, { APIError, APIUserAbortError, BadRequestError, NotFoundError } from 'openai';

import { BackendError } from '../src/core/errors.ts';

const assertFits = openApiValidator();
const messages = [{ role: 'user' as const, content: 'What is 2+2?' }];
const tools = [
  { type: 'function' as const, function: { name: 'weather', parameters: { type: 'object', properties: {} } } },
];

/** Set by each test before it asks. */
let answer: ScriptedAnswer = () => fromEvents([]);
const router = scriptedRouter({ answer: (request, call) => answer(request, call) });
let client: OpenAI;

before(async () => {
  client = new OpenAI({ apiKey: 'unused', baseURL: `${await router.listen()}/v1`, maxRetries: 0 });
});
after(() => router.app.close());

test('OpenAI’s document is beside this checkout', { skip: withoutReferenceData }, () => {
  assert.throws(() => assertFits('CreateChatCompletionResponse', { choices: [] }));
});

test('the official client reads a completion', async () => {
  answer = () => fromEvents(plainAnswer('4', '.'));
  const { data, response } = await client.chat.completions.create({ model: 'lfo-auto', messages }).withResponse();
  assertFits('CreateChatCompletionResponse', data);
  assert.equal(data.choices[0]?.message.content, '4.');
  assert.equal(data.choices[0]?.message.refusal, null);
  assert.equal(data.usage?.total_tokens, 15);
  assert.equal(at(data, 'lfo_metadata', 'route'), 'local');
  assert.equal(response.headers.get('x-lfo-route'), 'local');
  assert.equal(response.headers.get('x-lfo-egress'), 'none');
  assert.match(response.headers.get('x-request-id') ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
});

test('the official client reads a stream whose every chunk fits the document', async () => {
  answer = () => fromEvents(plainAnswer('one', ' two', ' three'));
  const stream = await client.chat.completions.create({
    model: 'lfo-local',
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) {
    assertFits('CreateChatCompletionStreamResponse', chunk);
    chunks.push(chunk);
  }
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''), 'one two three');
  assert.equal(chunks.filter((chunk) => chunk.choices[0]?.delta.role === 'assistant').length, 1);
  assert.deepEqual(
    chunks.flatMap((chunk) => chunk.choices[0]?.finish_reason ?? []),
    ['stop'],
  );
  assert.equal(new Set(chunks.map(({ id, created }) => `${id} ${created}`)).size, 1);
  const last = chunks.at(-1);
  assert.deepEqual(last?.choices, []);
  assert.equal(last?.usage?.completion_tokens, 3);
  assert.equal(at(last, 'lfo_metadata', 'backend'), 'embedded');
  assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
});

test('the official client gets tool calls whole', async () => {
  answer = () =>
    fromEvents(callingAnswer({ name: 'weather', json: '{"city":"Ulm"}' }, { name: 'weather', json: '{}' }));
  const completion = await client.chat.completions.create({ model: 'lfo-auto', messages, tools });
  assertFits('CreateChatCompletionResponse', completion);
  assert.equal(completion.choices[0]?.finish_reason, 'tool_calls');
  assert.equal(completion.choices[0]?.message.content, null);
  const calls = completion.choices[0]?.message.tool_calls ?? [];
  assert.deepEqual(
    calls.map((call) => at(call, 'function', 'arguments')),
    ['{"city":"Ulm"}', '{}'],
  );
});

test('the official client puts streamed tool calls together', async () => {
  answer = () =>
    fromEvents(callingAnswer({ name: 'weather', json: '{"city":"Ulm"}' }, { name: 'weather', json: '{}' }));
  const stream = client.chat.completions.stream({ model: 'lfo-auto', messages, tools });
  for await (const chunk of stream) assertFits('CreateChatCompletionStreamResponse', chunk);
  const final = await stream.finalChatCompletion();
  const calls = final.choices[0]?.message.tool_calls ?? [];
  assert.deepEqual(
    calls.map((call) => at(call, 'id')),
    ['call0', 'call1'],
  );
  assert.deepEqual(
    calls.map((call) => at(call, 'function', 'arguments')),
    ['{"city":"Ulm"}', '{}'],
  );
});

test('a client that aborts its stream aborts the answer behind it', async () => {
  const seen = Promise.withResolvers<unknown>();
  answer = async function* (_request, { signal }) {
    yield { type: 'start', model: 'tiny' };
    yield { type: 'text-delta', text: 'going' };
    await once(signal, 'abort');
    seen.resolve(signal.reason);
    throw signal.reason;
  };
  const stream = await client.chat.completions.create({ model: 'lfo-auto', messages, stream: true });
  for await (const _chunk of stream) stream.controller.abort();
  assert.equal(at(await seen.promise, 'code'), 'client_closed_request');
});

test('a client that gives up before the first byte aborts the answer behind it', async () => {
  const seen = Promise.withResolvers<unknown>();
  const begun = Promise.withResolvers<void>();
  answer = async function* (_request, { signal }) {
    begun.resolve();
    yield { type: 'start', model: 'tiny' };
    await once(signal, 'abort');
    seen.resolve(signal.reason);
    throw signal.reason;
  };
  const controller = new AbortController();
  const asked = client.chat.completions.create({ model: 'lfo-auto', messages }, { signal: controller.signal });
  const refused = assert.rejects(asked, APIUserAbortError);
  await begun.promise;
  controller.abort();
  await refused;
  assert.equal(at(await seen.promise, 'status'), 499);
});

test('the official client turns statuses into its own errors', async () => {
  await assert.rejects(client.chat.completions.create({ model: 'nonesuch', messages }), (error) => {
    assert.ok(error instanceof NotFoundError);
    assert.equal(error.code, 'model_not_found');
    return true;
  });
  await assert.rejects(client.chat.completions.create({ model: 'lfo-auto', messages, temperature: 3 }), (error) => {
    assert.ok(error instanceof BadRequestError);
    assert.equal(error.param, 'temperature');
    assert.equal(error.type, 'invalid_request_error');
    assertFits('ErrorResponse', { error: error.error });
    return true;
  });
});

test('an upstream failure before the first byte has its status and forbids another try', async () => {
  answer = async function* () {
    yield { type: 'start', model: 'tiny' };
    throw new BackendError('The backend failed.', { fault: 'server', backend: 'faraway' });
  };
  await assert.rejects(client.chat.completions.create({ model: 'lfo-auto', messages, stream: true }), (error) => {
    assert.ok(error instanceof APIError);
    assert.equal(error.status, 502);
    assert.equal(error.headers?.get('x-should-retry'), 'false');
    return true;
  });
});

test('a stream cut after its first byte is an error, never an end', async () => {
  answer = async function* () {
    yield { type: 'start', model: 'tiny' };
    yield { type: 'text-delta', text: 'half' };
    throw new BackendError('The backend went away.', { fault: 'cut', backend: 'faraway' });
  };
  const stream = await client.chat.completions.create({ model: 'lfo-auto', messages, stream: true });
  await assert.rejects(async () => {
    for await (const chunk of stream) assert.equal(chunk.choices[0]?.finish_reason, null);
  }, APIError);
});

test('the official client lists and retrieves models', async () => {
  const list = await client.models.list();
  assertFits('ListModelsResponse', { object: 'list', data: list.data });
  assert.deepEqual(
    list.data.map(({ id }) => id),
    ['lfo-auto', 'lfo-local', 'lfo-cloud', 'tiny', 'vendor/large'],
  );
  const model = await client.models.retrieve('vendor/large');
  assertFits('Model', model);
  assert.equal(model.owned_by, 'faraway');
  await assert.rejects(client.models.retrieve('nonesuch'), NotFoundError);
});

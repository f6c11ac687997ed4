import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { BackendError } from '../../../core/errors.ts';
import { errorInAnswer, errorOfStatus } from './errors.ts';
import { listedModels } from './models.ts';

const clock = new FakeClock(0, Date.parse('2026-01-01T00:00:00Z'));

function errorOf(status: number, body: unknown = {}, headers: Record<string, string> = {}): BackendError {
  return errorOfStatus({ status, headers }, typeof body === 'string' ? body : JSON.stringify(body), 'b', clock);
}

const kinds: readonly [status: number, fault: string, shown: number][] = [
  [400, 'rejected', 400],
  [401, 'auth', 502],
  [402, 'auth', 502],
  [403, 'auth', 502],
  [404, 'rejected', 404],
  [405, 'bad_answer', 502],
  [408, 'server', 502],
  [413, 'rejected', 413],
  [422, 'rejected', 422],
  [429, 'rate_limit', 429],
  [500, 'server', 502],
  [502, 'server', 502],
  [503, 'server', 503],
  [504, 'server', 504],
  [529, 'server', 502],
  [100, 'bad_answer', 502],
];

for (const [status, fault, shown] of kinds) {
  test(`status ${status} is a ${fault} fault, shown as ${shown}, whatever the body`, () => {
    for (const body of [
      {},
      { error: { message: 'secret' } },
      [{ error: { message: 'secret' } }],
      { error: 'secret' },
      '<html>secret',
      '',
      'null',
    ]) {
      const error = errorOf(status, body);
      assert.equal(error.fault, fault);
      assert.equal(error.status, shown);
      assert.doesNotMatch(error.message, /secret/);
    }
  });
}

const pauses: readonly [name: string, headers: Record<string, string>, body: unknown, pauseMs: number | undefined][] = [
  ['seconds', { 'retry-after': '7' }, {}, 7000],
  ['a date', { 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' }, {}, 30_000],
  ['a date gone by', { 'retry-after': 'Wed, 31 Dec 2025 00:00:00 GMT' }, {}, 0],
  ['milliseconds first', { 'retry-after': '7', 'retry-after-ms': '250' }, {}, 250],
  ['RetryInfo', {}, [{ error: { details: [{ x: 1 }, { retryDelay: '34.4s' }] } }], 34_400],
  ['nonsense', { 'retry-after': 'soon' }, { error: { details: [{ retryDelay: 'x' }, null] } }, undefined],
  ['a negative', { 'retry-after': '-5' }, {}, undefined],
  ['a time since 1970, which is a pause of half a century', { 'retry-after': '1767225600' }, {}, 86_400_000],
];

for (const [name, headers, body, pauseMs] of pauses) {
  test(`a pause given as ${name} is read`, () => {
    assert.equal(errorOf(429, body, headers).retryAfterMs, pauseMs);
  });
}

test('a bad key that comes as a 400 is no fault of the request', () => {
  assert.equal(errorOf(400, [{ error: { details: [{ reason: 'API_KEY_INVALID' }] } }]).fault, 'auth');
});

test('a prompt too long keeps its code', () => {
  assert.equal(errorOf(400, { error: { code: 'context_length_exceeded' } }).code, 'context_length_exceeded');
});

for (const said of [
  "This model's maximum context length is 32768 tokens. However, your messages resulted in 40000 tokens.",
  'request (24071 tokens) exceeds the available context size (8192 tokens), try increasing it',
  'The number of tokens to keep from the initial prompt is greater than the context length.',
  'However, the model is loaded with context length of only 4096 tokens, which is not enough.',
]) {
  test(`a prompt too long is known by words alone: ${said}`, () => {
    for (const error of [{ message: said }, said]) {
      assert.equal(errorOf(400, { error }).code, 'context_length_exceeded');
      assert.equal(errorInAnswer({ error }, 'b')?.code, 'context_length_exceeded');
    }
  });
}

test('an error inside an answer has the status it names, or 500', () => {
  assert.equal(errorInAnswer({ error: { code: 429 } }, 'b')?.fault, 'rate_limit');
  assert.equal(errorInAnswer([{ error: { code: '503' } }], 'b')?.status, 503);
  assert.equal(errorInAnswer({ error: { code: 'server_error' } }, 'b')?.fault, 'server');
  assert.equal(errorInAnswer({ error: 'text' }, 'b')?.fault, 'server');
  assert.equal(errorInAnswer({ error: null, choices: [] }, 'b'), undefined);
  assert.equal(errorInAnswer(undefined, 'b'), undefined);
});

test('model lists are read from every server’s shape', () => {
  const list = [
    { id: 'a', max_model_len: 100 },
    { id: 'b', context_length: 200 },
    { id: 'c', context_window: 300 },
    { id: 'd', max_context_length: 900, loaded_context_length: 400 },
    { id: 'e', meta: { n_ctx: 500 } },
    { id: 'f', context_length: '1' },
    { id: '' },
    { name: 'g' },
    null,
  ];
  const read = [100, 200, 300, 400, 500].map((contextTokens, at) => ({ id: 'abcde'.charAt(at), contextTokens }));
  assert.deepEqual(listedModels({ data: list }), [...read, { id: 'f' }]);
  assert.deepEqual(listedModels(list).length, 6);
  for (const nothing of [null, {}, 'x', { data: 1 }]) assert.deepEqual(listedModels(nothing), []);
});

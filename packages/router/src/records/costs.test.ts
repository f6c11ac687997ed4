import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackendConfig } from '../config/config.ts';
import type { Tier } from '../core/request.ts';
import { type AttemptTrace, beginAttempt, beginTrace, type RequestTrace } from '../core/trace.ts';
import { costsOf } from './costs.ts';

const gemini: BackendConfig = {
  kind: 'gemini',
  name: 'gemini',
  tier: 'cloud',
  baseUrl: 'http://127.0.0.1:1',
  apiKeys: ['k'],
  auth: 'api_key',
  models: ['gemini-2.5-flash', 'gemini-2.5-pro'],
  concurrency: 1,
  fallbackModels: [],
  embeddingModels: [],
};
const million = { promptTokens: 1_000_000, completionTokens: 1_000_000 };
/** List price of a million tokens each way. */
const flashUsd = 2.8;

function traceOf(...attempts: readonly { tier: Tier; model: string; answered?: boolean }[]): RequestTrace {
  const request = { id: 'r', model: 'lfo-auto', stream: false, hints: { mode: 'auto' } } as const;
  const trace = beginTrace(request, { startMs: 0, startedAtMs: 0 }, 0.7);
  for (const { tier, model, answered = true } of attempts) {
    const attempt: AttemptTrace = beginAttempt(trace, tier, 0);
    attempt.model = model;
    if (!answered) continue;
    attempt.usage = trace.usage = million;
    trace.route = tier;
    trace.finishReason = 'stop';
  }
  return trace;
}

const local = { tier: 'local', model: 'qwen' } as const;
const cloud = { tier: 'cloud', model: 'gemini-2.5-flash' } as const;

test('a local answer is free and avoids what the first cloud model would have asked', () => {
  const costs = costsOf({ backends: [gemini] });
  const trace = traceOf(local);
  assert.equal(costs.spent(trace.attempts), 0);
  assert.equal(costs.avoided(trace), flashUsd);
});

test('every cloud attempt that used tokens is paid for, and nothing is avoided by an escalation', () => {
  const costs = costsOf({ backends: [gemini] });
  const trace = traceOf(local, cloud, { ...cloud, answered: false }, cloud);
  assert.equal(costs.spent(trace.attempts), 2 * flashUsd);
  assert.equal(costs.avoided(trace), undefined);
});

test('a model without a price leaves the costs unknown rather than too small', () => {
  const costs = costsOf({ backends: [{ ...gemini, models: ['house-model'] }] });
  assert.equal(costs.spent(traceOf(cloud, { ...cloud, model: 'house-model' }).attempts), undefined);
  assert.equal(costs.avoided(traceOf(local)), undefined);
});

test('without a cloud nothing is avoided, and neither is it by an answer that never ended', () => {
  assert.equal(costsOf({ backends: [] }).avoided(traceOf(local)), undefined);
  const unfinished = traceOf(local);
  unfinished.finishReason = undefined;
  assert.equal(costsOf({ backends: [gemini] }).avoided(unfinished), undefined);
});

test('the most that a request may cost is at the dearest model it may reach, its own fall-backs included', () => {
  const cheap: BackendConfig = { ...gemini, name: 'cheap', models: ['gemini-2.5-flash'], fallbackModels: ['dear'] };
  const prices = {
    'gemini-2.5-flash': { prompt: 1, cached: 1, completion: 1 },
    'gemini-2.5-pro': { prompt: 2, cached: 2, completion: 2 },
    dear: { prompt: 5, cached: 0, completion: 5 },
  };
  const near: BackendConfig = {
    ...gemini,
    kind: 'openai-compatible',
    name: 'near',
    tier: 'local',
    models: ['qwen', 'dear'],
    capabilities: {},
    dialect: 'standard',
  };
  const { most } = costsOf({ backends: [near, gemini], prices });
  assert.deepEqual(most('lfo-auto', million), { usd: 4, unpriced: undefined });
  assert.equal(most('gemini-2.5-flash', million).usd, 2);
  assert.equal(costsOf({ backends: [near, cheap], prices }).most('gemini-2.5-flash', million).usd, 10);
  assert.deepEqual(costsOf({ backends: [near], prices: {} }).most('lfo-auto', million), {
    usd: 0,
    unpriced: undefined,
  });
});

test('for limits a model without a price costs what the dearest one does, and is named', () => {
  const prices = { dear: { prompt: 4_000, cached: 4_000, completion: 5_000 } };
  const { most, charged, spent } = costsOf({ backends: [{ ...gemini, models: ['house-model'] }], prices });
  assert.deepEqual(most('lfo-auto', million), { usd: 9_000, unpriced: 'house-model' });
  const { attempts } = traceOf(local, { ...cloud, model: 'house-model' });
  assert.equal(charged(attempts), 9_000);
  assert.equal(spent(attempts), undefined);
  assert.equal(charged(traceOf(local, cloud).attempts), flashUsd);
});

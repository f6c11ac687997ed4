import assert from 'node:assert/strict';
import { test } from 'node:test';
import { costUsd, readPrices, shippedPrices, withPrices } from './prices.ts';

const prices = readPrices({
  asOf: '2026-01-01',
  currency: 'USD',
  perTokens: 1_000_000,
  models: {
    m: {
      prompt: 1,
      cached: 0.1,
      completion: 10,
      above: { promptTokens: 1_000, prompt: 2, cached: 0.2, completion: 20 },
    },
  },
});

const usage = { promptTokens: 1_000, completionTokens: 100 };

test('cached tokens are cheaper, and part of the prompt', () => {
  assert.equal(costUsd(prices, 'm', usage), (1_000 + 1_000) / 1e6);
  assert.equal(costUsd(prices, 'm', { ...usage, cachedTokens: 500 }), (500 + 50 + 1_000) / 1e6);
  assert.equal(costUsd(prices, 'm', { ...usage, cachedTokens: 9_999 }), (100 + 1_000) / 1e6);
});

test('a long prompt has its own rates', () => {
  assert.equal(costUsd(prices, 'm', { promptTokens: 1_001, completionTokens: 100 }), (2_002 + 2_000) / 1e6);
});

test('versions cost what their model costs, other models have no price', () => {
  for (const model of ['models/m', 'm-001', 'm-2025-04-14', 'm-preview', 'm-preview-09-2025']) {
    assert.equal(costUsd(prices, model, usage), costUsd(prices, 'm', usage));
  }
  for (const model of ['m-lite', 'constructor', '']) assert.equal(costUsd(prices, model, usage), undefined);
});

test('the shipped table is sound and knows the default model', () => {
  assert.ok((costUsd(shippedPrices(), 'gemini-2.5-flash', usage) ?? 0) > 0);
});

test('a price of the operator counts under the name that the model has there, its vendor included', () => {
  const own = withPrices(prices, {
    'vendor/m': { prompt: 3, cached: 3, completion: 30 },
    'vendor/other': { prompt: 5, cached: 5, completion: 50 },
  });
  assert.equal(costUsd(own, 'vendor/m', usage), (3_000 + 3_000) / 1e6);
  assert.equal(costUsd(own, 'vendor/m-001', usage), (3_000 + 3_000) / 1e6);
  assert.equal(costUsd(own, 'vendor/other', usage), (5_000 + 5_000) / 1e6);
  assert.equal(costUsd(own, 'another/m', usage), costUsd(prices, 'm', usage));
  assert.equal(costUsd(own, 'other', usage), undefined);
});

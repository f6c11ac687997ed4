import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import type { BackendStatus, BackendView, FleetView } from '../core/backend.ts';
import { Hedging, type HedgeConfig } from './hedging.ts';

const size = { promptTokens: 100, promptTokensFrom: 'count' as const, warmTokens: 0 };
const on: HedgeConfig = { hedge: true, hedgeShare: 0.08, usdPerSecond: 0.002 };
const cheap = (): number => 0.0001;

function backend(tier: 'local' | 'cloud', status: Partial<BackendStatus>): BackendView {
  return {
    id: tier,
    tier,
    models: ['m'],
    capabilities: { tools: true, jsonSchema: true, images: false, audio: false, logprobs: true },
    offers: [],
    status: { state: 'ready', ...status },
    breaker: 'closed',
    inFlight: 0,
    maxInFlight: 1,
  };
}

/** Local: 1 s to the first token and 12.8 s to the end of 128; cloud: 0.5 s and 1.3 s. */
const fleet: FleetView = {
  backends: [
    backend('local', { prefillRate: 100, decodeRate: 10 }),
    backend('cloud', { prefillRate: 1_000_000, decodeRate: 160, fixedMs: 500 }),
  ],
};

test('the cloud begins so late that its answer comes when the verdict does', () => {
  const hedging = new Hedging(() => on);
  assert.equal(
    hedging.delayMs(chatRequest({ stream: true }), size, () => fleet, cheap),
    13_800 - 500.1,
  );
  assert.equal(
    hedging.delayMs(chatRequest({ stream: false }), size, () => fleet, cheap),
    13_800 - 1_300.1,
  );
});

test('it is begun only where the time saved is worth more than the money wasted', () => {
  const hedging = new Hedging(() => on);
  const whole = chatRequest({ stream: false });
  // 40 % are held back, each then comes 1.3 s sooner: 0.4 · 0.002 · 1.3 against 0.6 · price.
  assert.equal(
    hedging.delayMs(
      whole,
      size,
      () => fleet,
      () => 0.002,
    ),
    undefined,
  );
  assert.notEqual(
    hedging.delayMs(
      whole,
      size,
      () => fleet,
      () => 0.0016,
    ),
    undefined,
  );
  const dear = new Hedging(() => ({ ...on, usdPerSecond: 0 }));
  assert.equal(
    dear.delayMs(whole, size, () => fleet, cheap),
    undefined,
  );
});

test('what is held back ever more rarely is hedged no longer, with tools and without apart', () => {
  const hedging = new Hedging(() => ({ ...on, hedgeShare: 0.5 }));
  const plain = chatRequest({ stream: false });
  for (let turn = 0; turn < 200; turn++) hedging.judged(plain, false);
  assert.equal(
    hedging.delayMs(plain, size, () => fleet, cheap),
    undefined,
  );
  const tool = { name: 'f', parameters: { type: 'object' } };
  assert.notEqual(
    hedging.delayMs(chatRequest({ stream: false, tools: [tool] }), size, () => fleet, cheap),
    undefined,
  );
});

test('of many requests no more than the share is hedged', () => {
  const hedging = new Hedging(() => on);
  const granted = Array.from({ length: 1_000 }, () => hedging.delayMs(chatRequest(), size, () => fleet, cheap)).filter(
    (delay) => delay !== undefined,
  );
  assert.ok(granted.length <= 83 && granted.length >= 80, String(granted.length));
});

test('nothing is hedged that is switched off, has acted, or whose local time nobody knows', () => {
  const request = chatRequest();
  assert.equal(
    new Hedging(() => ({ ...on, hedge: false })).delayMs(request, size, () => fleet, cheap),
    undefined,
  );
  const acted = chatRequest({
    messages: [...request.messages, { role: 'tool', toolCallId: 'c', content: [{ type: 'text', text: 'paid' }] }],
  });
  assert.equal(
    new Hedging(() => on).delayMs(acted, size, () => fleet, cheap),
    undefined,
  );
  const unknown = { backends: [backend('local', {}), ...fleet.backends.slice(1)] };
  assert.equal(
    new Hedging(() => on).delayMs(request, size, () => unknown, cheap),
    undefined,
  );
});

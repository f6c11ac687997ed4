import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { Cancellation } from '../core/abort.ts';
import type { BackendView } from '../core/backend.ts';
import type { ChatRequest } from '../core/request.ts';
import { createMeasure, type MeasureOptions } from './measure.ts';
import { cloudView, fleetOf, localView } from './routing-fixture.ts';
import { type Candidate, predictedWait } from './suitability.ts';

const limits = { maxLocalTokens: 1500, firstTokenBudgetMs: 10_000, confidenceThreshold: 0.7 };
const view = fleetOf(localView(), cloudView());
const live = new AbortController().signal;

function asking(chars: number, change: Partial<ChatRequest> = {}): ChatRequest {
  return chatRequest({ messages: [{ role: 'user', content: [{ type: 'text', text: 'x'.repeat(chars) }] }], ...change });
}

const clock = new FakeClock();

function candidateOf(backend: BackendView): Candidate {
  return { backend, offer: { model: 'qwen', capabilities: backend.capabilities } };
}

function counting(result: () => Promise<number | undefined>): { asked: string[]; options: MeasureOptions } {
  const asked: string[] = [];
  const countTokens: MeasureOptions['countTokens'] = (backend) => {
    asked.push(backend);
    return result().then((tokens) => (tokens === undefined ? undefined : { tokens }));
  };
  return { asked, options: { clock, limits: () => limits, countTokens } };
}

test('a short prompt is bounded by its bytes and nobody is asked', async () => {
  const { asked, options } = counting(() => Promise.resolve(7));
  const features = await createMeasure(options)(asking(1000), view, live);
  assert.equal(features.promptTokensFrom, 'bound');
  assert.ok(features.promptTokens >= 1000 && features.promptTokens <= 1500);
  assert.deepEqual(asked, []);
});

test('template and tools count towards the bound', async () => {
  const { asked, options } = counting(() => Promise.resolve(900));
  const tools = [{ name: 'f', description: 'd'.repeat(900) }];
  const features = await createMeasure(options)(asking(600, { tools }), view, live);
  assert.deepEqual([features.promptTokens, features.promptTokensFrom], [900, 'count']);
  assert.deepEqual(asked, ['embedded']);
});

test('a request is counted once, however often it is measured', async () => {
  const { asked, options } = counting(() => Promise.resolve(2000));
  const measure = createMeasure(options);
  const request = asking(4000);
  await measure(request, view, live);
  const again = await measure(request, view, live);
  assert.equal(again.promptTokens, 2000);
  assert.equal(asked.length, 1);
});

for (const [name, result] of [
  ['fails', () => Promise.reject(new Error('no tokenizer'))],
  ['does not know', () => Promise.resolve(undefined)],
] as const) {
  test(`a counter that ${name} leaves an estimate, marked as one`, async () => {
    const features = await createMeasure(counting(result).options)(asking(4000), view, live);
    assert.equal(features.promptTokensFrom, 'estimate');
    assert.ok(features.promptTokens > 500);
  });
}

test('an aborted count ends the request instead of guessing', async () => {
  const gone = new AbortController();
  const { options } = counting(() => {
    gone.abort(new Error('left'));
    return Promise.reject(gone.signal.reason);
  });
  await assert.rejects(createMeasure(options)(asking(4000), view, gone.signal), /left/);
});

for (const [name, change] of [
  ['mode', { hints: { mode: 'cloud' as const } }],
  ['alias', { model: 'lfo-cloud' }],
  ['pinned model', { model: 'gemini-2.5-flash' }],
] as const) {
  test(`nothing is counted locally when the cloud is asked for by ${name}`, async () => {
    const { asked, options } = counting(() => Promise.resolve(7));
    await createMeasure(options)(asking(2_000_000, change), view, live);
    assert.deepEqual(asked, []);
  });
}

test('a prompt out of all proportion is not counted', async () => {
  const { asked, options } = counting(() => Promise.resolve(7));
  const text = 'word '.repeat(100_000);
  const request = chatRequest({ messages: [{ role: 'user', content: [{ type: 'text', text }] }] });
  const features = await createMeasure(options)(request, view, live);
  assert.equal(features.promptTokensFrom, 'estimate');
  assert.deepEqual(asked, []);
});

test('a slow model counts what the byte bound alone would reject', async () => {
  const slow = fleetOf(localView({ status: { state: 'ready', prefillRate: 50 } }), cloudView());
  const { asked, options } = counting(() => Promise.resolve(300));
  const features = await createMeasure(options)(asking(1000), slow, live);
  assert.deepEqual([features.promptTokens, asked.length], [300, 1]);
});

test('the threshold of the request stands over the configured one', async () => {
  const request = asking(10, { hints: { mode: 'auto', confidenceThreshold: 0.2 } });
  const features = await createMeasure({ clock, limits: () => limits })(request, view, live);
  assert.equal(features.limits.confidenceThreshold, 0.2);
});

test('an image makes bytes meaningless: estimate or count', async () => {
  const request = chatRequest({
    messages: [{ role: 'user', content: [{ type: 'image', url: 'data:image/png;base64,AA' }] }],
  });
  const features = await createMeasure({ clock, limits: () => limits })(request, view, live);
  assert.equal(features.promptTokensFrom, 'estimate');
  assert.ok(features.promptTokens >= 500);
});

test('a count that does not come is given up after 400 ms for an estimate, and its counter told', async () => {
  const late = new FakeClock();
  let heard: Cancellation | undefined;
  const measure = createMeasure({
    clock: late,
    limits: () => limits,
    countTokens: (_backend, _request, signal) => {
      heard = signal;
      return new Promise(() => undefined);
    },
  });
  const measured = measure(asking(4000), view, live);
  let isOver = false;
  void measured.then(() => (isOver = true));
  await late.advanceAsync(399);
  assert.equal(isOver, false);
  await late.advanceAsync(1);
  assert.equal((await measured).promptTokensFrom, 'estimate');
  assert.equal(heard?.aborted, true);
  assert.equal(late.pendingTimers, 0);
});

for (const [name, change] of [
  ['a closed link', { status: { state: 'down' as const } }],
  ['a model that loads', { status: { state: 'loading' as const } }],
  ['an open breaker', { breaker: 'open' as const }],
] as const) {
  test(`nothing is asked of ${name}`, async () => {
    const { asked, options } = counting(() => Promise.resolve(7));
    const features = await createMeasure(options)(asking(4000), fleetOf(localView(change), cloudView()), live);
    assert.equal(features.promptTokensFrom, 'estimate');
    assert.deepEqual(asked, []);
  });
}

test('what the counter has warm is not read again, by that backend alone', async () => {
  const measure = createMeasure({
    clock,
    limits: () => limits,
    countTokens: () => Promise.resolve({ tokens: 1400, warmTokens: 1300 }),
  });
  const features = await measure(asking(4000), view, live);
  assert.deepEqual([features.warmTokens, features.warmBackend], [1300, 'embedded']);
  assert.equal(predictedWait(candidateOf(localView()), features)?.prefillMs, 100);
  assert.equal(predictedWait(candidateOf(localView({ id: 'other' })), features)?.prefillMs, 1400);
});

test('a bound decides, and the estimate predicts', async () => {
  const features = await createMeasure({ clock, limits: () => limits })(asking(1000), view, live);
  assert.equal(features.promptTokensFrom, 'bound');
  assert.ok((features.expectedTokens ?? Infinity) < features.promptTokens);
});

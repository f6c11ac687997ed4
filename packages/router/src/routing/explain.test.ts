import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decide } from './decide.ts';
import { explainRoute } from './explain.ts';
import { defaultPolicies } from './policies.ts';
import { cloudView, featuresOf, fleetOf, localView } from './routing-fixture.ts';

test('an explanation names the route and the backends behind each attempt', () => {
  const fleet = fleetOf(localView({ id: 'phone', breaker: 'open' }), localView(), cloudView());
  const features = featuresOf('auto', { promptTokens: 2000 });
  const explained = explainRoute(features, fleet, decide(features, fleet, defaultPolicies));
  assert.equal(explained.route, 'cloud');
  assert.deepEqual(explained.reasons, ['prompt_too_long']);
  assert.deepEqual(
    explained.attempts.map(({ tier, backend }) => [tier, backend]),
    [
      ['cloud', 'gemini'],
      ['local', 'embedded'],
    ],
  );
  assert.deepEqual(
    explained.candidates?.map(({ backend, skipped }) => [backend, skipped]),
    [
      ['gemini', undefined],
      ['embedded', undefined],
      ['phone', 'breaker_open'],
    ],
  );
  assert.deepEqual(explained.skipped, [{ backend: 'phone', why: 'breaker_open' }]);
});

test('an explanation says what the predicted wait is made of, what is full and what pauses', () => {
  const local = localView({
    status: { state: 'ready', prefillRate: 1000, fixedMs: 50, slots: 1 },
    inFlight: 1,
    maxInFlight: 1,
    queueMs: 700,
  });
  const gemini = cloudView();
  const paused = cloudView({
    offers: [{ model: 'gemini-2.5-flash', capabilities: gemini.capabilities, pausedMs: 5000 }],
  });
  const fleet = fleetOf(local, paused);
  const features = featuresOf('auto', { promptTokens: 300, warmTokens: 100 });
  const [one, other] = explainRoute(features, fleet, decide(features, fleet, defaultPolicies)).candidates ?? [];
  assert.deepEqual(one?.wait, { queueMs: 700, fixedMs: 50, prefillMs: 200, totalMs: 950 });
  assert.equal(one?.isFull, true);
  assert.equal(one?.skipped, undefined);
  assert.deepEqual([other?.skipped, other?.pausedMs], ['paused', 5000]);
});

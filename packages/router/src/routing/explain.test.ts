import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reasons } from '../core/reason.ts';
import { decide } from './decide.ts';
import { explainRoute } from './explain.ts';
import { defaultPolicies } from './policies.ts';
import { cloudView, featuresOf, fleetOf, localView } from './routing-fixture.ts';

test('an explanation names the route, the sentences and the backends behind each attempt', () => {
  const fleet = fleetOf(localView({ id: 'phone', breaker: 'open' }), localView(), cloudView());
  const features = featuresOf('auto', { promptTokens: 2000 });
  const explained = explainRoute(features, fleet, decide(features, fleet, defaultPolicies));
  assert.equal(explained.route, 'cloud');
  assert.deepEqual(explained.reasons, [{ code: 'prompt_too_long', sentence: reasons.prompt_too_long }]);
  assert.deepEqual(
    explained.attempts.map((attempt) => attempt.candidates.map(({ backend, skipped }) => [backend, skipped])),
    [
      [['gemini', undefined]],
      [
        ['embedded', undefined],
        ['phone', 'breaker_open'],
      ],
    ],
  );
  assert.equal(explained.attempts[1]?.candidates[0]?.predictedFirstTokenMs, 2000);
});

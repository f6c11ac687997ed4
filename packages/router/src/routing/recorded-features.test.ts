import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { recordedFeatures } from './recorded-features.ts';
import { cloudView, featuresOf, fleetOf, localView } from './routing-fixture.ts';

const secret = 'nobody may read this later';

test('what the policies knew is kept in numbers and kinds, and no text with it', () => {
  const request = chatRequest({
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: secret },
          { type: 'image', url: 'https://example.org/a.png' },
        ],
      },
    ],
    tools: [{ name: secret }],
    responseFormat: { type: 'json_object' },
  });
  const seesImages = localView({ capabilities: { ...localView().capabilities, images: true } });
  const features = featuresOf('auto', { request, promptTokens: 3000, warmTokens: 1000 });
  const kept = recordedFeatures(features, fleetOf(localView(), seesImages, cloudView()));
  assert.deepEqual(kept, {
    requested_model: 'lfo-auto',
    messages: 1,
    tools: 1,
    uses_tools: true,
    response_format: 'json_object',
    images: true,
    remote_images: true,
    warm_tokens: 1000,
    max_local_tokens: 1500,
    first_token_budget_ms: 10_000,
    predicted_first_token_ms: null,
    local_ready: 0,
    local_full: 0,
    cloud_ready: 1,
  });
  assert.doesNotMatch(JSON.stringify(kept), /nobody|example/);
});

test('the predicted wait is that of the fastest local model that is up', () => {
  const slow = localView({ id: 'slow', status: { state: 'ready', prefillRate: 100 } });
  const down = localView({ id: 'down', status: { state: 'down', prefillRate: 10_000 } });
  const kept = recordedFeatures(featuresOf('auto', { promptTokens: 500 }), fleetOf(slow, localView(), down));
  assert.deepEqual([kept['predicted_first_token_ms'], kept['local_ready'], kept['cloud_ready']], [500, 2, 0]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import * as fc from 'fast-check';
import type { BackendView } from '../core/backend.ts';
import { LfoError } from '../core/errors.ts';
import type { Mode } from '../core/request.ts';
import type { RequestFeatures } from '../core/routing.ts';
import { decide } from './decide.ts';
import { defaultPolicies } from './policies.ts';
import { cloudView, featuresOf, fleetOf, localView } from './routing-fixture.ts';

const local = localView();
const cloud = cloudView();
const image = chatRequest({
  messages: [{ role: 'user', content: [{ type: 'image', url: 'data:image/png;base64,AA' }] }],
});
const withTools = chatRequest({ tools: [{ name: 'f' }] });
const withSchema = chatRequest({ responseFormat: { type: 'json_schema', name: 's', schema: {} } });
const noSchema = localView({ capabilities: { ...local.capabilities, jsonSchema: false } });
const noTools = localView({ capabilities: { ...local.capabilities, tools: false } });
const onlyTools = localView({ capabilities: { ...local.capabilities, toolsOnly: true } });
const loading = localView({ status: { state: 'loading' } });
const down = localView({ status: { state: 'down' } });
const cloudOpen = cloudView({ breaker: 'open' });
const paused = cloudView({
  offers: [{ model: 'gemini-2.5-flash', capabilities: cloud.capabilities, pausedMs: 5000 }],
});

interface Case {
  readonly name: string;
  readonly mode: Mode;
  readonly fleet: readonly BackendView[];
  readonly features?: Partial<RequestFeatures>;
  /** Tiers in order; a `?` marks a gated attempt. */
  readonly attempts: readonly string[];
  readonly reason: string;
}

const table: readonly Case[] = [
  {
    name: 'auto starts locally behind the gate',
    mode: 'auto',
    fleet: [local, cloud],
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'local never names the cloud',
    mode: 'local',
    fleet: [local, cloud],
    attempts: ['local'],
    reason: 'mode_local',
  },
  { name: 'cloud never names local', mode: 'cloud', fleet: [local, cloud], attempts: ['cloud'], reason: 'mode_cloud' },
  { name: 'no cloud: local without a gate', mode: 'auto', fleet: [local], attempts: ['local'], reason: 'local_first' },
  { name: 'no local: cloud', mode: 'auto', fleet: [cloud], attempts: ['cloud'], reason: 'local_unavailable' },
  {
    name: 'long prompt: cloud, local as the last resort',
    mode: 'auto',
    fleet: [local, cloud],
    features: { promptTokens: 1501 },
    attempts: ['cloud', 'local'],
    reason: 'prompt_too_long',
  },
  {
    name: 'a prompt at the limit stays local',
    mode: 'auto',
    fleet: [local, cloud],
    features: { promptTokens: 1500 },
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'long prompt without a cloud stays local',
    mode: 'auto',
    fleet: [local],
    features: { promptTokens: 1501 },
    attempts: ['local'],
    reason: 'cloud_not_configured',
  },
  {
    name: 'the limit does not steer local',
    mode: 'local',
    fleet: [local, cloud],
    features: { promptTokens: 5000 },
    attempts: ['local'],
    reason: 'mode_local',
  },
  {
    name: 'beyond the local context: cloud alone',
    mode: 'auto',
    fleet: [local, cloud],
    features: { promptTokens: 8192 },
    attempts: ['cloud'],
    reason: 'context_too_small',
  },
  {
    name: 'unknown context excludes nothing',
    mode: 'local',
    fleet: [
      localView({ capabilities: { tools: true, jsonSchema: true, images: false, audio: false, logprobs: true } }),
    ],
    features: { promptTokens: 99_999 },
    attempts: ['local'],
    reason: 'mode_local',
  },
  {
    name: 'slow prefill: cloud first',
    mode: 'auto',
    fleet: [localView({ status: { state: 'ready', prefillRate: 100 } }), cloud],
    features: { promptTokens: 1200 },
    attempts: ['cloud', 'local'],
    reason: 'first_token_too_late',
  },
  {
    name: 'a warm prefix is not read again',
    mode: 'auto',
    fleet: [localView({ status: { state: 'ready', prefillRate: 100 } }), cloud],
    features: { promptTokens: 1200, warmTokens: 300 },
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'an unmeasured rate delays nothing',
    mode: 'auto',
    fleet: [localView({ status: { state: 'ready' } }), cloud],
    features: { promptTokens: 1200 },
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'a full local tier is not waited for while the cloud has room',
    mode: 'auto',
    fleet: [localView({ inFlight: 1, maxInFlight: 1 }), cloud],
    attempts: ['cloud', 'local'],
    reason: 'local_full',
  },
  {
    name: "others' work fills a device as well",
    mode: 'auto',
    fleet: [localView({ maxInFlight: 4, status: { state: 'ready', active: 2, queued: 0, slots: 2 } }), cloud],
    attempts: ['cloud', 'local'],
    reason: 'local_full',
  },
  {
    name: 'one local backend with room is enough',
    mode: 'auto',
    fleet: [localView({ inFlight: 1, maxInFlight: 1 }), localView({ id: 'b' }), cloud],
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'a full local tier is waited for where the cloud is out',
    mode: 'auto',
    fleet: [localView({ inFlight: 1, maxInFlight: 1 }), cloudOpen],
    attempts: ['local', 'cloud'],
    reason: 'cloud_unavailable',
  },
  {
    name: 'a full local tier is waited for in mode local',
    mode: 'local',
    fleet: [localView({ inFlight: 1, maxInFlight: 1 }), cloud],
    attempts: ['local'],
    reason: 'mode_local',
  },
  {
    name: 'a queue that is longer than the budget: cloud first',
    mode: 'auto',
    fleet: [localView({ queueMs: 9950 }), cloud],
    attempts: ['cloud', 'local'],
    reason: 'first_token_too_late',
  },
  {
    name: 'a cloud that asked for a pause: local without a gate, so that no answer is thrown away',
    mode: 'auto',
    fleet: [local, paused],
    attempts: ['local', 'cloud'],
    reason: 'cloud_unavailable',
  },
  {
    name: 'the pause of another model is none of this one',
    mode: 'auto',
    fleet: [
      local,
      cloudView({
        models: ['pro', 'flash'],
        offers: [
          { model: 'pro', capabilities: cloud.capabilities },
          { model: 'flash', capabilities: cloud.capabilities, pausedMs: 5000 },
        ],
      }),
    ],
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'a model in both tiers is auto between them',
    mode: 'auto',
    fleet: [local, cloudView({ models: ['gemini-2.5-flash', 'qwen'] })],
    features: { request: chatRequest({ model: 'qwen' }) },
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'a backend and its model pin both',
    mode: 'auto',
    fleet: [local, cloudView({ models: ['gemini-2.5-flash', 'qwen'] })],
    features: { request: chatRequest({ model: 'gemini/qwen' }) },
    attempts: ['cloud'],
    reason: 'model_pinned',
  },
  {
    name: 'tools are judged by the model that would answer',
    mode: 'auto',
    fleet: [
      localView({
        models: ['small', 'big'],
        capabilities: noTools.capabilities,
        offers: [
          { model: 'small', capabilities: noTools.capabilities },
          { model: 'big', capabilities: local.capabilities },
        ],
      }),
      cloud,
    ],
    features: { request: withTools },
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'loading: cloud first',
    mode: 'auto',
    fleet: [loading, cloud],
    attempts: ['cloud', 'local'],
    reason: 'local_loading',
  },
  {
    name: 'loading without a cloud waits locally',
    mode: 'auto',
    fleet: [loading],
    attempts: ['local'],
    reason: 'cloud_not_configured',
  },
  { name: 'loading in local waits', mode: 'local', fleet: [loading, cloud], attempts: ['local'], reason: 'mode_local' },
  {
    name: 'local down: cloud first',
    mode: 'auto',
    fleet: [down, cloud],
    attempts: ['cloud', 'local'],
    reason: 'local_unavailable',
  },
  {
    name: 'an open local breaker: cloud first',
    mode: 'auto',
    fleet: [localView({ breaker: 'open' }), cloud],
    attempts: ['cloud', 'local'],
    reason: 'local_unavailable',
  },
  {
    name: 'a local one that is drained: cloud first',
    mode: 'auto',
    fleet: [localView({ isDraining: true }), cloud],
    attempts: ['cloud', 'local'],
    reason: 'local_unavailable',
  },
  {
    name: 'one ready local among several is enough',
    mode: 'auto',
    fleet: [down, localView({ id: 'b' }), cloud],
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'cloud breaker open: local without a gate, cloud after',
    mode: 'auto',
    fleet: [local, cloudOpen],
    attempts: ['local', 'cloud'],
    reason: 'cloud_unavailable',
  },
  {
    name: 'a half-open cloud may be asked',
    mode: 'auto',
    fleet: [local, cloudView({ breaker: 'half-open' })],
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'cloud out and prompt long: local still first',
    mode: 'auto',
    fleet: [local, cloudOpen],
    features: { promptTokens: 2000 },
    attempts: ['local', 'cloud'],
    reason: 'cloud_unavailable',
  },
  {
    name: 'images: cloud alone',
    mode: 'auto',
    fleet: [local, cloud],
    features: { request: image },
    attempts: ['cloud'],
    reason: 'images_unsupported',
  },
  {
    name: 'tools nobody local takes: cloud alone',
    mode: 'auto',
    fleet: [noTools, cloud],
    features: { request: withTools },
    attempts: ['cloud'],
    reason: 'tools_unsupported',
  },
  {
    name: 'chat where the local model answers with calls alone: cloud alone',
    mode: 'auto',
    fleet: [onlyTools, cloud],
    attempts: ['cloud'],
    reason: 'only_tools',
  },
  {
    name: 'tools that must not be called are chat to such a model',
    mode: 'auto',
    fleet: [onlyTools, cloud],
    features: { request: { ...withTools, toolChoice: { type: 'none' } } },
    attempts: ['cloud'],
    reason: 'only_tools',
  },
  {
    name: 'tools go to a model that answers with calls alone',
    mode: 'auto',
    fleet: [onlyTools, cloud],
    features: { request: withTools },
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'tools with choice none need no support',
    mode: 'auto',
    fleet: [noTools, cloud],
    features: { request: { ...withTools, toolChoice: { type: 'none' } } },
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'a schema nobody local enforces: cloud first',
    mode: 'auto',
    fleet: [noSchema, cloud],
    features: { request: withSchema },
    attempts: ['cloud', 'local'],
    reason: 'json_schema_unsupported',
  },
  {
    name: 'a schema without a cloud runs locally',
    mode: 'auto',
    fleet: [noSchema],
    features: { request: withSchema },
    attempts: ['local'],
    reason: 'cloud_not_configured',
  },
  {
    name: 'a pinned local model stays local',
    mode: 'auto',
    fleet: [local, cloud],
    features: { request: chatRequest({ model: 'qwen' }) },
    attempts: ['local'],
    reason: 'model_pinned',
  },
  {
    name: 'a pinned cloud model stays in the cloud',
    mode: 'auto',
    fleet: [local, cloud],
    features: { request: chatRequest({ model: 'gemini-2.5-flash' }) },
    attempts: ['cloud'],
    reason: 'model_pinned',
  },
  {
    name: 'the alias lfo-local is the mode',
    mode: 'auto',
    fleet: [local, cloud],
    features: { request: chatRequest({ model: 'lfo-local' }) },
    attempts: ['local'],
    reason: 'mode_local',
  },
  {
    name: 'a local attempt that is expected to cost more than it saves: cloud first',
    mode: 'auto',
    fleet: [local, cloud],
    features: { expected: { right: 0.1, localMs: 5_000, cloudMs: 1_000, cloudUsd: 0.002, usdPerSecond: 0.002 } },
    attempts: ['cloud', 'local'],
    reason: 'expected_gain',
  },
  {
    name: 'one that is expected to save more is begun',
    mode: 'auto',
    fleet: [local, cloud],
    features: { expected: { right: 0.9, localMs: 1_000, cloudMs: 1_000, cloudUsd: 0.002, usdPerSecond: 0.002 } },
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'where time is worth nothing local is always begun',
    mode: 'auto',
    fleet: [local, cloud],
    features: { expected: { right: 0.01, localMs: 60_000, cloudMs: 500, cloudUsd: 0.002, usdPerSecond: 0 } },
    attempts: ['local?', 'cloud'],
    reason: 'local_first',
  },
  {
    name: 'what is expected never moves a local request',
    mode: 'local',
    fleet: [local, cloud],
    features: { expected: { right: 0, localMs: 60_000, cloudMs: 500, cloudUsd: 0, usdPerSecond: 1 } },
    attempts: ['local'],
    reason: 'mode_local',
  },
  {
    name: 'a cloud too small for the prompt is left out',
    mode: 'auto',
    fleet: [local, cloudView({ capabilities: { ...cloud.capabilities, contextTokens: 1000 } })],
    features: { promptTokens: 1200 },
    attempts: ['local'],
    reason: 'local_first',
  },
];

for (const { name, mode, fleet, features, attempts, reason } of table) {
  test(name, () => {
    const decision = decide(featuresOf(mode, features), fleetOf(...fleet), defaultPolicies);
    assert.deepEqual(
      decision.attempts.map(({ tier, gated }) => `${tier}${gated ? '?' : ''}`),
      attempts,
    );
    assert.equal(decision.reasons[0], reason);
    assert.equal(decision.votes.length, defaultPolicies.length);
  });
}

test('a pin names its backend and model in every attempt', () => {
  const features = featuresOf('auto', { request: chatRequest({ model: 'gemini-2.5-flash' }) });
  const decision = decide(features, fleetOf(local, cloud), defaultPolicies);
  assert.deepEqual(decision.attempts, [{ tier: 'cloud', backend: 'gemini', model: 'gemini-2.5-flash', gated: false }]);
});

test('a device is not asked for a model of another by its plain id, however many others serve it', () => {
  const others = [localView({ models: ['twin'] }), localView({ id: 'server', models: ['twin'] })];
  const phone = (plainModels: readonly string[]): BackendView =>
    localView({ id: 'dev-1', models: ['twin', 'tiny'], device: { name: 'phone', plainModels } });
  const attempts = (model: string, ...fleet: readonly BackendView[]) =>
    decide(featuresOf('auto', { request: chatRequest({ model }) }), fleetOf(...fleet, cloud), defaultPolicies).attempts;
  for (const plainModels of [[], ['twin']]) {
    assert.deepEqual(attempts('twin', ...others, phone(plainModels)), [
      { tier: 'local', model: 'twin', gated: false, avoid: ['dev-1'] },
    ]);
  }
  assert.deepEqual(attempts('twin@phone', ...others, phone([])), [
    { tier: 'local', backend: 'dev-1', model: 'twin', gated: false },
  ]);
  const twoPhones = [phone(['tiny']), localView({ ...phone(['tiny']), id: 'dev-2' })];
  assert.deepEqual(attempts('tiny', ...twoPhones), [{ tier: 'local', model: 'tiny', gated: false }]);
  assert.equal(attempts('lfo-auto', ...others, phone([]))[0]?.avoid, undefined);
});

test('nothing is said of a tier that the request itself leaves out', () => {
  const said = (mode: Mode, model?: string) =>
    decide(
      featuresOf(mode, model === undefined ? {} : { request: chatRequest({ model }) }),
      fleetOf(local, cloud),
      defaultPolicies,
    ).reasons;
  assert.deepEqual(said('local'), ['mode_local']);
  assert.deepEqual(said('cloud'), ['mode_cloud']);
  assert.deepEqual(said('auto', 'qwen'), ['model_pinned', 'mode_local']);
  assert.deepEqual(said('auto', 'gemini-2.5-flash'), ['model_pinned', 'mode_cloud']);
});

const refusals: readonly {
  readonly name: string;
  readonly mode: Mode;
  readonly fleet: readonly BackendView[];
  readonly features?: Partial<RequestFeatures>;
  readonly code: string;
  readonly status: number;
}[] = [
  {
    name: 'too long for every backend is a 400',
    mode: 'auto',
    fleet: [local],
    features: { promptTokens: 9000 },
    code: 'context_length_exceeded',
    status: 400,
  },
  {
    name: 'too long for local in local mode is a 400, never the cloud',
    mode: 'local',
    fleet: [local, cloud],
    features: { promptTokens: 9000 },
    code: 'context_length_exceeded',
    status: 400,
  },
  {
    name: 'too long for the cloud in cloud mode is a 400',
    mode: 'cloud',
    fleet: [local, cloud],
    features: { promptTokens: 1_000_000 },
    code: 'context_length_exceeded',
    status: 400,
  },
  {
    name: 'an image in local mode is a 400, never the cloud',
    mode: 'local',
    fleet: [local, cloud],
    features: { request: image },
    code: 'unsupported_by_backend',
    status: 400,
  },
  {
    name: 'cloud mode without a cloud is a 503',
    mode: 'cloud',
    fleet: [local],
    code: 'no_backend_available',
    status: 503,
  },
  {
    name: 'local mode without local backends is a 503',
    mode: 'local',
    fleet: [cloud],
    code: 'no_backend_available',
    status: 503,
  },
  { name: 'an empty fleet is a 503', mode: 'auto', fleet: [], code: 'no_backend_available', status: 503 },
  {
    name: 'an unknown model is a 404',
    mode: 'auto',
    fleet: [local],
    features: { request: chatRequest({ model: 'gpt-9' }) },
    code: 'model_not_found',
    status: 404,
  },
  {
    name: 'a cloud model in local mode is a 400',
    mode: 'local',
    fleet: [local, cloud],
    features: { request: chatRequest({ model: 'gemini-2.5-flash' }) },
    code: 'conflicting_modes',
    status: 400,
  },
];

for (const { name, mode, fleet, features, code, status } of refusals) {
  test(name, () => {
    assert.throws(
      () => decide(featuresOf(mode, features), fleetOf(...fleet), defaultPolicies),
      (error) => error instanceof LfoError && error.code === code && error.status === status,
    );
  });
}

test('whatever the fleet, modes keep their promise and a gate always has a cloud behind it', () => {
  const state = fc.constantFrom('ready' as const, 'loading' as const, 'down' as const);
  const breaker = fc.constantFrom('closed' as const, 'open' as const, 'half-open' as const);
  const backend = fc.record({
    isLocal: fc.boolean(),
    state,
    breaker,
    contextTokens: fc.integer({ min: 1, max: 4000 }),
  });
  fc.assert(
    fc.property(
      fc.array(backend, { maxLength: 4 }),
      fc.constantFrom<Mode>('auto', 'local', 'cloud'),
      fc.integer({ min: 0, max: 5000 }),
      (specs, mode, promptTokens) => {
        const fleet = fleetOf(
          ...specs.map((spec, index) => {
            const base = spec.isLocal ? local : cloud;
            const capabilities = { ...base.capabilities, contextTokens: spec.contextTokens };
            return { ...base, id: `b${index}`, capabilities, status: { state: spec.state }, breaker: spec.breaker };
          }),
        );
        let attempts;
        try {
          ({ attempts } = decide(featuresOf(mode, { promptTokens }), fleet, defaultPolicies));
        } catch (error) {
          assert.ok(error instanceof LfoError);
          return;
        }
        assert.ok(attempts.length > 0);
        if (mode !== 'auto') assert.ok(attempts.every((attempt) => attempt.tier === mode));
        for (const [index, attempt] of attempts.entries()) {
          if (attempt.gated) assert.ok(attempt.tier === 'local' && attempts[index + 1]?.tier === 'cloud');
          assert.ok(
            fleet.backends.some(
              (one) => one.tier === attempt.tier && promptTokens < (one.capabilities.contextTokens ?? 0),
            ),
          );
        }
      },
    ),
  );
});

test('models that stand in are attempts of their own, after the backend they belong to', () => {
  const fleet = fleetOf(local, cloudView({ standIns: ['gemini-2.5-flash-lite'] }));
  const { attempts } = decide(featuresOf('auto'), fleet, defaultPolicies);
  assert.deepEqual(attempts.at(-1), {
    tier: 'cloud',
    backend: 'gemini',
    model: 'gemini-2.5-flash-lite',
    gated: false,
    isStandIn: true,
  });
  assert.equal(attempts.length, 3);
});

// Rules say `then` in the file, and nobody awaits one.
/* oxlint-disable unicorn/no-thenable */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { scaled } from '@lfo/testing/test-scale.ts';
import * as fc from 'fast-check';
import type { BackendView } from '../core/backend.ts';
import type { ChatRequest } from '../core/request.ts';
import { defaultPolicies } from './policies.ts';
import { createRoute, type Routed } from './route.ts';
import { compileRules } from './rules.ts';
import { cloudView, fleetOf, localView } from './routing-fixture.ts';

const limits = { maxLocalTokens: 1500, firstTokenBudgetMs: 1000, confidenceThreshold: 0.7 };
const live = new AbortController().signal;
const options = { clock: new FakeClock(), limits: () => limits, policies: defaultPolicies };

const request: fc.Arbitrary<ChatRequest> = fc
  .record({
    chars: fc.integer({ min: 0, max: 3000 }),
    turns: fc.integer({ min: 1, max: 4 }),
    mode: fc.constantFrom('auto', 'local', 'cloud'),
    model: fc.constantFrom('lfo-auto', 'lfo-local', 'qwen'),
    hasTools: fc.boolean(),
    isJson: fc.boolean(),
    threshold: fc.constantFrom(undefined, 0.2, 0.9),
  })
  .map(({ chars, turns, mode, model, hasTools, isJson, threshold }) =>
    chatRequest({
      model,
      messages: Array.from({ length: turns }, () => ({
        role: 'user',
        content: [{ type: 'text', text: 'x'.repeat(chars) }],
      })),
      tools: hasTools ? [{ name: 'f', description: 'does it' }] : [],
      ...(isJson && { responseFormat: { type: 'json_schema', name: 's', schema: {} } as const }),
      hints: { mode, ...(threshold !== undefined && { confidenceThreshold: threshold }) },
    }),
  );

const backend = (make: (change: Partial<BackendView>) => BackendView): fc.Arbitrary<BackendView> =>
  fc
    .record({
      prefillRate: fc.constantFrom(undefined, 200, 5000),
      state: fc.constantFrom('ready', 'ready', 'loading', 'down'),
      breaker: fc.constantFrom('closed', 'closed', 'open'),
      queueMs: fc.constantFrom(0, 0, 500, undefined),
      inFlight: fc.constantFrom(0, 1, 4),
    })
    .map(({ prefillRate, state, breaker, queueMs, inFlight }) =>
      make({
        status: { state, ...(prefillRate !== undefined && { prefillRate }) },
        breaker,
        inFlight,
        maxInFlight: 4,
        ...(queueMs !== undefined && { queueMs }),
      }),
    );

async function outcomeOf(run: () => Routed | Promise<Routed>): Promise<unknown> {
  try {
    const { features, ...rest } = await run();
    return { ...rest, features };
  } catch (error) {
    return error instanceof Error ? `${error.name} ${error.message}` : error;
  }
}

test('a rule keeps the count of a prompt, too, from whom it keeps the request', async () => {
  const long = chatRequest({ messages: [{ role: 'user', content: [{ type: 'text', text: 'x '.repeat(3000) }] }] });
  const askedUnder = async (then: Parameters<typeof compileRules>[0][number]['then'], when = {}): Promise<string[]> => {
    const asked: string[] = [];
    const rules = compileRules([{ name: 'kept', when, then }]);
    const route = createRoute({
      clock: new FakeClock(),
      limits: () => limits,
      policies: defaultPolicies,
      rules: () => rules,
      countTokens: async (backend) => {
        asked.push(backend);
        return { tokens: 1000 };
      },
    });
    const fleet = fleetOf(localView({ id: 'phone' }), localView(), cloudView());
    await route({ ...long, hints: { mode: 'auto' } }, fleet, new AbortController().signal);
    return asked;
  };
  assert.deepEqual(await askedUnder({ prefer: 'cloud' }), ['phone']);
  assert.deepEqual(await askedUnder({ forbid: 'phone' }), ['embedded']);
  assert.deepEqual(await askedUnder({ require: 'cloud' }), []);
  assert.deepEqual(await askedUnder({ forbid: 'local' }), []);
  // Whether it is as long as that, the count is to tell.
  assert.deepEqual(await askedUnder({ forbid: 'local' }, { promptTokens: { min: 900 } }), ['phone']);
});

test('a decision that was kept is the one that would be made anew, with the same features and the same record', async () => {
  let kept = 0;
  const fleet = fc.tuple(backend(localView), backend(cloudView), fc.boolean());
  await fc.assert(
    fc.asyncProperty(
      fleet,
      fc.array(request, { minLength: 1, maxLength: 4 }),
      async ([local, cloud, both], requests) => {
        const view = both ? fleetOf(local, cloud) : fleetOf(local);
        const warm = createRoute(options);
        for (const one of [...requests, ...requests.toReversed()]) {
          const cold = createRoute(options);
          const routed = await outcomeOf(() => {
            const at = warm(one, view, live);
            if (!(at instanceof Promise)) kept++;
            return at;
          });
          assert.deepEqual(routed, await outcomeOf(() => cold(one, view, live)));
        }
      },
    ),
    { numRuns: scaled({ always: 2_000, full: 100_000 }), seed: 61 },
  );
  assert.ok(kept > 500, String(kept));
});

test('the goal of a rule that matches is the threshold, unless the request names one or too little is known', async () => {
  const rules = compileRules([{ name: 'exact', when: { tools: true }, then: { goal: { quality: 0.98 } } }]);
  const asked: object[] = [];
  const routeWith = (threshold: number | undefined) =>
    createRoute({
      ...options,
      rules: () => rules,
      thresholdFor(goal) {
        asked.push(goal);
        return threshold;
      },
    });
  const fleet = fleetOf(localView({}), cloudView({}));
  const tools = [{ name: 'f' }];
  const thresholdOf = async (threshold: number | undefined, change: Partial<ChatRequest>) =>
    (await routeWith(threshold)(chatRequest(change), fleet, live)).features.limits.confidenceThreshold;
  assert.equal(await thresholdOf(0.93, { tools }), 0.93);
  assert.deepEqual(asked, [{ quality: 0.98 }]);
  assert.equal(await thresholdOf(0.93, {}), 0.7);
  assert.equal(await thresholdOf(undefined, { tools }), 0.7);
  assert.equal(await thresholdOf(0.93, { tools, hints: { mode: 'auto', confidenceThreshold: 0.2 } }), 0.2);
});

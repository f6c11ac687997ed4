import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { startTiers } from '../both-tiers.ts';
import { assertWithin } from '../figure.ts';
import { asking } from '../router.ts';
import { at } from '../sse.ts';
import { answerWith } from '../upstream/openai-answer.ts';
import { longPrompt, pacedAnswer } from '../upstream/paced-answer.ts';
import { faultTest } from './fault-test.ts';

async function rig(t: TestContext) {
  const {
    router,
    local: near,
    cloud: far,
  } = await startTiers(t, {
    local: pacedAnswer(200),
    cloud: answerWith({ deltas: ['far'] }),
    settings: 'gate: { hedge: true, hedge_share: 0.5 }',
  });
  // Nothing is hedged until the local speed is known.
  for (let turn = 0; turn < 3; turn++) {
    const answer = await router.stream(asking(longPrompt, { model: 'lfo-local' }));
    assert.equal(answer.status, 200);
  }
  assert.equal(far.chats.length, 0);
  return { router, near, far };
}

faultTest(
  { row: 38, what: 'the first accepted answer is given alone and the loser is aborted', bound: 'aborted within 50 ms' },
  async (t) => {
    const { router, near, far } = await rig(t);
    near.always(pacedAnswer(60_000));
    const started = performance.now();
    const answer = await router.stream(asking(longPrompt));
    assert.ok(performance.now() - started < 30_000, 'nobody waited for the local answer');
    assert.equal(answer.headers['x-lfo-route'], 'cloud');
    assert.doesNotMatch(answer.text, /near /);
    assert.match(answer.text, /far/);
    const before = performance.now();
    assert.equal(await near.chats.at(-1)?.ended, 'aborted');
    assertWithin(t, 'local attempt aborted', performance.now() - before, 50);

    near.always(pacedAnswer(200));
    far.always((exchange) => exchange.silence());
    const kept = await router.chat(asking(longPrompt));
    const after = performance.now();
    assert.deepEqual([kept.status, kept.headers['x-lfo-route']], [200, 'local']);
    assert.match(kept.text, /near /);
    assert.equal(kept.headers['x-lfo-egress'], 'far', 'the cloud was given the prompt, and this is told');
    assert.equal(at(kept.json, 'lfo_metadata', 'attempts', 1, 'hedge'), true);
    assert.equal(at(kept.json, 'lfo_metadata', 'degraded') ?? false, false);
    assert.equal(far.chats.length, 2);
    assert.equal(await far.chats.at(-1)?.ended, 'aborted');
    assertWithin(t, 'cloud attempt aborted', performance.now() - after, 50);
  },
);

faultTest(
  { row: 38, what: 'what is local, or whose tools have acted, never reaches a cloud early', bound: '0 calls' },
  async (t) => {
    const { router, near, far } = await rig(t);
    near.always(pacedAnswer(800));
    assert.equal((await router.chat(asking(longPrompt, { model: 'lfo-local' }))).status, 200);
    const acted = {
      messages: [
        { role: 'user', content: longPrompt },
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'c1', type: 'function', function: { name: 'pay', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'c1', content: 'paid' },
      ],
      tools: [{ type: 'function', function: { name: 'pay', parameters: { type: 'object', properties: {} } } }],
      metadata: { confidence_threshold: '0' },
    };
    assert.equal((await router.chat(acted)).status, 200);
    assert.equal(far.chats.length, 0);
  },
);

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { FakeGemini, rateLimit, refusal } from '@lfo/testing/fake-gemini.ts';
import { type Answer, asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';

const perModel = 'GenerateRequestsPerMinutePerProjectPerModel-FreeTier';
const flash = { model: 'gemini-2.5-flash' };
const lite = { model: 'gemini-2.5-flash-lite' };

interface Setting {
  readonly router: TestRouter;
  readonly fake: FakeGemini;
}

/** A router before a fake Gemini, with these further fields of its entry and these further backends. */
async function cloud(t: TestContext, fields = '', further = '', keys = 'fake-key'): Promise<Setting> {
  const fake = await FakeGemini.start({ keys: keys.split(',') });
  t.after(() => fake.close());
  const yaml = `backends:
  - { kind: gemini, models: [gemini-2.5-flash, gemini-2.5-flash-lite]${fields} }
${further}`;
  const env = { GEMINI_API_KEY: keys, GEMINI_BASE_URL: fake.origin };
  return { router: await startRouter(t, { yaml, env }), fake };
}

const metadata = ({ json }: Answer, ...path: (string | number)[]): unknown => at(json, 'lfo_metadata', ...path);
const keysOf = (fake: FakeGemini): unknown[] => fake.requests.map(({ headers }) => headers['x-goog-api-key']);

test('the next key takes over from a limited one within the same request', async (t) => {
  const { router, fake } = await cloud(t, '', '', 'one,two');
  fake.limit('one', rateLimit('30s'));
  for (const answer of [await router.chat(asking('Hi')), await router.stream(asking('Hi'))]) {
    assert.equal(answer.status, 200, answer.text);
  }
  assert.deepEqual(keysOf(fake), ['one', 'two', 'two']);
});

test('a delay of up to two seconds is waited for', async (t) => {
  const { router, fake } = await cloud(t);
  fake.next(rateLimit('0.3s'));
  const beganMs = performance.now();
  const answer = await router.chat(asking('Hi'));
  assert.equal(answer.status, 200, answer.text);
  assert.ok(performance.now() - beganMs >= 299);
  assert.equal(fake.requests.length, 2);
});

test('a deadline of the provider is tried once more, and no further', async (t) => {
  const { router, fake } = await cloud(t);
  const late = refusal(504, 'DEADLINE_EXCEEDED', 'Late.');
  fake.next(late);
  const answer = await router.chat(asking('Hi'));
  assert.deepEqual([answer.status, fake.requests.length], [200, 2], answer.text);
  for (let call = 0; call < 4; call += 1) fake.next(late);
  const failed = await router.chat(asking('Hi', { model: 'gemini-2.5-flash' }));
  assert.deepEqual([failed.status, at(failed.json, 'error', 'code')], [504, 'upstream_timeout']);
  assert.equal(fake.requests.length, 4);
});

for (const [what, delay, quota, atLeastS] of [
  ['a longer delay', '2.5s', undefined, 3],
  ['a daily quota', '1s', 'GenerateRequestsPerDayPerProject-FreeTier', 1],
] as const) {
  test(`${what} is a 429 at once, and no call is made before its end`, async (t) => {
    const { router, fake } = await cloud(t);
    fake.next(rateLimit(delay, quota));
    for (const answer of [await router.chat(asking('Hi')), await router.stream(asking('Hi'))]) {
      assert.equal(answer.status, 429);
      assert.equal(at(answer.json, 'error', 'code'), 'rate_limit_exceeded');
      assert.ok(Number(answer.headers['retry-after']) >= atLeastS);
    }
    assert.equal(fake.requests.length, 1);
  });
}

test('a model that stands in answers for a limited one, and the answer says whose it is', async (t) => {
  const { router, fake } = await cloud(t, ', fallback_models: [gemini-2.5-flash-lite]');
  fake.next(rateLimit('30s', perModel));
  for (const answer of [await router.chat(asking('Hi')), await router.chat(asking('Hi', flash))]) {
    assert.equal(answer.status, 200, answer.text);
    assert.equal(metadata(answer, 'model'), 'gemini-2.5-flash-lite');
  }
  assert.equal(fake.requests.length, 3);
});

test('no model stands in where none is configured; others may still be asked for by name', async (t) => {
  const { router, fake } = await cloud(t);
  fake.next(rateLimit('30s', perModel));
  assert.equal((await router.chat(asking('Hi', flash))).status, 429);
  assert.equal((await router.chat(asking('Hi', flash))).status, 429);
  assert.equal((await router.chat(asking('Hi', lite))).status, 200);
  assert.equal(fake.requests.length, 2);
});

test('the next provider takes over from one that is limited or broken, in the order of the configuration', async (t) => {
  const other = await ScriptedUpstream.start(answerWith({ deltas: ['From the other.'] }));
  t.after(() => other.close());
  const further = `  - { name: other, kind: openai-compatible, tier: cloud, base_url: "${other.origin}/v1", models: [big] }\n`;
  const { router, fake } = await cloud(t, '', further);
  for (let turn = 0; turn < 3; turn++) {
    assert.equal(metadata(await router.chat(asking('Hi')), 'backend'), 'gemini');
  }
  fake.next(refusal(503, 'UNAVAILABLE', 'Overloaded.'));
  const broken = await router.chat(asking('Hi'));
  assert.equal(metadata(broken, 'backend'), 'other');
  assert.equal(broken.headers['x-lfo-egress'], 'gemini,other');
  assert.deepEqual(
    [0, 1].map((index) => metadata(broken, 'attempts', index, 'backend')),
    ['gemini', 'other'],
  );
  fake.next(rateLimit('30s'));
  assert.equal(metadata(await router.chat(asking('Hi')), 'backend'), 'other');
  const before = fake.requests.length;
  assert.equal(metadata(await router.chat(asking('Hi')), 'backend'), 'other');
  assert.equal(fake.requests.length, before);
  assert.equal((await router.chat(asking('Hi', flash))).status, 429);
});

test('the costs of an answer are told, also of a model that stood in', async (t) => {
  const { router, fake } = await cloud(t, ', fallback_models: [gemini-2.5-flash-lite]');
  const cost = async (): Promise<number> => Number(metadata(await router.chat(asking('Hi')), 'cost_usd'));
  const whole = await cost();
  fake.next(rateLimit('30s', perModel));
  const standIn = await cost();
  assert.ok(whole > standIn && standIn > 0, `${whole} ${standIn}`);
});

test("the operator's own prices go before the list", async (t) => {
  const { router } = await cloud(t, '', 'prices: { gemini-2.5-flash: { prompt: 1000000, completion: 2000000 } }\n');
  const answer = await router.chat(asking('Hi'));
  const tokens = (field: string): number => Number(at(answer.json, 'usage', field));
  assert.equal(metadata(answer, 'cost_usd'), tokens('prompt_tokens') + 2 * tokens('completion_tokens'));
});

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Answer, asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { faults } from '@lfo/testing/upstream/faults.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';

const question = 'the question 7Hq2';
const said = 'the answer 9Xk4';

async function routerWith(t: TestContext, records: string): Promise<{ router: TestRouter; local: ScriptedUpstream }> {
  const local = await ScriptedUpstream.start();
  t.after(() => local.close());
  local.always(answerWith({ deltas: ['the answer', ' 9Xk4'], logprobs: [-0.01, -0.02] }));
  const yaml = `records: ${records}
backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small] }
`;
  return { router: await startRouter(t, { yaml }), local };
}

/** The request as the dashboard shows it, once it is stored: what still runs has no features. */
function stored(t: TestContext, router: TestRouter, { headers }: Answer): Promise<unknown> {
  return t.waitFor(
    async () => {
      const { json } = await router.request('GET', `/dashboard/api/requests/${String(headers['x-request-id'])}`);
      assert.equal(typeof at(json, 'features'), 'object');
      assert.notEqual(at(json, 'features'), null);
      return json;
    },
    { timeout: 10_000 },
  );
}

function filesOf(folder: string): string {
  const files = readdirSync(join(folder, 'data')).filter((name) => name.startsWith('lfo.db'));
  return files.map((name) => readFileSync(join(folder, 'data', name), 'latin1')).join('');
}

test('prompt and answer are kept where the operator wants them, and the log says so', async (t) => {
  const { router } = await routerWith(t, '{ capture: true, capture_retention_days: 1 }');
  assert.match(router.config.current().warnings.join(), /kept for 1 day /);
  for (const ask of [router.chat, router.stream]) {
    const body = await stored(t, router, await ask(asking(question)));
    assert.equal(at(body, 'capture', 'messages', 0, 'text'), question);
    assert.equal(at(body, 'capture', 'answer', 'text'), said);
  }
});

test('of an answer that was cut off the words are kept as far as they came', async (t) => {
  const { router, local } = await routerWith(t, '{ capture: true }');
  local.always(faults['fault-fin-mid-stream'] ?? assert.fail());
  const answer = await router.stream(asking(question, { model: 'lfo-local' }));
  assert.match(answer.text, /"error"/);
  assert.equal(at(await stored(t, router, answer), 'capture', 'answer', 'text'), 'Hello from');
});

test('by default no word is kept, though what the router knew is', async (t) => {
  const { router } = await routerWith(t, '{}');
  const body = await stored(t, router, await router.chat(asking(question)));
  assert.equal(at(body, 'capture'), null);
  assert.equal(at(body, 'signals', 'judge'), 'answer-heads');
  assert.equal(at(body, 'features', 'local_ready'), 1);
  await router.app.close();
  const bytes = filesOf(router.folder);
  assert.ok(bytes.includes('answer-heads'), 'the row is there');
  assert.doesNotMatch(bytes, /7Hq2|9Xk4/);
});

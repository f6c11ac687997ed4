import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { FakeGemini, inArray, invalidKey, rateLimit } from '@lfo/testing/fake-gemini.ts';
import type { FakeRefusal } from '@lfo/testing/fake-gemini.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { frame } from '@lfo/testing/upstream/openai-answer.ts';
import { loadConfig } from '../src/config/load.ts';

const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tools = [{ type: 'function', function: { name: 'get_weather', parameters } }];

/** Google's OpenAI-compatible endpoint, named by its dialect. */
async function googleLayer(t: TestContext): Promise<{ router: TestRouter; google: ScriptedUpstream }> {
  const google = await ScriptedUpstream.start();
  t.after(() => google.close());
  const yaml = `backends:
  - kind: openai-compatible
    name: google
    tier: cloud
    dialect: google
    base_url: "${google.origin}/v1beta/openai"
    api_key: a-key
    models: [gemini-2.5-flash]
`;
  return { router: await startRouter(t, { yaml }), google };
}

/** One call a chunk, none with an index, the first one signed, `stop` at the end: as that layer sends them. */
function googleCalls(cities: readonly string[]): string {
  const chunk = (delta: object, finish: string | null): string =>
    frame({
      id: 'x',
      object: 'chat.completion.chunk',
      created: 1,
      model: 'gemini-2.5-flash',
      choices: [{ index: 0, delta, finish_reason: finish }],
    });
  const calls = cities.map((city, at) => {
    const call = {
      id: `function-call-${at}`,
      type: 'function',
      function: { name: 'get_weather', arguments: JSON.stringify({ city }) },
    };
    const signed = at === 0 ? { ...call, extra_content: { google: { thought_signature: 'c2lnbmVk' } } } : call;
    return chunk({ role: 'assistant', tool_calls: [signed] }, null);
  });
  return [...calls, chunk({ role: 'assistant' }, 'stop'), 'data: [DONE]\n\n'].join('');
}

test("calls of Google's OpenAI layer get their index and their finish reason, and keep their signature", async (t) => {
  const { router, google } = await googleLayer(t);
  google.always((exchange) => {
    exchange.head(200, { 'content-type': 'text/event-stream' });
    exchange.finish(googleCalls(['Paris', 'Rome']));
  });
  const question = { role: 'user', content: 'The weather in Paris and Rome?' };
  const { chunks, isDone } = await router.stream({ messages: [question], tools });
  assert.ok(isDone);
  const starts = chunks.flatMap((chunk) => {
    const call = at(chunk, 'choices', 0, 'delta', 'tool_calls', 0);
    return at(call, 'id') === undefined ? [] : [call];
  });
  assert.deepEqual(
    starts.map((call) => at(call, 'index')),
    [0, 1],
  );
  assert.equal(at(starts[0], 'extra_content', 'google', 'thought_signature'), 'c2lnbmVk');
  const finishes = chunks.flatMap((chunk) => at(chunk, 'choices', 0, 'finish_reason') ?? []);
  assert.deepEqual(finishes, ['tool_calls']);

  const calls = starts.map((call, index) => ({
    id: at(call, 'id'),
    type: 'function',
    function: { name: 'get_weather', arguments: JSON.stringify({ city: ['Paris', 'Rome'][index] }) },
    extra_content: at(call, 'extra_content'),
  }));
  const results = calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: 'Sunny.' }));
  await router.stream({
    messages: [question, { role: 'assistant', content: null, tool_calls: calls }, ...results],
    tools,
  });
  const sent = google.requests.at(-1);
  assert.equal(sent?.path, '/v1beta/openai/chat/completions');
  assert.equal(sent.headers.authorization, 'Bearer a-key');
  const first = at(sent.json, 'messages', 1, 'tool_calls', 0);
  assert.equal(at(first, 'extra_content', 'google', 'thought_signature'), 'c2lnbmVk');
  assert.equal(at(sent.json, 'messages', 1, 'tool_calls', 1, 'extra_content'), undefined);
});

for (const [what, refused, status, code] of [
  ['a limit', inArray(rateLimit('34.4s')), 429, 'rate_limit_exceeded'],
  ['a key that is none', inArray(invalidKey()), 502, 'upstream_auth'],
] as const satisfies readonly (readonly [string, FakeRefusal, number, string])[]) {
  test(`${what} in an array, as Google's OpenAI layer sends it, is a ${status}`, async (t) => {
    const { router, google } = await googleLayer(t);
    google.always((exchange) => exchange.json(refused.status, refused.body));
    const answer = await router.chat(asking('Hi'));
    assert.equal(answer.status, status, answer.text);
    assert.equal(at(answer.json, 'error', 'code'), code);
    if (status === 429) assert.equal(answer.headers['retry-after'], '35');
    assert.equal(google.requests.length, 1);
  });
}

test('Vertex AI answers by its base URL and a bearer token, without ids on calls', async (t) => {
  const fake = await FakeGemini.start({ keys: ['a-token'], isVertex: true });
  t.after(() => fake.close());
  const base = `${fake.origin}/v1/projects/p/locations/global/publishers/google`;
  const yaml = `backends: [{ kind: gemini, auth: bearer, base_url: "${base}", api_key: a-token, models: [gemini-3-pro-preview] }]\n`;
  const router = await startRouter(t, { yaml });
  const messages: object[] = [{ role: 'user', content: 'The weather in Paris and Rome?' }];
  const asked = await router.chat({ messages, tools });
  assert.equal(asked.status, 200, asked.text);
  const calls = at(asked.json, 'choices', 0, 'message', 'tool_calls');
  assert.ok(Array.isArray(calls) && calls.length === 2);
  messages.push({ role: 'assistant', content: null, tool_calls: calls });
  for (const call of calls) messages.push({ role: 'tool', tool_call_id: at(call, 'id'), content: 'Sunny.' });
  const summed = await router.chat({ messages, tools });
  assert.match(String(at(summed.json, 'choices', 0, 'message', 'content')), /Sunny/);
  assert.deepEqual(fake.complaints, []);
  assert.equal(fake.exchanges.length, 2);
});

test('every configuration that docs/gemini.md shows is one that loads', (t) => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/gemini.md'), 'utf8');
  const shown = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml]) => yaml ?? '');
  assert.ok(shown.length >= 4, `${shown.length} configurations`);
  for (const yaml of shown) {
    const cwd = mkdtempSync(join(tmpdir(), 'lfo-docs-'));
    t.after(() => rmSync(cwd, { recursive: true, force: true }));
    writeFileSync(join(cwd, 'lfo.yaml'), yaml.replaceAll(/<(\w+)>/g, '$1'), { mode: 0o600 });
    const named = [...yaml.matchAll(/\$\{(\w+)\}/g)].map(([, name]): [string, string] => [name ?? '', 'a-value']);
    const env = { ...Object.fromEntries(named), GEMINI_API_KEY: 'a-key', LFO_DATA_DIR: cwd };
    const { backends, warnings } = loadConfig({ env, cwd });
    assert.ok(backends.length > 0);
    assert.deepEqual(warnings, []);
  }
});

test('a call that is long in the writing is no silence', async (t) => {
  const fake = await FakeGemini.start();
  t.after(() => fake.close());
  const env = { GEMINI_API_KEY: 'fake-key', GEMINI_BASE_URL: fake.origin };
  const router = await startRouter(t, { yaml: 'budgets: { cloud: { idle_ms: 100 } }\n', env });
  const chunk = (part: object, rest: object = {}): string =>
    `data: ${JSON.stringify({ candidates: [{ content: { role: 'model', parts: [part] }, ...rest }] })}\r\n\r\n`;
  const ask = (more: object): Promise<{ isDone: boolean }> => {
    fake.next(async (exchange) => {
      exchange.head(200, { 'content-type': 'text/event-stream' });
      await exchange.write(chunk({ text: 'Let me see.' }));
      await exchange.pause(600);
      exchange.finish(
        chunk({ functionCall: { name: 'get_weather', args: { city: 'Ulm' } } }, { finishReason: 'STOP' }),
      );
    });
    return router.stream(asking('Hi', { ...more }));
  };
  assert.equal((await ask({ tools })).isDone, true);
  assert.equal((await ask({})).isDone, false);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { openaiScript } from '@lfo/testing/upstream/openai-script.ts';

test('Google’s search and safety settings reach Google’s models and no other, which a warning says', async (t) => {
  const gemini = await ScriptedUpstream.start((exchange) =>
    exchange.json(200, {
      candidates: [{ content: { role: 'model', parts: [{ text: 'Found.' }] }, finishReason: 'STOP', index: 0 }],
      usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 1, totalTokenCount: 4 },
      modelVersion: 'gemini-2.5-flash',
    }),
  );
  const near = await ScriptedUpstream.start(openaiScript);
  t.after(() => Promise.all([gemini.close(), near.close()]));
  const { request } = await startRouter(t, {
    yaml: `backends: [{ name: near, kind: openai-compatible, tier: local, base_url: "${near.origin}/v1", models: [small] }]`,
    env: { GEMINI_API_KEY: 'fake-key', GEMINI_BASE_URL: gemini.origin },
  });
  const safetySettings = [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }];
  const ask = (model: string, tools: readonly object[]) =>
    request('POST', `/v1beta/models/${model}:generateContent`, {
      contents: [{ parts: [{ text: 'What is new?' }] }],
      tools,
      safety_settings: safetySettings,
    });
  const far = await ask('lfo-cloud', [{ google_search: {} }]);
  assert.deepEqual([far.status, far.headers['x-lfo-warning']], [200, undefined], far.text);
  const sent = gemini.requests.at(-1)?.json;
  assert.deepEqual([at(sent, 'tools'), at(sent, 'safetySettings')], [[{ googleSearch: {} }], safetySettings]);
  const declarations = { functionDeclarations: [{ name: 'look' }] };
  const beside = await ask('lfo-cloud', [declarations, { googleSearch: {} }]);
  assert.match(String(beside.headers['x-lfo-warning']), /^tools: .*googleSearch/);
  assert.equal(JSON.stringify(gemini.requests.at(-1)?.json).includes('googleSearch'), false);
  const local = await ask('lfo-local', [{ googleSearch: {} }]);
  assert.deepEqual([local.status, local.headers['x-lfo-egress']], [200, 'none']);
  assert.match(String(local.headers['x-lfo-warning']), /^tools: .*googleSearch/);
  assert.equal(/googleSearch|HARM/.test(near.requests.map(({ text }) => text).join('')), false);
});

test('the lists of models say how long an answer may be and what a model can do', async (t) => {
  const { request } = await startRouter(t, { env: { GEMINI_API_KEY: 'k', GEMINI_MODEL: 'gemini-2.5-flash' } });
  const own = await request('GET', '/v1/models/gemini-2.5-flash');
  assert.deepEqual(
    [at(own.json, 'max_output_tokens'), at(own.json, 'context_window'), at(own.json, 'capabilities')],
    [65_536, 1_048_576, ['completion', 'tools', 'vision', 'reasoning', 'structured_output']],
  );
  const anthropic = await request('GET', '/v1/models/gemini-2.5-flash', undefined, {
    'anthropic-version': '2023-06-01',
  });
  assert.deepEqual(
    [at(anthropic.json, 'max_tokens'), at(anthropic.json, 'capabilities', 'thinking', 'supported')],
    [65_536, true],
  );
  const google = await request('GET', '/v1beta/models/gemini-2.5-flash');
  assert.equal(at(google.json, 'outputTokenLimit'), 65_536);
});

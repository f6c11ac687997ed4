import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTiers } from '@lfo/testing/both-tiers.ts';
import type { TestRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { textServer } from '@lfo/testing/upstream/text-servers.ts';

// Settings of sampling that Ollama's and Anthropic's clients send and OpenAI's wire has not.

const options = { top_k: 20, min_p: 0.05, repeat_penalty: 1.1 };
const body = { messages: [{ role: 'user', content: 'Hello' }], stream: false, options };

const warning = async ({ request }: TestRouter, model: string, path = '/api/chat', more: object = body) => {
  const { status, headers, text } = await request('POST', path, { model, ...more });
  assert.equal(status, 200, text);
  return String(headers['x-lfo-warning'] ?? '');
};

test('they reach a local server, which knows them, and are named where the backend does not', async (t) => {
  const { router, local, cloud } = await startTiers(t, { local: textServer('llama-server') });
  assert.equal(await warning(router, 'lfo-local'), '');
  const sent = local.requests.at(-1)?.json;
  assert.deepEqual(
    ['top_k', 'min_p', 'repeat_penalty', 'repetition_penalty'].map((name) => at(sent, name)),
    [20, 0.05, 1.1, 1.1],
  );
  assert.equal(
    await warning(router, 'lfo-local', '/api/generate', { prompt: 'a', raw: true, stream: false, options }),
    '',
  );
  assert.deepEqual([local.requests.at(-1)?.path, at(local.requests.at(-1)?.json, 'top_k')], ['/v1/completions', 20]);
  const anthropic = { ...body, max_tokens: 5, top_k: 7 };
  assert.equal(await warning(router, 'lfo-local', '/v1/messages', anthropic), '');
  assert.equal(at(local.requests.at(-1)?.json, 'top_k'), 7);

  const named = await warning(router, 'lfo-cloud');
  for (const name of Object.keys(options))
    assert.match(named, new RegExp(`\\b${name}: this backend has no such setting`));
  assert.equal(/top_k|min_p|penalty/.test(cloud.requests.at(-1)?.text ?? 'top_k'), false);
});

test('a server that refuses them is asked once more without, and remembered', async (t) => {
  const strict = answerWith({ deltas: ['Hello.'] });
  const { router, local } = await startTiers(t, {
    local: (exchange) =>
      /"top_k"/.test(exchange.request.text)
        ? exchange.json(400, { error: { message: 'unknown field top_k' } })
        : strict(exchange),
  });
  for (const calls of [2, 1]) {
    const before = local.chats.length;
    assert.match(await warning(router, 'lfo-local'), /top_k: this backend has no such setting/);
    assert.equal(local.chats.length - before, calls);
  }
});

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

test('how much is to be said goes to clouds that take it, and is named where it is not', async (t) => {
  const { router, local, cloud } = await startTiers(t);
  const asks: readonly (readonly [string, object])[] = [
    ['/v1/chat/completions', { messages: body.messages, verbosity: 'low' }],
    ['/v1/responses', { input: 'Hello', text: { verbosity: 'low' } }],
  ];
  for (const [path, more] of asks) {
    assert.equal(await warning(router, 'lfo-cloud', path, more), '');
    assert.equal(at(cloud.chats.at(-1)?.request.json, 'verbosity'), 'low');
    assert.match(await warning(router, 'lfo-local', path, more), /^verbosity: /);
    assert.equal(at(local.chats.at(-1)?.request.json, 'verbosity'), undefined);
  }
  const plain = answerWith({ deltas: ['Hello.'] });
  cloud.always((exchange) =>
    /"verbosity"/.test(exchange.request.text)
      ? exchange.json(400, { error: { message: "Unsupported parameter: 'verbosity'", param: 'verbosity' } })
      : plain(exchange),
  );
  const [path = '', more = {}] = asks[0] ?? [];
  assert.match(await warning(router, 'lfo-cloud', path, { ...more, max_tokens: 5 }), /^verbosity: /);
});

test('the stop sequence that ended an answer is told on the wire that has a word for it', async (t) => {
  let ended: object = { stop_reason: 'END' };
  const { router } = await startTiers(t, {
    local: (exchange) => {
      const choice = { index: 0, delta: { content: 'It is 4.' }, finish_reason: 'stop', ...ended };
      exchange.head(200, { 'content-type': 'text/event-stream' });
      const usage = { prompt_tokens: 1, completion_tokens: 1 };
      exchange.finish(`data: ${JSON.stringify({ model: 'small', choices: [choice], usage })}\n\ndata: [DONE]\n\n`);
    },
  });
  const stopped = async (stream: boolean) => {
    const asked = {
      model: 'lfo-local',
      max_tokens: 9,
      messages: body.messages,
      stop_sequences: ['STOP', 'END'],
      stream,
    };
    const { text } = await router.request('POST', '/v1/messages', asked);
    const says = stream ? /event: message_delta\ndata: (.*)/.exec(text)?.[1] : text;
    const said = JSON.parse(says ?? '{}');
    const { stop_reason: reason, stop_sequence: sequence } = stream ? said.delta : said;
    return [reason, sequence];
  };
  for (const [said, expected] of [
    [{ stop_reason: 'END' }, ['stop_sequence', 'END']],
    [{ matched_stop: 'STOP' }, ['stop_sequence', 'STOP']],
    [{ stop_reason: 151_645 }, ['end_turn', null]],
    [{ stop_reason: 'not asked for' }, ['end_turn', null]],
  ] as const) {
    ended = said;
    for (const stream of [false, true]) assert.deepEqual(await stopped(stream), expected);
  }
});

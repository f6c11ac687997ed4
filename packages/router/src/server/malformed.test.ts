import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { scriptedRouter } from '@lfo/testing/scripted-router.ts';
import { at } from '@lfo/testing/sse.ts';

const router = scriptedRouter();
after(() => router.app.close());

const user = { role: 'user', content: 'hi' };
const call = { id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } };
const ok = { messages: [user] };
const tool = { type: 'function', function: { name: 'f' } };
const deep = (depth: number): string => `{"messages":${'['.repeat(depth)}${']'.repeat(depth)}}`;
const many = (count: number): string => `{"messages":[],"x":[${'0,'.repeat(count)}0]}`;
const image = (url: string) => ({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }] });

/** Each body, and the `param` its refusal names. */
const refused: readonly (readonly [body: unknown, param: string | null])[] = [
  ['', null],
  ['{', null],
  ['not json', null],
  ['\ufeff{}', null],
  [deep(100_000), null],
  [many(1_000_000), null],
  ['{"messages":[{"role":"user","content":"x"}],"__proto__":{"a":1}}', null],
  ['{"messages":[{"role":"user","content":"x"}],"t":{"\\u005f_proto__":{}}}', null],
  [[], null],
  [null, null],
  ['"text"', null],
  [17, null],
  [{}, 'messages'],
  [{ messages: null }, 'messages'],
  [{ messages: [] }, 'messages'],
  [{ messages: {} }, 'messages'],
  [{ messages: Array.from({ length: 2049 }, () => user) }, 'messages'],
  [{ messages: [null] }, 'messages[0]'],
  [{ messages: [user, user, { role: 5, content: '' }] }, 'messages[2].role'],
  [{ messages: [{ role: 'robot', content: '' }] }, 'messages[0].role'],
  [{ messages: [{ role: 'user' }] }, 'messages[0].content'],
  [{ messages: [{ role: 'user', content: null }] }, 'messages[0].content'],
  [{ messages: [{ role: 'user', content: [] }] }, 'messages[0].content'],
  [{ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages[0].content[0].text'],
  [{ messages: [{ role: 'user', content: [{ type: 'video' }] }] }, 'messages[0].content[0].type'],
  [{ messages: [{ role: 'assistant' }] }, 'messages[0].content'],
  [
    { messages: [{ role: 'assistant', tool_calls: [{ ...call, function: {} }] }] },
    'messages[0].tool_calls[0].function.name',
  ],
  [{ messages: [user, { role: 'tool', content: 'x' }] }, 'messages[1].tool_call_id'],
  [{ messages: [user, { role: 'tool', tool_call_id: 'c1', content: 'x' }] }, 'messages[1].tool_call_id'],
  [
    {
      messages: [
        user,
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'c1', content: 'x' },
        { role: 'tool', tool_call_id: 'c1', content: 'y' },
      ],
    },
    'messages[3].tool_call_id',
  ],
  [
    {
      messages: [
        { role: 'tool', tool_call_id: 'c1', content: 'x' },
        { role: 'assistant', tool_calls: [call] },
      ],
    },
    'messages[0].tool_call_id',
  ],
  [{ messages: [{ role: 'function', name: 'f', content: 'x' }] }, 'messages[0].name'],
  [image('https://images.test/a.png'), 'messages[0].content[0].image_url.url'],
  [image('data:text/html;base64,AAAA'), 'messages[0].content[0].image_url.url'],
  [image('data:image/png;base64,%%%'), 'messages[0].content[0].image_url.url'],
  [image('file:///etc/passwd'), 'messages[0].content[0].image_url.url'],
  [{ ...ok, model: 5 }, 'model'],
  [{ ...ok, n: 1e9 }, 'n'],
  [{ ...ok, n: 0 }, 'n'],
  [{ ...ok, temperature: '0.5' }, 'temperature'],
  [{ ...ok, temperature: 2.1 }, 'temperature'],
  [{ ...ok, top_p: -1 }, 'top_p'],
  [{ ...ok, max_tokens: 0 }, 'max_tokens'],
  [{ ...ok, max_completion_tokens: 1.5 }, 'max_completion_tokens'],
  [{ ...ok, frequency_penalty: 3 }, 'frequency_penalty'],
  [{ ...ok, stop: ['a', 'b', 'c', 'd', 'e', 'f'] }, 'stop'],
  [{ ...ok, stop: Array.from({ length: 60_000 }, () => 'x') }, 'stop'],
  [{ ...ok, seed: 1.5 }, 'seed'],
  [{ ...ok, logit_bias: { 50256: 101 } }, 'logit_bias.50256'],
  [{ ...ok, logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
  [{ ...ok, top_logprobs: 2 }, 'top_logprobs'],
  [{ ...ok, stream: 'yes' }, 'stream'],
  [{ ...ok, stream_options: { include_usage: true } }, 'stream_options'],
  [{ ...ok, tools: Array.from({ length: 10_000 }, () => tool) }, 'tools'],
  [{ ...ok, tools: [{ type: 'function', function: { name: 'no spaces' } }] }, 'tools[0].function.name'],
  [{ ...ok, tools: [{ type: 'function', function: { name: 'f', parameters: 'x' } }] }, 'tools[0].function.parameters'],
  [
    {
      ...ok,
      tools: [{ type: 'function', function: { name: 'f', parameters: { properties: { a: { pattern: '(a+)+$' } } } } }],
    },
    'tools[0].function.parameters.properties.a.pattern',
  ],
  [{ ...ok, tool_choice: 'maybe' }, 'tool_choice'],
  [{ ...ok, tool_choice: 'required' }, 'tool_choice'],
  [{ ...ok, tools: [tool], tool_choice: { type: 'function', function: { name: 'g' } } }, 'tool_choice.function.name'],
  [{ ...ok, functions: [] }, 'functions'],
  [{ ...ok, functions: [{ name: 'f' }], function_call: { name: 'g' } }, 'function_call.name'],
  [{ ...ok, response_format: { type: 'xml' } }, 'response_format.type'],
  [{ ...ok, response_format: { type: 'json_schema' } }, 'response_format.json_schema'],
  [{ ...ok, reasoning_effort: 'huge' }, 'reasoning_effort'],
  [{ ...ok, service_tier: 'gold' }, 'service_tier'],
  [{ ...ok, modalities: ['audio'] }, 'audio'],
  [{ ...ok, audio: { voice: 'alloy', format: 'ogg' } }, 'audio.format'],
  [{ ...ok, prediction: { type: 'content' } }, 'prediction.content'],
  [{ ...ok, web_search_options: { search_context_size: 'vast' } }, 'web_search_options.search_context_size'],
  [{ ...ok, safety_identifier: 'x'.repeat(65) }, 'safety_identifier'],
  [{ messages: [{ role: 'user', content: Array.from({ length: 60_000 }, () => 1) }] }, 'messages[0].content'],
  [
    { messages: [{ role: 'assistant', tool_calls: Array.from({ length: 60_000 }, () => ({})) }] },
    'messages[0].tool_calls',
  ],
  [{ ...ok, logit_bias: Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [i, 'x'])) }, 'logit_bias'],
  [
    {
      ...ok,
      tools: [
        {
          type: 'function',
          function: {
            name: 'f',
            parameters: { anyOf: Array.from({ length: 100 }, () => ({ pattern: 'a?'.repeat(400) })) },
          },
        },
      ],
    },
    'tools[0].function.parameters.anyOf[25].pattern',
  ],
  [{ ...ok, metadata: [] }, 'metadata'],
  [{ ...ok, metadata: { mode: 'Local' } }, 'metadata.mode'],
  [{ ...ok, metadata: { mode: null } }, 'metadata.mode'],
  [{ ...ok, metadata: { team: null } }, 'metadata.team'],
  [{ ...ok, metadata: { team: 'x'.repeat(513) } }, 'metadata.team'],
  [{ ...ok, metadata: { confidence_threshold: '1.1' } }, 'metadata.confidence_threshold'],
  [{ ...ok, metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v'])) }, 'metadata'],
];

for (const [body, param] of refused) {
  const payload = typeof body === 'string' ? body : JSON.stringify(body);
  for (const url of ['/v1/chat/completions', '/v1/route']) {
    test(`${url} refuses ${payload.slice(0, 100)}, naming ${param}`, async () => {
      const headers = { 'content-type': 'application/json' };
      const response = await router.app.inject({ method: 'POST', url, headers, payload });
      assert.equal(response.statusCode, 400);
      const { error } = response.json();
      assert.deepEqual(Object.keys(error), ['message', 'type', 'param', 'code', 'source']);
      assert.deepEqual([error.type, error.param, error.source], ['invalid_request_error', param, 'lfo']);
      assert.equal(typeof error.message, 'string');
      assert.equal(typeof error.code, 'string');
    });
  }
}

test('a result that answers no call, or one that has its answer, is named by its id', async () => {
  const messageOf = async (messages: readonly object[]): Promise<string> => {
    const response = await router.app.inject({ method: 'POST', url: '/v1/chat/completions', payload: { messages } });
    return String(response.json().error?.message);
  };
  const called = { role: 'assistant', tool_calls: [call] };
  const result = { role: 'tool', tool_call_id: call.id, content: 'x' };
  assert.match(await messageOf([user, { ...result, tool_call_id: 'orphan' }]), /"orphan" answers no call/);
  assert.match(await messageOf([user, called, result, result]), new RegExp(`"${call.id}" was answered`));
  assert.match(await messageOf([{ role: 'function', name: 'lost', content: 'x' }]), /"lost" answers no call/);
});

test('an id that names a new call may be answered again', async () => {
  const called = { role: 'assistant', tool_calls: [call] };
  const result = { role: 'tool', tool_call_id: call.id, content: 'x' };
  const payload = { messages: [user, called, result, called, result] };
  const response = await router.app.inject({ method: 'POST', url: '/v1/chat/completions', payload });
  assert.equal(response.statusCode, 200);
});

test('half a character reaches no backend: it is U+FFFD', async () => {
  const headers = { 'content-type': 'application/json' };
  const payload = String.raw`{"messages":[{"role":"user","content":"a\ud83d b\uDC00 \ud83d\ude00"}],"metadata":{"\udfff":"\ud800"}}`;
  const before = router.exchanges.length;
  const response = await router.app.inject({ method: 'POST', url: '/v1/chat/completions', headers, payload });
  assert.equal(response.statusCode, 200);
  const request = router.exchanges[before]?.request;
  assert.deepEqual(request?.messages[0]?.content, [{ type: 'text', text: 'a\ufffd b\ufffd \u{1f600}' }]);
});

test('a body that is not UTF-8 is refused', async () => {
  const payload = Buffer.from([
    ...Buffer.from('{"messages":[{"role":"user","content":"'),
    0xff,
    ...Buffer.from('"}]}'),
  ]);
  const headers = { 'content-type': 'application/json' };
  const response = await router.app.inject({ method: 'POST', url: '/v1/chat/completions', headers, payload });
  assert.equal(response.statusCode, 400);
});

test('no refusal leaves a mark on prototypes, and the server still answers', async () => {
  assert.equal(at({}, 'a'), undefined);
  const response = await router.app.inject({ method: 'POST', url: '/v1/chat/completions', payload: ok });
  assert.equal(response.statusCode, 200);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ChatRequest } from '../../core/request.ts';
import { chatBodySchema } from './chat-body.ts';
import { toChatRequest } from './to-chat-request.ts';

const schema = chatBodySchema({ messages: 100, tools: 128 });

function read(body: unknown): { readonly request: ChatRequest; readonly warnings: ReadonlyMap<string, string> } {
  const warnings = new Map<string, string>();
  const hints = { mode: 'auto' } as const;
  const context = {
    id: 'id',
    model: 'lfo-auto',
    hints,
    bodyBytes: 1,
    fetchImages: false,
    canonicalHead: (text: string) => text,
    warnings,
  };
  return { request: toChatRequest(schema.parse(body), context), warnings };
}

const user = { role: 'user', content: 'hi' };

test('what an agent sends after a tool turn keeps its order and its parts', () => {
  const { request, warnings } = read({
    model: 'lfo-auto',
    stream: true,
    stream_options: { include_usage: true },
    max_completion_tokens: 400,
    max_tokens: 9,
    tool_choice: 'auto',
    parallel_tool_calls: true,
    tools: [
      {
        type: 'function',
        function: { name: 'ls', description: 'lists', parameters: { type: 'object' }, strict: null },
      },
    ],
    something_new: { of: 'the future' },
    messages: [
      { role: 'developer', content: [{ type: 'text', text: 'be brief' }] },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'list' },
          { type: 'text', text: 'it' },
        ],
        name: 'ann',
      },
      {
        role: 'assistant',
        content: null,
        refusal: null,
        tool_calls: [
          {
            id: 'c1',
            type: 'function',
            function: { name: 'ls', arguments: '{"p":1}' },
            extra_content: { google: { thought_signature: 'sig' } },
          },
        ],
      },
      { role: 'tool', tool_call_id: 'c1', content: 'a.txt' },
      { role: 'user', content: 'thanks' },
    ],
  });
  assert.deepEqual(request.messages, [
    { role: 'developer', content: [{ type: 'text', text: 'be brief' }] },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'list' },
        { type: 'text', text: 'it' },
      ],
    },
    {
      role: 'assistant',
      content: [],
      toolCalls: [{ id: 'c1', name: 'ls', arguments: '{"p":1}', thoughtSignature: 'sig' }],
    },
    { role: 'tool', toolCallId: 'c1', content: [{ type: 'text', text: 'a.txt' }] },
    { role: 'user', content: [{ type: 'text', text: 'thanks' }] },
  ]);
  assert.deepEqual(request.tools, [{ name: 'ls', description: 'lists', parameters: { type: 'object' } }]);
  assert.deepEqual(request.toolChoice, { type: 'auto' });
  assert.deepEqual([request.stream, request.includeUsage, request.sampling.maxTokens], [true, true, 400]);
  assert.equal(warnings.size, 0);
});

test('null on every optional field is its absence', () => {
  const fields = ['model', 'metadata', 'temperature', 'tools', 'tool_choice', 'stop', 'n', 'stream', 'stream_options'];
  const more = [
    'response_format',
    'seed',
    'user',
    'logit_bias',
    'functions',
    'audio',
    'max_tokens',
    'reasoning_effort',
  ];
  const nulls = Object.fromEntries([...fields, ...more].map((field) => [field, null]));
  assert.deepEqual(read({ messages: [user], ...nulls }).request, read({ messages: [user] }).request);
});

test('deprecated functions and their results become tools and tool results', () => {
  const { request } = read({
    functions: [{ name: 'f', parameters: {} }],
    function_call: { name: 'f' },
    messages: [
      user,
      { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{}' } },
      { role: 'function', name: 'f', content: null },
    ],
  });
  assert.equal(request.legacyFunctions, true);
  assert.deepEqual(request.toolChoice, { type: 'function', name: 'f' });
  const [, call, result] = request.messages;
  assert.ok(call?.role === 'assistant' && result?.role === 'tool');
  assert.equal(result.toolCallId, call.toolCalls[0]?.id);
});

test('allowed_tools narrows what is offered', () => {
  const named = (name: string) => ({ type: 'function', function: { name } });
  const { request } = read({
    messages: [user],
    tools: [named('a'), named('b')],
    tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [named('b')] } },
  });
  assert.deepEqual(
    request.tools.map(({ name }) => name),
    ['b'],
  );
  assert.deepEqual(request.toolChoice, { type: 'required' });
});

test('what cannot be honoured is named', () => {
  const { warnings } = read({
    messages: [user],
    n: 2,
    store: true,
    service_tier: 'priority',
    prediction: { type: 'content', content: 'x' },
    tools: [{ type: 'custom', custom: { name: 'c' } }],
  });
  assert.deepEqual([...warnings.keys()].toSorted(), ['n', 'prediction', 'service_tier', 'store', 'tools']);
});

test('five stops are taken, an empty one is no stop', () => {
  assert.deepEqual(read({ messages: [user], stop: ['a', '', 'b', 'c', 'd'] }).request.sampling.stop, [
    'a',
    'b',
    'c',
    'd',
  ]);
  assert.deepEqual(read({ messages: [user], stop: 'x' }).request.sampling.stop, ['x']);
});

test('an image without a type is told by its first bytes', () => {
  const { request } = read({
    messages: [
      { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:;base64,/9j/4AAQ', detail: 'low' } }] },
    ],
  });
  assert.deepEqual(request.messages[0]?.content, [
    { type: 'image', url: 'data:image/jpeg;base64,/9j/4AAQ', detail: 'low' },
  ]);
});

test('a schema reaches the engine as the very object that was sent', () => {
  const parameters = { type: 'object', additionalProperties: false, $defs: {} };
  const { request } = read({ messages: [user], tools: [{ type: 'function', function: { name: 'f', parameters } }] });
  assert.equal(request.tools[0]?.parameters, parameters);
});

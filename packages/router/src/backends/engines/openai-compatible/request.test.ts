import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import type { ChatRequest, Message } from '../../../core/request.ts';
import { requestBody, type WireStyle } from './request.ts';

const style: WireStyle = {
  stream: true,
  scores: false,
  maxTokensField: 'max_tokens',
  dialect: 'standard',
  jsonSchema: true,
};

function body(
  request: Partial<ChatRequest>,
  changes: Partial<WireStyle> = {},
): { body: ReturnType<typeof requestBody>; warned: string[] } {
  const warned: string[] = [];
  const call = { model: 'm', warn: (param: string) => void warned.push(param) };
  return { body: requestBody(chatRequest(request), call, { ...style, ...changes }), warned };
}

const messagesOf = (messages: Message[], changes: Partial<WireStyle> = {}): unknown =>
  body({ messages }, changes).body['messages'];

test('a plain request holds the model, the messages and the stream, and nothing else', () => {
  assert.deepEqual(body({ hints: { mode: 'auto', sessionKey: 's', clientKey: 'k' } }).body, {
    model: 'm',
    messages: [{ role: 'user', content: 'Say hello.' }],
    stream: true,
    stream_options: { include_usage: true },
  });
});

test('a request for a whole answer does not speak of streams', () => {
  assert.deepEqual(Object.keys(body({}, { stream: false }).body), ['model', 'messages']);
});

test('a tool turn keeps its calls, their results and their order', () => {
  const messages: Message[] = [
    { role: 'developer', content: [{ type: 'text', text: 'Be brief.' }] },
    {
      role: 'assistant',
      content: [],
      toolCalls: [
        { id: 'a', name: 'f', arguments: '{"x":1}' },
        { id: 'b', name: 'g', arguments: '' },
      ],
    },
    { role: 'tool', toolCallId: 'a', content: [{ type: 'text', text: '1' }] },
    { role: 'tool', toolCallId: 'b', content: [] },
    { role: 'assistant', content: [{ type: 'text', text: 'Done.' }], toolCalls: [] },
  ];
  assert.deepEqual(messagesOf(messages), [
    { role: 'system', content: 'Be brief.' },
    {
      role: 'assistant',
      content: null,
      tool_calls: [
        { id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } },
        { id: 'b', type: 'function', function: { name: 'g', arguments: '{}' } },
      ],
    },
    { role: 'tool', tool_call_id: 'a', content: '1' },
    { role: 'tool', tool_call_id: 'b', content: '' },
    { role: 'assistant', content: 'Done.' },
  ]);
});

test('several parts stay parts', () => {
  const parts: Message = {
    role: 'user',
    content: [
      { type: 'text', text: 'See' },
      { type: 'image', url: 'data:image/png;base64,AA', detail: 'low' },
      { type: 'audio', data: 'BB', format: 'wav' },
      { type: 'file', data: 'CC', filename: 'f.pdf' },
    ],
  };
  assert.deepEqual(messagesOf([parts]), [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'See' },
        { type: 'image_url', image_url: { url: 'data:image/png;base64,AA', detail: 'low' } },
        { type: 'input_audio', input_audio: { data: 'BB', format: 'wav' } },
        { type: 'file', file: { file_data: 'CC', filename: 'f.pdf' } },
      ],
    },
  ]);
});

test('signatures go to Google’s dialect alone', () => {
  const messages: Message[] = [
    { role: 'assistant', content: [], toolCalls: [{ id: 'a', name: 'f', arguments: '{}', thoughtSignature: 's' }] },
  ];
  assert.match(
    JSON.stringify(messagesOf(messages, { dialect: 'google' })),
    /"extra_content":\{"google":\{"thought_signature":"s"\}\}/,
  );
  assert.doesNotMatch(JSON.stringify(messagesOf(messages)), /signature/);
});

test('tools, choice and format go as they came', () => {
  const schema = { type: 'object', properties: { title: { type: 'string' } } };
  const { body: sent } = body({
    tools: [{ name: 'f', description: 'd', parameters: schema, strict: true }, { name: 'g' }],
    toolChoice: { type: 'function', name: 'f' },
    parallelToolCalls: false,
    responseFormat: { type: 'json_schema', name: 'n', schema, strict: true },
  });
  assert.deepEqual(sent['tools'], [
    { type: 'function', function: { name: 'f', description: 'd', parameters: schema, strict: true } },
    { type: 'function', function: { name: 'g' } },
  ]);
  assert.deepEqual(sent['tool_choice'], { type: 'function', function: { name: 'f' } });
  assert.equal(sent['parallel_tool_calls'], false);
  assert.deepEqual(sent['response_format'], { type: 'json_schema', json_schema: { name: 'n', schema, strict: true } });
  assert.deepEqual(
    body({ toolChoice: { type: 'none' } }).body['tool_choice'],
    undefined,
    'a choice among no tools is an error to most',
  );
});

test('sampling goes as it came, zeros included', () => {
  const { body: sent, warned } = body(
    {
      sampling: {
        temperature: 0,
        topP: 0.5,
        maxTokens: 7,
        stop: ['x'],
        seed: 0,
        frequencyPenalty: 0,
        presencePenalty: -1,
        logitBias: { 5: 1 },
        logprobs: true,
        topLogprobs: 0,
        reasoningEffort: 'low',
      },
    },
    { scores: true, maxTokensField: 'max_completion_tokens', stream: false },
  );
  assert.deepEqual(sent, {
    model: 'm',
    messages: [{ role: 'user', content: 'Say hello.' }],
    temperature: 0,
    top_p: 0.5,
    max_completion_tokens: 7,
    stop: ['x'],
    seed: 0,
    frequency_penalty: 0,
    presence_penalty: -1,
    logit_bias: { 5: 1 },
    logprobs: true,
    top_logprobs: 0,
    reasoning_effort: 'low',
  });
  assert.deepEqual(warned, []);
});

test('what cannot be carried is left out with a warning', () => {
  const { body: sent, warned } = body(
    { sampling: { stop: [], logprobs: true, logitBias: { 5: 1 } } },
    { dialect: 'google' },
  );
  assert.equal('logit_bias' in sent || 'logprobs' in sent, false);
  assert.deepEqual(warned, ['logprobs', 'logit_bias']);
});

test('the caller’s request is not touched', () => {
  const request = chatRequest({ tools: [{ name: 'f', parameters: { type: 'object', properties: {} } }] });
  const before = structuredClone(request);
  requestBody(request, { model: 'm', warn: () => undefined }, style);
  assert.deepEqual(request, before);
});

test('a server that enforces no schema is asked in words, and the client is told', () => {
  const schema = { type: 'object', properties: { city: { type: 'string' } } } as const;
  const format = { type: 'json_schema', name: 's', schema } as const;
  const { body: sent, warned } = body({ responseFormat: format }, { jsonSchema: false });
  assert.deepEqual(sent['response_format'], { type: 'json_object' });
  assert.match(JSON.stringify(sent['messages']), /JSON Schema.*city/);
  assert.deepEqual(warned, ['response_format']);
});

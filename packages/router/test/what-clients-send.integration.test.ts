import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { fromEvents, type ScriptedAnswer, scriptedRouter, someUsage } from '@lfo/testing/scripted-router.ts';
import type { InferenceEvent } from '../src/core/events.ts';
import type { JsonObject } from '../src/core/json.ts';
import type { ChatRequest, ContentPart } from '../src/core/request.ts';

// Requests of real clients that are easily refused, or read with a part of them lost.

const said: readonly InferenceEvent[] = [
  { type: 'start', model: 'tiny' },
  { type: 'text-delta', text: 'Done.' },
  { type: 'finish', reason: 'stop', usage: someUsage },
];
const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const pixelUrl = `data:image/png;base64,${pixel}`;

let answer: ScriptedAnswer = () => fromEvents(said);
const seen: ChatRequest[] = [];
const router = scriptedRouter({
  answer(request, call) {
    seen.push(request);
    return answer(request, call);
  },
});
let base = '';
before(async () => {
  base = await router.listen();
});
after(() => router.app.close());
beforeEach(() => {
  seen.length = 0;
  answer = () => fromEvents(said);
});

async function post(path: string, body: JsonObject): Promise<{ status: number; text: string; headers: Headers }> {
  const response = await fetch(`${base}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

/** Asks, and gives what reached the pipeline. */
async function read(path: string, body: JsonObject): Promise<ChatRequest> {
  const { status, text } = await post(path, body);
  assert.equal(status, 200, text);
  const [request] = seen;
  assert.ok(request !== undefined);
  return request;
}

function calling(name: string): ScriptedAnswer {
  return () =>
    fromEvents([
      { type: 'start', model: 'tiny' },
      { type: 'tool-call-start', index: 0, id: 'call0', name },
      { type: 'tool-call-delta', index: 0, json: '{"at":1}' },
      { type: 'tool-call-end', index: 0 },
      { type: 'finish', reason: 'tool_calls', usage: someUsage },
    ]);
}

/** Role and texts of each message, `<image>` for a picture. */
function outline({ messages }: ChatRequest): readonly string[] {
  const shown = (part: ContentPart) =>
    part.type === 'text' ? part.text : part.type === 'image' ? '<image>' : '<file>';
  return messages.map(({ role, content }) => `${role}: ${content.map(shown).join(' ')}`);
}

function namesOf({ tools }: ChatRequest): readonly string[] {
  return tools.map(({ name }) => name);
}

describe('Anthropic: what changes in the middle of a conversation', () => {
  const tool = (name: string, more: JsonObject = {}): JsonObject => ({
    name,
    input_schema: { type: 'object' },
    ...more,
  });
  const reference = (type: 'tool_addition' | 'tool_removal', name: string): JsonObject => ({
    type,
    tool: { type: 'tool_reference', name },
  });
  const body = (tools: readonly JsonObject[], changes: readonly JsonObject[]): JsonObject => ({
    model: 'lfo-auto',
    max_tokens: 10,
    tools,
    messages: [
      { role: 'user', content: 'Hello' },
      { role: 'system', content: [{ type: 'text', text: 'A server has connected.' }, ...changes] },
    ],
  });

  test('a tool that is added by reference is offered, one that is taken away is not', async () => {
    const request = await read(
      '/v1/messages?beta=true',
      body(
        [tool('read'), tool('old'), tool('fresh', { defer_loading: true }), tool('hidden', { defer_loading: true })],
        [reference('tool_addition', 'fresh'), reference('tool_removal', 'old')],
      ),
    );
    assert.deepEqual(namesOf(request), ['read', 'fresh']);
    assert.deepEqual(outline(request), ['user: Hello <system-reminder>\nA server has connected.\n</system-reminder>']);
  });

  test('the last change of a tool counts, and one may be defined where it is added', async () => {
    const request = await read(
      '/v1/messages',
      body(
        [tool('read', { description: 'before' }), tool('write')],
        [
          reference('tool_removal', 'write'),
          reference('tool_addition', 'write'),
          {
            type: 'tool_addition',
            tool: { type: 'tool_definition', definition: tool('read', { description: 'now' }) },
          },
          { type: 'tool_addition', tool: { type: 'mcp_toolset_reference', server_name: 'files' } },
        ],
      ),
    );
    assert.deepEqual(
      request.tools.map(({ name, description }) => [name, description]),
      [
        ['write', undefined],
        ['read', 'now'],
      ],
    );
  });

  test('effort changes by a message without words, from its place on', async () => {
    const effortAfter = async (messages: readonly JsonObject[]) => {
      seen.length = 0;
      const { sampling } = await read('/v1/messages', {
        model: 'lfo-auto',
        max_tokens: 10,
        output_config: { effort: 'high' },
        messages,
      });
      return sampling.reasoningEffort;
    };
    const low: JsonObject = { role: 'system', output_config: { effort: 'low' } };
    const hello: JsonObject = { role: 'user', content: 'Hello' };
    const reply: JsonObject = { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'run', input: {} }] };
    const result: JsonObject = { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: 'ok' }] };
    assert.equal(await effortAfter([hello, low]), 'low');
    assert.equal(await effortAfter([hello, reply, { ...low, content: [] }, result]), 'high');
    assert.equal(await effortAfter([hello, reply, low, result, hello]), 'low');
    assert.equal(await effortAfter([hello]), 'high');
  });

  test('a reminder for one turn is not shown in the next', async () => {
    const request = await read('/v1/messages', {
      model: 'lfo-auto',
      max_tokens: 10,
      messages: [
        { role: 'user', content: 'One' },
        { role: 'system', content: 'Only now.', clear_at: 'next_user_message' },
        { role: 'assistant', content: 'Yes' },
        { role: 'user', content: 'Two' },
        { role: 'system', content: 'Now too.', clear_at: 'next_user_message' },
      ],
    });
    assert.deepEqual(outline(request), [
      'user: One',
      'assistant: Yes',
      'user: Two <system-reminder>\nNow too.\n</system-reminder>',
    ]);
  });

  test('what only the vendor’s own servers wrote into a history is passed over', async () => {
    const request = await read('/v1/messages', {
      model: 'lfo-auto',
      max_tokens: 10,
      thinking: { type: 'between_tools' },
      messages: [
        { role: 'user', content: 'Hello' },
        {
          role: 'assistant',
          content: [
            { type: 'fallback', from: { model: 'a' }, to: { model: 'b' } },
            { type: 'mcp_tool_listing', mcp_server_name: 'files', tools: [] },
            { type: 'text', text: 'Hi' },
          ],
        },
        { role: 'user', content: 'Go on' },
      ],
    });
    assert.deepEqual(outline(request), ['user: Hello', 'assistant: Hi', 'user: Go on']);
  });

  test('tools that only the vendor’s own search would find are all offered', async () => {
    const request = await read('/v1/messages', {
      model: 'lfo-auto',
      max_tokens: 10,
      tools: [
        { type: 'tool_search_tool_bm25_20251119', name: 'tool_search_tool_bm25' },
        tool('read', { defer_loading: true }),
        tool('write', { defer_loading: true }),
      ],
      messages: [{ role: 'user', content: 'Hello' }],
    });
    assert.deepEqual(namesOf(request), ['read', 'write']);
  });
});

describe('names that not every model’s server takes', () => {
  const long = `mcp__plugin_with_a_rather_long_name_of_its_own__${'x'.repeat(40)}`;

  test('Anthropic: a long name is short in the history too', async () => {
    answer = calling(long.slice(0, 64));
    const { text } = await post('/v1/messages', {
      model: 'lfo-auto',
      max_tokens: 10,
      tools: [{ name: long, input_schema: { type: 'object' } }],
      messages: [
        { role: 'user', content: 'Go' },
        { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: long, input: {} }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: 'ok' }] },
      ],
    });
    assert.equal(JSON.parse(text).content[0].name, long);
    const turn = seen[0]?.messages[1];
    assert.ok(turn?.role === 'assistant');
    assert.deepEqual(
      [turn.toolCalls[0]?.name],
      seen[0]?.tools.map(({ name }) => name),
    );
  });

  for (const isStream of [false, true]) {
    test(`Gemini: the client’s own name comes back ${isStream ? 'in a stream' : 'whole'}`, async () => {
      answer = calling('browser_click_now');
      const path = `/v1beta/models/lfo-auto:${isStream ? 'streamGenerateContent' : 'generateContent'}`;
      const { text } = await post(path, {
        tools: [{ functionDeclarations: [{ name: 'browser.click:now' }] }],
        contents: [
          { role: 'user', parts: [{ text: 'Go' }] },
          { role: 'model', parts: [{ functionCall: { id: 'a', name: 'browser.click:now', args: {} } }] },
          { role: 'user', parts: [{ functionResponse: { id: 'a', name: 'browser.click:now', response: {} } }] },
        ],
      });
      assert.match(text, /"name":"browser\.click:now"/);
      assert.doesNotMatch(text, /browser_click_now/);
      const turn = seen[0]?.messages[1];
      assert.ok(turn?.role === 'assistant');
      assert.equal(turn.toolCalls[0]?.name, 'browser_click_now');
    });

    test(`Ollama: the client’s own name comes back ${isStream ? 'in a stream' : 'whole'}`, async () => {
      answer = calling('light_on');
      const { text } = await post('/api/chat', {
        model: 'lfo-auto',
        stream: isStream,
        tools: [{ type: 'function', function: { name: 'light.on', parameters: { type: 'object' } } }],
        messages: [
          { role: 'user', content: 'Go' },
          { role: 'assistant', content: '', tool_calls: [{ function: { name: 'light.on', arguments: {} } }] },
          { role: 'tool', tool_name: 'light.on', content: 'ok' },
        ],
      });
      assert.match(text, /"name":"light\.on"/);
      const turn = seen[0]?.messages[1];
      assert.ok(turn?.role === 'assistant');
      assert.equal(turn.toolCalls[0]?.name, 'light_on');
    });
  }
});

describe('pictures in results of tools', () => {
  test('Responses: one of parallel results keeps its picture', async () => {
    const request = await read('/v1/responses', {
      model: 'lfo-auto',
      input: [
        { role: 'user', content: 'Look' },
        { type: 'function_call', call_id: 'a', name: 'view_image', arguments: '{}' },
        { type: 'function_call', call_id: 'b', name: 'run', arguments: '{}' },
        {
          type: 'function_call_output',
          call_id: 'a',
          output: [
            { type: 'input_text', text: 'here' },
            { type: 'input_image', image_url: pixelUrl },
          ],
        },
        { type: 'function_call_output', call_id: 'b', output: 'ran' },
      ],
    });
    assert.deepEqual(outline(request), ['user: Look', 'assistant: ', 'tool: here', 'tool: ran', 'user: <image>']);
  });

  test('Gemini: media beside the response of a function are read', async () => {
    const request = await read('/v1beta/models/lfo-auto:generateContent', {
      contents: [
        { role: 'user', parts: [{ text: 'Look' }] },
        {
          role: 'model',
          parts: [
            { functionCall: { id: 'a', name: 'read_file', args: {} } },
            { functionCall: { id: 'b', name: 'run', args: {} } },
          ],
        },
        {
          role: 'user',
          parts: [
            {
              functionResponse: {
                id: 'a',
                name: 'read_file',
                response: { output: 'here' },
                parts: [{ inlineData: { mimeType: 'image/png', data: pixel } }],
              },
            },
            { functionResponse: { id: 'b', name: 'run', response: { output: 'ran' } } },
          ],
        },
      ],
    });
    assert.deepEqual(outline(request), ['user: Look', 'assistant: ', 'tool: here', 'tool: ran', 'user: <image>']);
  });

  test('Ollama: a picture that a tool gave is read', async () => {
    const request = await read('/api/chat', {
      model: 'lfo-auto',
      stream: false,
      messages: [
        { role: 'user', content: 'Look' },
        { role: 'assistant', content: '', tool_calls: [{ function: { name: 'look', arguments: {} } }] },
        { role: 'tool', tool_name: 'look', content: 'here', images: [pixel] },
      ],
    });
    assert.deepEqual(outline(request), ['user: Look', 'assistant: ', 'tool: here', 'user: <image>']);
  });

  test('Anthropic: pictures within a document are read', async () => {
    const request = await read('/v1/messages', {
      model: 'lfo-auto',
      max_tokens: 10,
      messages: [
        {
          role: 'user',
          content: [
            {
              type: 'document',
              title: 'Plan',
              source: {
                type: 'content',
                content: [
                  { type: 'text', text: 'as drawn' },
                  { type: 'image', source: { type: 'base64', media_type: 'image/png', data: pixel } },
                ],
              },
            },
          ],
        },
      ],
    });
    assert.deepEqual(outline(request), ['user: Plan as drawn <image>']);
  });
});

test('Gemini: a response whose id no call has answers the call of its name', async () => {
  const request = await read('/v1beta/models/lfo-auto:generateContent', {
    contents: [
      { role: 'user', parts: [{ text: 'Go' }] },
      { role: 'model', parts: [{ functionCall: { name: 'run', args: {} } }] },
      { role: 'user', parts: [{ functionResponse: { id: 'run-1', name: 'run', response: { output: 'ran' } } }] },
    ],
  });
  assert.deepEqual(outline(request), ['user: Go', 'assistant: ', 'tool: ran']);
});

for (const isStream of [false, true]) {
  test(`Gemini: a picture that a model made arrives ${isStream ? 'in a stream' : 'whole'}`, async () => {
    answer = () =>
      fromEvents([
        { type: 'start', model: 'tiny' },
        { type: 'image', url: pixelUrl },
        { type: 'finish', reason: 'stop', usage: someUsage },
      ]);
    const method = isStream ? 'streamGenerateContent' : 'generateContent';
    const { text } = await post(`/v1beta/models/lfo-auto:${method}`, {
      contents: [{ role: 'user', parts: [{ text: 'Draw' }] }],
    });
    const body = JSON.parse(text);
    const [first] = isStream ? body : [body];
    assert.deepEqual(first.candidates[0].content.parts, [{ inlineData: { mimeType: 'image/png', data: pixel } }]);
  });
}

describe('chat: tools of other forms', () => {
  const ask = (tools: readonly JsonObject[], more: JsonObject = {}) =>
    post('/v1/chat/completions', {
      model: 'lfo-auto',
      messages: [{ role: 'user', content: 'Go' }],
      tools: [{ type: 'function', function: { name: 'read' } }, ...tools],
      ...more,
    });

  test('a freeform tool as the Responses API writes it costs no other tool', async () => {
    const patch: JsonObject = {
      type: 'custom',
      name: 'ApplyPatch',
      description: 'Edits files',
      format: { type: 'grammar', syntax: 'lark', definition: 'start: /.+/' },
    };
    const { status, headers, text } = await ask([patch], { tool_choice: { type: 'custom', name: 'ApplyPatch' } });
    assert.equal(status, 200, text);
    assert.match(headers.get('x-lfo-warning') ?? '', /tools: tools of the type custom are not offered/);
    assert.deepEqual(
      seen[0]?.tools.map(({ name }) => name),
      ['read'],
    );
  });

  test('tools of types that only a provider’s servers run are skipped and named', async () => {
    const { status, headers, text } = await ask([
      { type: 'web_search' },
      { type: 'builtin_function', function: { name: '$web_search' } },
    ]);
    assert.equal(status, 200, text);
    assert.match(headers.get('x-lfo-warning') ?? '', /tools: .*web_search, builtin_function/);
    assert.deepEqual(
      seen[0]?.tools.map(({ name }) => name),
      ['read'],
    );
  });

  test('a function without a name is still a wrong request', async () => {
    const { status, text } = await ask([{ type: 'function', function: {} }]);
    assert.equal(status, 400);
    assert.match(JSON.parse(text).error.param, /^tools\[1\]/);
  });
});

test('chat: an id that is used again in a later turn mixes up no results', async () => {
  const call = (id: string): JsonObject => ({ id, type: 'function', function: { name: 'run', arguments: '{}' } });
  const request = await read('/v1/chat/completions', {
    model: 'lfo-auto',
    messages: [
      { role: 'user', content: 'Go' },
      { role: 'assistant', content: null, tool_calls: [call('call_0')] },
      { role: 'user', content: 'Stop' },
      { role: 'assistant', content: null, tool_calls: [call('call_0')] },
      { role: 'tool', tool_call_id: 'call_0', content: 'second' },
      { role: 'assistant', content: null, tool_calls: [call('call_0')] },
      { role: 'user', content: 'Enough' },
    ],
  });
  assert.deepEqual(outline(request), [
    'user: Go',
    'assistant: ',
    'tool: ',
    'user: Stop',
    'assistant: ',
    'tool: second',
    'assistant: ',
    'tool: ',
    'user: Enough',
  ]);
});

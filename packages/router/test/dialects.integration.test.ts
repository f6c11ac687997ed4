import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import { openApiValidator } from '@lfo/testing/openapi-validator.ts';
import { withoutReferenceData } from '@lfo/testing/reference-data.ts';
import { startRouter } from '@lfo/testing/router.ts';
import { fromEvents, type ScriptedAnswer, scriptedRouter, someUsage } from '@lfo/testing/scripted-router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { faults } from '@lfo/testing/upstream/faults.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { BackendError } from '../src/core/errors.ts';
import type { InferenceEvent } from '../src/core/events.ts';
import type { JsonObject } from '../src/core/json.ts';
import type { ChatRequest } from '../src/core/request.ts';

// Every wire brings the same conversation to the same request, and the same answer back to its own client.

const weather: JsonObject = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
};
const input = { city: 'Zürich 🏔' };

/** Set by each test before it asks. */
let answer: ScriptedAnswer = () => fromEvents([]);
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

const said: readonly InferenceEvent[] = [
  { type: 'start', model: 'tiny' },
  { type: 'reasoning-delta', text: 'Two and two.' },
  { type: 'text-delta', text: 'It is \ud83c' },
  { type: 'text-delta', text: '\udfd4 4.' },
  { type: 'finish', reason: 'stop', usage: someUsage },
];
const calling: readonly InferenceEvent[] = [
  { type: 'start', model: 'tiny' },
  { type: 'text-delta', text: 'I look.' },
  { type: 'tool-call-start', index: 0, id: 'call0', name: 'weather' },
  { type: 'tool-call-delta', index: 0, json: '{"city":"Zü' },
  { type: 'tool-call-delta', index: 0, json: 'rich 🏔"}' },
  { type: 'tool-call-end', index: 0 },
  { type: 'tool-call-start', index: 1, id: 'call1', name: 'weather' },
  { type: 'tool-call-delta', index: 1, json: '{}' },
  { type: 'tool-call-end', index: 1 },
  { type: 'finish', reason: 'tool_calls', usage: someUsage },
];

/** What a client understood of an answer. */
interface Understood {
  readonly text: string;
  readonly calls: readonly { readonly name: string; readonly input: unknown }[];
  readonly stop: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** One wire: how its own SDK asks, whole and as a stream, and what its words for an end are. */
interface Wire {
  readonly name: string;
  readonly ends: { readonly stop: string; readonly calls: string; readonly length: string };
  ask(isStream: boolean): Promise<Understood>;
  /** The conversation with a call and its result; the body as it goes out. */
  readonly path: string;
  readonly conversation: JsonObject;
  errorOf(body: JsonObject): { readonly message: unknown; readonly code: unknown };
}

const system = 'You are terse.';
const question = 'What is the weather?';

const anthropicTools = [{ name: 'weather', description: 'Now', input_schema: { ...weather, type: 'object' as const } }];
const wires: readonly Wire[] = [
  {
    name: 'openai-chat',
    ends: { stop: 'stop', calls: 'tool_calls', length: 'length' },
    async ask(isStream) {
      const client = new OpenAI({ apiKey: 'none', baseURL: `${base}/v1`, maxRetries: 0 });
      const body = { model: 'lfo-auto', messages: [{ role: 'user' as const, content: question }] };
      if (!isStream) {
        const { choices, usage } = await client.chat.completions.create(body);
        const [choice] = choices;
        return {
          text: choice?.message.content ?? '',
          calls: (choice?.message.tool_calls ?? []).map((call) =>
            call.type === 'function'
              ? { name: call.function.name, input: JSON.parse(call.function.arguments) }
              : { name: '', input: {} },
          ),
          stop: choice?.finish_reason ?? '',
          inputTokens: usage?.prompt_tokens ?? -1,
          outputTokens: usage?.completion_tokens ?? -1,
        };
      }
      const stream = client.chat.completions.stream({ ...body, stream_options: { include_usage: true } });
      const { choices, usage } = await stream.finalChatCompletion();
      const [choice] = choices;
      return {
        text: choice?.message.content ?? '',
        calls: (choice?.message.tool_calls ?? []).map((call) =>
          call.type === 'function'
            ? { name: call.function.name, input: JSON.parse(call.function.arguments) }
            : { name: '', input: {} },
        ),
        stop: choice?.finish_reason ?? '',
        inputTokens: usage?.prompt_tokens ?? -1,
        outputTokens: usage?.completion_tokens ?? -1,
      };
    },
    path: '/v1/chat/completions',
    conversation: {
      model: 'lfo-auto',
      messages: [
        { role: 'system', content: system },
        { role: 'user', content: question },
        {
          role: 'assistant',
          content: 'I look.',
          tool_calls: [{ id: 'c1', type: 'function', function: { name: 'weather', arguments: JSON.stringify(input) } }],
        },
        { role: 'tool', tool_call_id: 'c1', content: 'sunny' },
        { role: 'user', content: 'And tomorrow?' },
      ],
      tools: [{ type: 'function', function: { name: 'weather', description: 'Now', parameters: weather } }],
      max_tokens: 50,
      temperature: 0.5,
    },
    errorOf: ({ error }) => fields(error),
  },
  {
    name: 'openai-responses',
    ends: { stop: 'completed', calls: 'completed', length: 'incomplete' },
    async ask(isStream) {
      const client = new OpenAI({ apiKey: 'none', baseURL: `${base}/v1`, maxRetries: 0 });
      const body = {
        model: 'lfo-auto',
        input: question,
        tools: [{ type: 'function' as const, name: 'weather', parameters: { ...weather }, strict: null }],
      };
      let response = undefined;
      if (isStream) {
        const stream = client.responses.stream(body);
        response = await stream.finalResponse();
      } else response = await client.responses.create(body);
      return {
        text: response.output_text,
        calls: response.output.flatMap((item) =>
          item.type === 'function_call' ? [{ name: item.name, input: JSON.parse(item.arguments) }] : [],
        ),
        stop: response.status ?? '',
        inputTokens: response.usage?.input_tokens ?? -1,
        outputTokens: response.usage?.output_tokens ?? -1,
      };
    },
    path: '/v1/responses',
    conversation: {
      model: 'lfo-auto',
      instructions: system,
      input: [
        { role: 'user', content: [{ type: 'input_text', text: question }] },
        { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'I look.', annotations: [] }] },
        { type: 'function_call', call_id: 'c1', name: 'weather', arguments: JSON.stringify(input) },
        { type: 'function_call_output', call_id: 'c1', output: 'sunny' },
        { role: 'user', content: 'And tomorrow?' },
      ],
      tools: [{ type: 'function', name: 'weather', description: 'Now', parameters: weather }],
      max_output_tokens: 50,
      temperature: 0.5,
    },
    errorOf: ({ error }) => fields(error),
  },
  {
    name: 'anthropic',
    ends: { stop: 'end_turn', calls: 'tool_use', length: 'max_tokens' },
    async ask(isStream) {
      const client = new Anthropic({ apiKey: 'none', baseURL: base, maxRetries: 0 });
      const body = {
        model: 'lfo-auto',
        max_tokens: 50,
        messages: [{ role: 'user' as const, content: question }],
        tools: anthropicTools,
      };
      const message = isStream ? await client.messages.stream(body).finalMessage() : await client.messages.create(body);
      return {
        text: message.content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join(''),
        calls: message.content.flatMap((block) =>
          block.type === 'tool_use' ? [{ name: block.name, input: block.input }] : [],
        ),
        stop: message.stop_reason ?? '',
        inputTokens: message.usage.input_tokens,
        outputTokens: message.usage.output_tokens,
      };
    },
    path: '/v1/messages',
    conversation: {
      model: 'lfo-auto',
      system: [{ type: 'text', text: system, cache_control: { type: 'ephemeral' } }],
      max_tokens: 50,
      temperature: 0.5,
      messages: [
        { role: 'user', content: question },
        {
          role: 'assistant',
          content: [
            { type: 'text', text: 'I look.' },
            { type: 'tool_use', id: 'c1', name: 'weather', input },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 'c1', content: 'sunny' },
            { type: 'text', text: 'And tomorrow?' },
          ],
        },
      ],
      tools: [{ name: 'weather', description: 'Now', input_schema: weather }],
    },
    errorOf: ({ error }) => fields(error),
  },
  {
    name: 'gemini',
    ends: { stop: 'STOP', calls: 'STOP', length: 'MAX_TOKENS' },
    async ask(isStream) {
      const client = new GoogleGenAI({ apiKey: 'none', httpOptions: { baseUrl: base } });
      const asked = { model: 'lfo-auto', contents: question };
      const answers = [];
      if (isStream) for await (const chunk of await client.models.generateContentStream(asked)) answers.push(chunk);
      else answers.push(await client.models.generateContent(asked));
      const parts = answers.flatMap(({ candidates }) => candidates?.[0]?.content?.parts ?? []);
      const last = answers.at(-1);
      return {
        text: parts.flatMap(({ text }) => text ?? []).join(''),
        calls: parts.flatMap(({ functionCall }) =>
          functionCall === undefined ? [] : [{ name: functionCall.name ?? '', input: functionCall.args }],
        ),
        stop: last?.candidates?.[0]?.finishReason ?? '',
        inputTokens: last?.usageMetadata?.promptTokenCount ?? -1,
        outputTokens: last?.usageMetadata?.candidatesTokenCount ?? -1,
      };
    },
    path: '/v1beta/models/lfo-auto:generateContent',
    conversation: {
      system_instruction: { parts: [{ text: system }] },
      contents: [
        { role: 'user', parts: [{ text: question }] },
        { role: 'model', parts: [{ text: 'I look.' }, { functionCall: { id: 'c1', name: 'weather', args: input } }] },
        { role: 'user', parts: [{ functionResponse: { name: 'weather', response: { output: 'sunny' } } }] },
        { parts: [{ text: 'And tomorrow?' }] },
      ],
      tools: [{ functionDeclarations: [{ name: 'weather', description: 'Now', parametersJsonSchema: weather }] }],
      generationConfig: { maxOutputTokens: 50, temperature: 0.5 },
    },
    errorOf: ({ error }) => ({ message: fields(error).message, code: String(reasonOf(error)).toLowerCase() }),
  },
  {
    name: 'ollama',
    ends: { stop: 'stop', calls: 'stop', length: 'length' },
    async ask(isStream) {
      const client = new Ollama({ host: base });
      const asked = { model: 'lfo-auto:latest', messages: [{ role: 'user', content: question }] };
      const lines = [];
      if (isStream) for await (const line of await client.chat({ ...asked, stream: true })) lines.push(line);
      else lines.push(await client.chat({ ...asked, stream: false }));
      const last = lines.at(-1);
      return {
        text: lines.map(({ message }) => message.content).join(''),
        calls: lines.flatMap(({ message }) =>
          (message.tool_calls ?? []).map((call) => ({ name: call.function.name, input: call.function.arguments })),
        ),
        stop: last?.done_reason ?? '',
        inputTokens: last?.prompt_eval_count ?? -1,
        outputTokens: last?.eval_count ?? -1,
      };
    },
    path: '/api/chat',
    conversation: {
      model: 'lfo-auto',
      stream: false,
      messages: [
        { role: 'system', content: system },
        { role: 'user', content: question },
        {
          role: 'assistant',
          content: 'I look.',
          tool_calls: [{ id: 'c1', function: { name: 'weather', arguments: input } }],
        },
        { role: 'tool', tool_name: 'weather', content: 'sunny' },
        { role: 'user', content: 'And tomorrow?' },
      ],
      tools: [{ type: 'function', function: { name: 'weather', description: 'Now', parameters: weather } }],
      options: { num_predict: 50, temperature: 0.5, num_ctx: 4096 },
    },
    errorOf: ({ error, code }) => ({ message: error, code }),
  },
];

function fields(value: unknown): { readonly message: unknown; readonly code: unknown } {
  assert.ok(typeof value === 'object' && value !== null && 'message' in value);
  return { message: value.message, code: 'code' in value ? value.code : undefined };
}

function reasonOf(value: unknown): unknown {
  assert.ok(typeof value === 'object' && value !== null && 'details' in value && Array.isArray(value.details));
  const [first]: readonly unknown[] = value.details;
  return typeof first === 'object' && first !== null && 'reason' in first ? first.reason : undefined;
}

/** A body whose shape the test asserts. */
async function asJson(response: Response) {
  return JSON.parse(await response.text());
}

async function post(path: string, body: JsonObject): Promise<{ status: number; headers: Headers; text: string }> {
  const response = await fetch(`${base}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

for (const wire of wires) {
  describe(wire.name, () => {
    for (const isStream of [false, true]) {
      const form = isStream ? 'in a stream' : 'whole';

      test(`the wire’s own client reads a text ${form}`, async () => {
        answer = () => fromEvents(said);
        assert.deepEqual(await wire.ask(isStream), {
          text: 'It is 🏔 4.',
          calls: [],
          stop: wire.ends.stop,
          inputTokens: someUsage.promptTokens,
          outputTokens: someUsage.completionTokens,
        });
      });

      test(`the wire’s own client reads parallel calls ${form}`, async () => {
        answer = () => fromEvents(calling);
        const { text, calls, stop } = await wire.ask(isStream);
        assert.equal(text, 'I look.');
        assert.deepEqual(calls, [
          { name: 'weather', input },
          { name: 'weather', input: {} },
        ]);
        assert.equal(stop, wire.ends.calls);
      });

      test(`an answer at its limit says so ${form}`, async () => {
        answer = () =>
          fromEvents([
            { type: 'start', model: 'tiny' },
            { type: 'text-delta', text: 'It' },
            { type: 'finish', reason: 'length', usage: someUsage },
          ]);
        assert.equal((await wire.ask(isStream)).stop, wire.ends.length);
      });

      test(`a failure is an error to the wire’s own client ${form}`, async () => {
        answer = async function* () {
          yield { type: 'start', model: 'tiny' };
          throw new BackendError('The backend failed.', { fault: 'server', backend: 'embedded' });
        };
        await assert.rejects(wire.ask(isStream));
      });

      test(`a cut after the first words never looks like an end ${form}`, async () => {
        answer = async function* () {
          yield { type: 'start', model: 'tiny' };
          yield { type: 'text-delta', text: 'It is' };
          throw new BackendError('The backend was cut off.', { fault: 'cut', backend: 'embedded' });
        };
        // One SDK hands over a response that says of itself that it failed.
        const understood = await wire.ask(isStream).catch(() => undefined);
        assert.ok(understood === undefined || understood.stop === 'failed');
      });
    }

    test('the conversation reaches the pipeline as the same messages, tools and sampling', async () => {
      answer = () => fromEvents(said);
      seen.length = 0;
      const { status, headers, text } = await post(wire.path, wire.conversation);
      assert.equal(status, 200, text);
      assert.equal(headers.get('x-lfo-route'), 'local');
      assert.ok('lfo_metadata' in JSON.parse(text));
      const [request] = seen;
      assert.deepEqual(
        request?.messages.map(({ role, content }) => [
          role,
          content.map((part) => (part.type === 'text' ? part.text : '')),
        ]),
        [
          ['system', [system]],
          ['user', [question]],
          ['assistant', ['I look.']],
          ['tool', ['sunny']],
          ['user', ['And tomorrow?']],
        ],
      );
      const turn = request?.messages[2];
      assert.ok(turn?.role === 'assistant');
      const [call] = turn.toolCalls;
      assert.deepEqual([call?.name, JSON.parse(call?.arguments ?? 'null')], ['weather', input]);
      assert.deepEqual(request?.tools, [{ name: 'weather', description: 'Now', parameters: weather }]);
      const { maxTokens, temperature } = request?.sampling ?? {};
      assert.deepEqual([maxTokens, temperature], [50, 0.5]);
    });

    test('an unknown model is a 404 in the words of the wire', async () => {
      const path = wire.path.replace('lfo-auto', 'nobody');
      const { status, text } = await post(
        path,
        'model' in wire.conversation ? { ...wire.conversation, model: 'nobody' } : wire.conversation,
      );
      assert.equal(status, 404);
      const { message, code } = wire.errorOf(JSON.parse(text));
      assert.equal(code, 'model_not_found');
      assert.match(String(message), /does not exist here/);
    });

    test('the mode of a header is kept', async () => {
      answer = () => fromEvents(said);
      seen.length = 0;
      await fetch(`${base}${wire.path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-lfo-mode': 'local' },
        body: JSON.stringify(wire.conversation),
      });
      assert.equal(seen[0]?.hints.mode, 'local');
    });
  });
}

describe('what agents send', () => {
  test('freeform and namespaced tools go there flat and come back as the client declared them', async () => {
    seen.length = 0;
    answer = () =>
      fromEvents([
        { type: 'start', model: 'tiny' },
        { type: 'tool-call-start', index: 0, id: 'a', name: 'exec' },
        { type: 'tool-call-delta', index: 0, json: '{"input":"ls -l"}' },
        { type: 'tool-call-end', index: 0 },
        { type: 'tool-call-start', index: 1, id: 'b', name: 'files__read' },
        { type: 'tool-call-delta', index: 1, json: '{}' },
        { type: 'tool-call-end', index: 1 },
        { type: 'finish', reason: 'tool_calls', usage: someUsage },
      ]);
    const { text, headers } = await post('/v1/responses', {
      model: 'lfo-auto',
      input: [
        {
          type: 'additional_tools',
          role: 'developer',
          tools: [
            { type: 'custom', name: 'exec', format: { type: 'grammar', syntax: 'lark', definition: 'start: /.+/' } },
            {
              type: 'namespace',
              name: 'files',
              description: '',
              tools: [{ type: 'function', name: 'read', parameters: null }],
            },
            { type: 'web_search' },
            { type: 'image_generation' },
          ],
        },
        { type: 'web_search_call', id: 'ws_1', status: 'completed' },
        { type: 'mcp_list_tools', id: 'mcp_1' },
        { role: 'user', content: 'List.' },
      ],
      tool_choice: 'auto',
      stream: false,
    });
    assert.deepEqual(
      seen[0]?.tools.map(({ name }) => name),
      ['exec', 'files__read'],
    );
    const warned = headers.get('x-lfo-warning') ?? '';
    assert.match(warned, /tools: tools of the type web_search, image_generation are not offered/);
    assert.match(warned, /input: items of the type web_search_call, mcp_list_tools are skipped/);
    const { output } = JSON.parse(text);
    assert.deepEqual(
      output.map((item: JsonObject) => [
        item['type'],
        item['name'],
        item['namespace'] ?? null,
        item['input'] ?? item['arguments'],
      ]),
      [
        ['custom_tool_call', 'exec', null, 'ls -l'],
        ['function_call', 'read', 'files', '{}'],
      ],
    );
  });

  test('an empty probe is answered, and nothing runs', async () => {
    seen.length = 0;
    const { status, text } = await post('/v1/responses', { model: 'lfo-auto', input: [], max_output_tokens: 1 });
    assert.deepEqual([status, JSON.parse(text).output, seen.length], [200, [], 0]);
  });

  test('what changes with every request is taken out of the system text, and out of nothing else', async () => {
    seen.length = 0;
    answer = () => fromEvents(said);
    const line = 'x-anthropic-billing-header: cc_version=2.1; cch=0af31;';
    await post('/v1/messages', {
      model: 'claude-haiku-4-5-20251001',
      max_tokens: 10,
      system: [
        { type: 'text', text: line },
        { type: 'text', text: `${system}<total_tokens>9 tokens left</total_tokens>` },
      ],
      messages: [{ role: 'user', content: line }],
    });
    assert.deepEqual(
      seen[0]?.messages.map(({ content }) => content),
      [[{ type: 'text', text: system }], [{ type: 'text', text: line }]],
    );
    assert.equal(seen[0]?.hints.mode, 'auto');
  });

  test('instructions in the middle of a conversation keep their place', async () => {
    seen.length = 0;
    answer = () => fromEvents(said);
    await post('/v1/messages', {
      model: 'lfo-auto',
      max_tokens: 10,
      messages: [
        { role: 'user', content: 'Hello' },
        { role: 'system', content: 'Be brief.' },
        { role: 'assistant', content: 'Hi' },
        { role: 'user', content: 'Go on' },
      ],
    });
    assert.deepEqual(
      seen[0]?.messages.map(({ role, content }) => [role, content.length]),
      [
        ['user', 2],
        ['assistant', 1],
        ['user', 1],
      ],
    );
  });

  test('a call that nobody answered is answered with nothing, and said so', async () => {
    seen.length = 0;
    answer = () => fromEvents(said);
    const { status, headers } = await post('/v1/responses', {
      model: 'lfo-auto',
      input: [
        { role: 'user', content: 'Go' },
        { type: 'function_call', call_id: 'x', name: 'run', arguments: '{}' },
        { role: 'user', content: 'Go on' },
      ],
    });
    assert.equal(status, 200);
    assert.match(headers.get('x-lfo-warning') ?? '', /tool_calls/);
    assert.deepEqual(
      seen[0]?.messages.map(({ role }) => role),
      ['user', 'assistant', 'tool', 'user'],
    );
  });

  test('a result that answers no call, or one that has its answer, is named by its id on every wire', async () => {
    const use = (id: string) => ({ role: 'assistant', content: [{ type: 'tool_use', id, name: 'run', input: {} }] });
    const result = (id: string) => ({ type: 'tool_result', tool_use_id: id, content: 'x' });
    const output = { type: 'function_call_output', call_id: 'twice', output: 'x' };
    const called = { type: 'function_call', call_id: 'twice', name: 'run', arguments: '{}' };
    const go = { role: 'user', content: 'Go' };
    const bodies: readonly (readonly [path: string, body: object, id: string])[] = [
      ['/v1/messages', { max_tokens: 5, messages: [{ role: 'user', content: [result('orphan')] }] }, 'orphan'],
      [
        '/v1/messages',
        { max_tokens: 5, messages: [go, use('twice'), { role: 'user', content: [result('twice'), result('twice')] }] },
        'twice',
      ],
      ['/v1/responses', { input: [go, { ...output, call_id: 'orphan' }] }, 'orphan'],
      ['/v1/responses', { input: [go, called, output, output] }, 'twice'],
      ['/api/chat', { messages: [go, { role: 'tool', tool_call_id: 'orphan', content: 'x' }] }, 'orphan'],
    ];
    for (const [path, body, id] of bodies) {
      const { status, text } = await post(path, { model: 'lfo-auto', ...body });
      assert.equal(status, 400, `${path} ${text}`);
      assert.match(text, new RegExp(`\\\\"${id}\\\\"`), path);
    }
  });

  test('names of small models of any vendor run in auto, whole words only', async () => {
    answer = () => fromEvents(said);
    const asking = (model: string) =>
      post('/v1/chat/completions', { model, messages: [{ role: 'user', content: 'Hi' }] });
    assert.equal((await asking('gpt-5-mini')).status, 200);
    assert.equal((await asking('minimax-m2')).status, 404);
    assert.equal((await asking('gemini-9-pro')).status, 404);
  });

  test('models are listed in three forms, told apart by their headers', async () => {
    const list = async (headers: Record<string, string>) => asJson(await fetch(`${base}/v1/models`, { headers }));
    const openai = await list({});
    assert.deepEqual([openai.object, openai.models], ['list', []]);
    const anthropic = await list({ 'anthropic-version': '2023-06-01' });
    assert.ok(anthropic.data.some(({ id }: { id: string }) => id === 'claude-lfo-local'));
    const google = await list({ 'x-goog-api-key': 'none' });
    assert.ok(google.models.some(({ name }: { name: string }) => name === 'models/lfo-auto'));
    const tags = await asJson(await fetch(`${base}/api/tags`));
    assert.ok(tags.models.every(({ digest }: { digest: string }) => /^[0-9a-f]{64}$/.test(digest)));
  });

  test('the bare address names what is here, and tokens are counted without running a model', async () => {
    assert.equal(await (await fetch(base)).text(), 'Ollama is running');
    const page = await fetch(base, { headers: { accept: 'text/html' }, redirect: 'manual' });
    assert.deepEqual([page.status, page.headers.get('location')], [302, '/dashboard']);
    seen.length = 0;
    const counted = await post('/v1/messages/count_tokens?beta=true', {
      model: 'lfo-auto',
      messages: [{ role: 'user', content: 'Hello' }],
    });
    assert.deepEqual([JSON.parse(counted.text), seen.length], [{ input_tokens: 12 }, 0]);
  });

  test('a wrong request names the field in the dialect’s own words', async () => {
    const { status, text } = await post('/v1/messages', {
      model: 'lfo-auto',
      max_tokens: 5,
      messages: [{ role: 'user', content: [{ type: 'hologram' }] }],
    });
    assert.equal(status, 400);
    assert.match(JSON.parse(text).error.param, /^messages\[0\]\.content\[0\]/);
  });
});

describe('documents', { skip: withoutReferenceData }, () => {
  test('a response and the events of its stream fit OpenAI’s document', async () => {
    const assertFits = openApiValidator();
    for (const events of [said, calling]) {
      answer = () => fromEvents(events);
      const whole = await post('/v1/responses', { model: 'lfo-auto', input: question });
      assertFits('Response', JSON.parse(whole.text));
      const { text } = await post('/v1/responses', { model: 'lfo-auto', input: question, stream: true });
      const frames = text.split('\n\n').filter((frame) => frame.startsWith('event: '));
      frames.forEach((frame, i) => {
        const event = JSON.parse(frame.slice(frame.indexOf('data: ') + 6));
        assert.equal(event.sequence_number, i);
        assertFits('ResponseStreamEvent', event);
      });
      assert.match(frames.at(-1) ?? '', /^event: response\.completed/);
    }
  });
});

test('local is a promise on every wire: nothing reaches the cloud, whatever fails, counting and listing included', async (t) => {
  const always500 = faults['fault-500'];
  assert.ok(always500 !== undefined);
  const local = await ScriptedUpstream.start(always500);
  const cloud = await ScriptedUpstream.start(answerWith({ deltas: ['Far', ' away.'] }));
  t.after(() => Promise.all([local.close(), cloud.close()]));
  const real = await startRouter(t, {
    yaml: `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small] }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [large], api_key: sk-far }
`,
  });
  const asked = (mode: string) =>
    wires.map(({ path, conversation }) => ({
      path: path.replace('lfo-auto', `lfo-${mode}`),
      body: 'model' in conversation ? { ...conversation, model: `lfo-${mode}` } : conversation,
    }));
  const chats = () => cloud.exchanges.filter(({ request }) => request.method === 'POST').length;
  for (const { path, body } of asked('local')) {
    const { status, headers } = await real.request('POST', path, body);
    assert.ok(status >= 500, path);
    assert.equal(headers['x-lfo-egress'], 'none', path);
  }
  const counting = asked('local').flatMap(({ path, body }) => {
    if (path === '/v1/messages') return [{ path: '/v1/messages/count_tokens', body }];
    if (path === '/v1/responses') return [{ path: '/v1/responses/input_tokens', body }];
    return path.includes(':') ? [{ path: path.replace(':generateContent', ':countTokens'), body }] : [];
  });
  assert.equal(counting.length, 3);
  for (const { path, body } of counting) assert.equal((await real.request('POST', path, body)).status, 200, path);
  for (const path of ['/v1/models', '/v1beta/models', '/api/tags', '/api/ps']) {
    assert.equal((await real.request('GET', path)).status, 200, path);
  }
  assert.equal(chats(), 0);
  for (const { path, body } of asked('cloud')) {
    const { status, headers } = await real.request('POST', path, body);
    assert.deepEqual([status, headers['x-lfo-egress']], [200, 'far'], path);
  }
  assert.equal(chats(), wires.length);
});

test('clients of Ollama are told the version that is configured', async (t) => {
  const { app } = scriptedRouter({ server: { ollamaVersion: '0.99.1' } });
  t.after(() => app.close());
  assert.deepEqual((await app.inject({ url: '/api/version' })).json(), { version: '0.99.1' });
});

test('what manages Ollama’s models says what to use instead', async (t) => {
  const { app } = scriptedRouter({ answer: () => fromEvents([]) });
  t.after(() => app.close());
  const managing = { pull: 'POST', push: 'POST', create: 'POST', copy: 'POST', delete: 'DELETE' } as const;
  for (const [name, method] of Object.entries({ ...managing, 'blobs/sha256:0a': 'POST' } as const)) {
    const { statusCode, body } = await app.inject({ method, url: `/api/${name}`, payload: {} });
    assert.deepEqual([statusCode, JSON.parse(body).code], [501, 'not_supported'], name);
    assert.match(JSON.parse(body).error, /lfo models/);
  }
  assert.equal((await app.inject({ method: 'HEAD', url: '/api/blobs/sha256:0a' })).statusCode, 501);
});

test('what else the vendors’ APIs have is a 404 in their words, which says what to do instead', async (t) => {
  const { app } = scriptedRouter({ answer: () => fromEvents([]) });
  t.after(() => app.close());
  for (const [path, says, envelope] of [
    ['/v1/files', /in the messages/, /^\{"error":\{"message"/],
    ['/v1/batches/b_1', /one by one/, /^\{"error":\{"message"/],
    ['/v1/conversations', /whole conversation/, /^\{"error":\{"message"/],
    ['/v1/messages/batches', /one by one/, /^\{"type":"error"/],
    ['/v1beta/cachedContents', /content itself/, /^\{"error":\{"code":404/],
    ['/v1beta/interactions', /generateContent/, /^\{"error":\{"code":404/],
    ['/v1/filesystem', /base URL/, /^\{"error":\{"message"/],
  ] as const) {
    const { statusCode, body } = await app.inject({ method: 'POST', url: path, payload: {} });
    assert.equal(statusCode, 404, path);
    assert.match(body, says);
    assert.match(body, envelope);
  }
});

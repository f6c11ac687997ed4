import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { deepFreeze } from '@lfo/testing/deep-freeze.ts';
import { checkRequest, declarationsOf } from '@lfo/testing/gemini/check-request.ts';
import { fakeModels } from '@lfo/testing/gemini/fake-models.ts';
import { RequestError } from '../../../core/errors.ts';
import type { ChatRequest, Message, Sampling, ToolSpec } from '../../../core/request.ts';
import { BoundedSignatureStore } from './signature-store.ts';
import { traitsOf } from './models.ts';
import { serialise, translateRequest } from './request.ts';
import { signaturesFor } from './signatures.ts';
import { ToolNames } from './tool-names.ts';
import type { GenerateContentBody } from './wire.ts';

interface Translated {
  readonly body: GenerateContentBody;
  readonly warned: string[];
}

/** Translates a frozen request and has the strict fake check it. */
function translate(changes: Partial<ChatRequest>, model = 'gemini-2.5-flash'): Translated {
  const request = deepFreeze(chatRequest(changes));
  const traits = traitsOf(model);
  const warned: string[] = [];
  const body = translateRequest(request, {
    traits,
    names: new ToolNames(request.tools.map(({ name }) => name)),
    sendsIds: true,
    wantScores: false,
    signatures: signaturesFor(traits, new BoundedSignatureStore(), undefined, () => undefined),
    warn: (param) => warned.push(param),
  });
  const fake = fakeModels.find(({ name }) => name === model);
  if (fake !== undefined) assert.equal(checkRequest(JSON.parse(serialise(body)), fake, true), undefined);
  return { body, warned };
}

const text = (said: string): { type: 'text'; text: string } => ({ type: 'text', text: said });
const user = (said: string): Message => ({ role: 'user', content: [text(said)] });
const calls = (...ids: string[]): Message => ({
  role: 'assistant',
  content: [],
  toolCalls: ids.map((id) => ({ id, name: 'look', arguments: '{"q":1}' })),
});
const result = (toolCallId: string, said: string): Message => ({ role: 'tool', toolCallId, content: [text(said)] });
const sampling = (changes: Partial<Sampling>): Sampling => ({ stop: [], logprobs: false, ...changes });
const look: ToolSpec = { name: 'look', parameters: { type: 'object', properties: { q: { type: 'number' } } } };

test('instructions from anywhere come first, in order; same roles are merged; empty text is dropped', () => {
  const { body } = translate({
    messages: [
      { role: 'system', content: [text('one'), text('')] },
      user('hi'),
      { role: 'developer', content: [text('two')] },
      user('there'),
      { role: 'assistant', content: [text('a')], toolCalls: [] },
      { role: 'assistant', content: [text('b')], toolCalls: [] },
      user(''),
    ],
  });
  assert.deepEqual(body.systemInstruction, {
    parts: [text('one'), text('two')].map(({ text: said }) => ({ text: said })),
  });
  assert.deepEqual(body.contents, [
    { role: 'user', parts: [{ text: 'hi' }, { text: 'there' }] },
    { role: 'model', parts: [{ text: 'a' }, { text: 'b' }] },
  ]);
});

test("the first turn is a user's, also after instructions alone or a greeting", () => {
  assert.equal(translate({ messages: [{ role: 'system', content: [text('x')] }] }).body.contents[0]?.role, 'user');
  const greeting: Message = { role: 'assistant', content: [text('Hello!')], toolCalls: [] };
  assert.deepEqual(
    translate({ messages: [greeting, user('hi')] }).body.contents.map(({ role }) => role),
    ['user', 'model', 'user'],
  );
});

test('where the model may not come last, the user says to go on', () => {
  const messages: Message[] = [user('hi'), { role: 'assistant', content: [text('Well')], toolCalls: [] }];
  const last = (model: string): string | undefined => translate({ messages }, model).body.contents.at(-1)?.role;
  assert.deepEqual(
    ['gemini-2.5-flash', 'gemini-3.5-flash', 'gemini-9'].map((model) => last(model)),
    ['model', 'user', 'user'],
  );
});

test("results stand right after their calls, in the calls' order, the user's words after them", () => {
  const { body } = translate({
    messages: [user('go'), calls('a', 'b'), user('and?'), result('b', '2'), result('a', '1')],
    tools: [look],
  });
  assert.deepEqual(
    body.contents.map(({ parts }) =>
      parts.map(
        ({ functionResponse, functionCall, text: said }) => functionResponse?.response ?? functionCall?.id ?? said,
      ),
    ),
    [['go'], ['a', 'b'], [{ output: 1 }, { output: 2 }], ['and?']],
  );
});

test('a call without a result gets one that says so, ids used twice are told apart', () => {
  const { body } = translate({
    messages: [user('go'), calls('a', 'a', 'c'), result('a', 'x'), result('a', 'y')],
    tools: [look],
  });
  const results = body.contents[2]?.parts.map(({ functionResponse }) => functionResponse);
  assert.deepEqual(
    results?.map((one) => one?.response),
    [{ output: 'x' }, { output: 'y' }, { error: 'The tool gave no result.' }],
  );
  assert.equal(new Set(results?.map((one) => one?.id)).size, 3);
});

test('ids that occur in several turns belong to the latest one', () => {
  const { body } = translate({
    messages: [user('go'), calls('a'), result('a', 'first'), calls('a'), result('a', 'second')],
    tools: [look],
  });
  assert.deepEqual(
    body.contents.flatMap(({ parts }) => parts.flatMap(({ functionResponse }) => functionResponse?.response ?? [])),
    [{ output: 'first' }, { output: 'second' }],
  );
});

test('a result is always an object', () => {
  const texts = ['{"a":1}', 'plain', '[1]', 'null', '12345678901234567890', 'Error: no such file', ''];
  const { body } = translate({
    messages: [user('go'), calls(...texts.map((_, i) => `c${i}`)), ...texts.map((said, i) => result(`c${i}`, said))],
    tools: [look],
  });
  assert.deepEqual(
    body.contents[2]?.parts.map(({ functionResponse }) => functionResponse?.response),
    [
      { a: 1 },
      { output: 'plain' },
      { output: [1] },
      { output: null },
      { output: '12345678901234567890' },
      { error: 'Error: no such file' },
      { output: '' },
    ],
  );
});

test('a result of an unknown call is a 400 that names the id', () => {
  assert.throws(
    () => translate({ messages: [user('go'), result('lost', 'x')] }),
    (error) =>
      error instanceof RequestError && error.param === 'messages[1].tool_call_id' && error.message.includes('"lost"'),
  );
});

test('arguments that are no object become one, text beside calls is kept', () => {
  for (const args of ['', 'null', '{broken', '[1]', '"{\\"q\\":1}"']) {
    const message: Message = {
      role: 'assistant',
      content: [text('hm')],
      toolCalls: [{ id: 'a', name: 'look', arguments: args }],
    };
    const { body } = translate({ messages: [user('go'), message, result('a', 'x')], tools: [look] });
    assert.deepEqual(body.contents[1]?.parts, [
      { text: 'hm' },
      { functionCall: { id: 'a', name: 'look', args: args.includes('q') ? { q: 1 } : {} } },
    ]);
  }
});

test('names Gemini does not take are mapped one to one, here and in history', () => {
  const odd = ['get weather', 'get_weather', 'get-weather', '1st', 'x'.repeat(80), `${'x'.repeat(80)}y`, 'é'];
  const { body } = translate({ tools: odd.map((name) => ({ name })), toolChoice: { type: 'function', name: 'é' } });
  const sent = declarationsOf(body.tools).map(({ name }) => String(name));
  assert.equal(new Set(sent).size, odd.length);
  assert.deepEqual(sent.slice(1, 3), ['get_weather', 'get-weather']);
  assert.deepEqual(body.toolConfig?.functionCallingConfig, { mode: 'ANY', allowedFunctionNames: [sent.at(-1)] });
  const names = new ToolNames(odd);
  for (const name of odd) assert.equal(names.client(names.native(name)), name);
});

test('tool_choice in all its forms', () => {
  const mode = (changes: Partial<ChatRequest>, model?: string): string | undefined =>
    translate({ tools: [look], ...changes }, model).body.toolConfig?.functionCallingConfig.mode;
  assert.equal(mode({}), 'AUTO');
  assert.equal(mode({ toolChoice: { type: 'auto' } }), 'AUTO');
  assert.equal(mode({ toolChoice: { type: 'none' } }), 'NONE');
  assert.equal(mode({ toolChoice: { type: 'required' } }), 'ANY');
  assert.equal(mode({ tools: [{ ...look, strict: true }] }), 'VALIDATED');
  assert.equal(mode({ tools: [{ ...look, strict: true }] }, 'gemini-2.0-flash'), 'AUTO');
  assert.equal(translate({ toolChoice: { type: 'required' } }).body.toolConfig, undefined);
  assert.throws(() => mode({ toolChoice: { type: 'function', name: 'other' } }), RequestError);
});

test('parallel_tool_calls: false is named as not enforced', () => {
  assert.deepEqual(translate({ tools: [look], parallelToolCalls: false }).warned, ['parallel_tool_calls']);
});

test('reasoning effort is a budget or a level, within what the model takes', () => {
  const thinking = (model: string, reasoningEffort: NonNullable<Sampling['reasoningEffort']>): unknown => {
    const { includeThoughts: _, ...rest } =
      translate({ sampling: sampling({ reasoningEffort }) }, model).body.generationConfig?.thinkingConfig ?? {};
    return Object.values(rest)[0];
  };
  const efforts = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh'] as const;
  const all = (model: string): unknown[] => efforts.map((effort) => thinking(model, effort));
  assert.deepEqual(all('gemini-2.5-flash'), [0, 512, 1_024, 8_192, 24_576, 24_576]);
  assert.deepEqual(all('gemini-2.5-flash-lite'), [0, 512, 1_024, 8_192, 24_576, 24_576]);
  assert.deepEqual(all('gemini-2.5-pro'), [128, 512, 1_024, 8_192, 24_576, 32_768]);
  assert.deepEqual(all('gemini-3-pro-preview'), ['LOW', 'LOW', 'LOW', 'HIGH', 'HIGH', 'HIGH']);
  assert.deepEqual(all('gemini-3-flash-preview'), ['MINIMAL', 'MINIMAL', 'LOW', 'MEDIUM', 'HIGH', 'HIGH']);
  assert.deepEqual(
    all('gemini-2.0-flash'),
    Array.from(efforts, () => undefined),
  );
});

test('thoughts are asked for wherever the model thinks, as signs of life', () => {
  const thinking = (model: string, changes: Partial<Sampling> = {}): unknown =>
    translate({ sampling: sampling(changes) }, model).body.generationConfig?.thinkingConfig;
  for (const model of ['gemini-2.5-flash', 'gemini-2.5-pro', 'gemini-3-pro-preview', 'gemini-3-flash-preview']) {
    assert.deepEqual(thinking(model), { includeThoughts: true });
  }
  for (const model of ['gemini-2.0-flash', 'gemini-2.5-flash-lite']) assert.equal(thinking(model), undefined);
  assert.deepEqual(thinking('gemini-2.5-flash', { reasoningEffort: 'none' }), { thinkingBudget: 0 });
});

test('sampling is sent as Gemini takes it, the rest named', () => {
  const all = sampling({
    temperature: 0,
    topP: 0.5,
    maxTokens: 7,
    stop: ['a', 'b'],
    seed: 2 ** 32 + 5,
    logprobs: true,
    topLogprobs: 3,
    presencePenalty: 1,
    frequencyPenalty: 1,
    logitBias: { 1: 2 },
  });
  const { body, warned } = translate({ sampling: all });
  assert.deepEqual(body.generationConfig, {
    maxOutputTokens: 7,
    temperature: 0,
    topP: 0.5,
    stopSequences: ['a', 'b'],
    seed: 5,
    responseLogprobs: true,
    logprobs: 3,
    thinkingConfig: { includeThoughts: true },
  });
  assert.deepEqual(warned.toSorted(), ['frequency_penalty', 'logit_bias', 'presence_penalty']);
  assert.deepEqual(
    translate({ sampling: sampling({ presencePenalty: 1 }) }, 'gemini-2.0-flash').body.generationConfig,
    { presencePenalty: 1 },
  );
  assert.throws(() => translate({ sampling: sampling({ stop: ['1', '2', '3', '4', '5', '6'] }) }), RequestError);
});

test('a JSON answer has its schema; beside tools it is asked for in words before Gemini 3', () => {
  const responseFormat = {
    type: 'json_schema',
    name: 'x',
    schema: { type: 'object', properties: { a: { type: 'string' } } },
  } as const;
  for (const model of ['gemini-1.5-flash', 'gemini-2.0-flash', 'gemini-2.5-flash', 'gemini-3-pro-preview']) {
    const config = translate({ responseFormat }, model).body.generationConfig;
    assert.equal(config?.responseMimeType, 'application/json');
    assert.equal(config[model === 'gemini-1.5-flash' ? 'responseSchema' : 'responseJsonSchema'] === undefined, false);
    const withTools = translate({ responseFormat, tools: [look] }, model);
    const isNew = model.startsWith('gemini-3');
    assert.deepEqual(withTools.warned, isNew ? [] : ['response_format']);
    assert.equal(withTools.body.generationConfig?.responseMimeType, isNew ? 'application/json' : undefined);
    assert.equal(JSON.stringify(withTools.body.systemInstruction ?? '').includes('JSON Schema'), !isNew);
  }
});

test('lone surrogates do not reach the wire', () => {
  const { body } = translate({ messages: [user('a\ud83d b')] });
  assert.match(serialise(body), /a\ufffd b/);
});

test('data of every kind is inline, its type read off where it is missing', () => {
  const png = 'iVBORw0KGgoAAAANSUhEUg==';
  const { body } = translate({
    messages: [
      {
        role: 'user',
        content: [
          { type: 'image', url: `data:image/png;charset=utf-8;name=a.png;base64,${png}` },
          { type: 'image', url: `data:;base64,${png}` },
          { type: 'audio', data: 'UklGRg==', format: 'wav' },
          { type: 'file', data: 'JVBERi0x', filename: 'a.bin' },
        ],
      },
    ],
  });
  const types = body.contents[0]?.parts.map(({ inlineData }) => inlineData?.mimeType);
  assert.deepEqual(types, ['image/png', 'image/png', 'audio/wav', 'application/pdf']);
  for (const url of ['https://example.test/a.png', 'data:text/html;base64,PGI+', 'data:image/png;base64,%%']) {
    assert.throws(
      () => translate({ messages: [{ role: 'user', content: [{ type: 'image', url }] }] }),
      (error) => error instanceof RequestError && error.param === 'messages[0].content[0].image_url.url',
    );
  }
});

test('Gemma gets its instructions in the first turn and no tools', () => {
  const messages: Message[] = [{ role: 'system', content: [text('Be brief.')] }, user('hi')];
  const { body } = translate({ messages }, 'gemma-3-27b-it');
  assert.deepEqual(body.contents, [{ role: 'user', parts: [{ text: 'Be brief.' }, { text: 'hi' }] }]);
  assert.throws(() => translate({ messages, tools: [look] }, 'gemma-3-27b-it'), RequestError);
});

test('a model is found by whole parts of its name; an unknown one is taken for the latest generation', () => {
  assert.equal(traitsOf('models/gemini-2.5-flash-lite-preview-06-17').thinking.type, 'budget');
  assert.equal(traitsOf('gemini-2.5-flashy').signatures, 'optional');
  assert.equal(traitsOf('my-gemini-2.5-flash').thinking.type, 'fixed');
  assert.equal(traitsOf('gemini-9').signatures, 'required');
});

test('what Google’s servers do goes to a model without functions, beside functions it is left out by name', () => {
  const google = {
    tools: [{ googleSearch: {} }, { urlContext: {} }],
    safetySettings: [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }],
  };
  const alone = translate({ google });
  assert.deepEqual(
    [alone.body.tools, alone.body.safetySettings, alone.warned],
    [google.tools, google.safetySettings, []],
  );
  const beside = translate({ google, tools: [look] });
  assert.deepEqual([beside.body.tools?.length, beside.warned], [1, ['tools']]);
  assert.ok(!JSON.stringify(beside.body.tools).includes('googleSearch'));
  assert.deepEqual(translate({}).body.safetySettings, undefined);
});

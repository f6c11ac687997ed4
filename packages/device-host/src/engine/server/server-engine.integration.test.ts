import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { EngineError, type EngineEvent, type EngineRequest, type LoadedModel } from '@lfo/device-core';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { serverEngine } from './server-engine.ts';

const never = new AbortController().signal;
const options = { contextTokens: 4096, slots: 2, gpu: 'none' } as const;
const weather = { name: 'get_weather', description: 'Weather', parameters: { type: 'object', properties: {} } };

async function server(t: TestContext): Promise<ScriptedUpstream> {
  const upstream = await ScriptedUpstream.start();
  t.after(() => upstream.close());
  return upstream;
}

function load(upstream: ScriptedUpstream, id = ''): Promise<LoadedModel> {
  const engine = serverEngine({ baseUrl: `${upstream.origin}/v1` });
  return engine.load({ id, path: '' }, options, () => {}, never);
}

function answer(model: LoadedModel, more: Partial<EngineRequest> = {}, signal = never): Promise<EngineEvent[]> {
  const request = { messages: [{ role: 'user', content: 'Hello' }], tools: [], stop: [], ...more } as const;
  return Array.fromAsync(model.run(request, signal, () => {}));
}

test('the first model of the server is served where none is named, with scores where it gives them', async (t) => {
  const upstream = await server(t);
  const model = await load(upstream);
  assert.deepEqual(model.info, { id: 'scripted', ctx: 4096, caps: ['tools', 'json_schema', 'scores'] });
  assert.equal(model.slots, 2);
  upstream.always(answerWith({ deltas: ['It', ' is.'], logprobs: [-0.5, -0.25] }));
  const events = await answer(model, { scores: { top: 2 }, stop: ['x'], maxTokens: 9 });
  assert.deepEqual(
    events.map(({ k }) => k),
    ['text', 'scores', 'text', 'scores', 'done'],
  );
  const sent = upstream.requests.at(-1)?.json;
  assert.deepEqual(sent, {
    model: 'scripted',
    messages: [{ role: 'user', content: 'Hello' }],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 9,
    stop: ['x'],
    logprobs: true,
    top_logprobs: 2,
  });
});

test('calls come one after the other, and the tools and calls of the conversation are handed on', async (t) => {
  const upstream = await server(t);
  const model = await load(upstream);
  upstream.always(
    answerWith({
      deltas: [],
      toolCalls: [
        { id: 'a', name: 'get_weather', argumentDeltas: ['{"city":', '"Paris"}'] },
        { id: 'b', name: 'get_weather', argumentDeltas: ['{}'] },
      ],
    }),
  );
  const events = await answer(model, {
    tools: [weather],
    toolChoice: { name: 'get_weather' },
    messages: [
      { role: 'developer', content: 'Be brief.' },
      { role: 'assistant', content: '', tool_calls: [{ id: 'z', name: 'get_weather', arguments: '{}' }] },
      { role: 'tool', content: 'sunny', tool_call_id: 'z' },
    ],
  });
  assert.deepEqual(
    events.slice(0, -1).map((event) => ('index' in event ? `${event.k}${event.index}` : event.k)),
    ['call0', 'args0', 'args0', 'call_end0', 'call1', 'args1', 'call_end1'],
  );
  const end = events.at(-1);
  assert.equal(end?.k === 'done' && end.finishReason, 'tool_calls');
  const sent = JSON.stringify(upstream.requests.at(-1)?.json);
  assert.match(sent, /"role":"system","content":"Be brief\."/);
  assert.match(sent, /"tool_calls":\[\{"id":"z","type":"function"/);
  assert.match(sent, /"tool_choice":\{"type":"function","function":\{"name":"get_weather"\}\}/);
});

test('a server that is away, is none, or lacks the model is told in a sentence, and tried again', async (t) => {
  const gone = serverEngine({ baseUrl: 'http://127.0.0.1:9/v1' });
  const upstream = await server(t);
  const isTold = (pattern: RegExp) => (error: unknown) =>
    error instanceof EngineError && error.code === 'no_model' && error.retryable && pattern.test(error.message);
  await assert.rejects(
    gone.load({ id: '', path: '' }, options, () => {}, never),
    isTold(/No server answers at/),
  );
  await assert.rejects(load(upstream, 'other'), isTold(/has no model other: it has scripted/));
  upstream.always((exchange) => exchange.json(404, {}));
  await assert.rejects(load(upstream), isTold(/is no OpenAI-compatible server \(GET \/models answered 404\)/));
});

test('what fails in the server fails here by its kind', async (t) => {
  const upstream = await server(t);
  const model = await load(upstream);
  const fails = async (status: number, body: object, code: string): Promise<void> => {
    upstream.always((exchange) => exchange.json(status, body));
    await assert.rejects(answer(model), (error: unknown) => error instanceof EngineError && error.code === code);
  };
  await fails(400, { error: { message: 'the request exceeds the available context size' } }, 'too_long');
  await fails(422, { error: { message: 'no' } }, 'bad_request');
  await fails(503, {}, 'busy');
  await fails(500, {}, 'engine');
  upstream.always((exchange) => {
    exchange.head(200, { 'content-type': 'text/event-stream' });
    exchange.finish('data: {"choices":[{"index":0,"delta":{"content":"Hal"}}]}\n\n');
  });
  await assert.rejects(answer(model), /broke off/);
});

test('an abort ends the run with its reason and the connection with it', async (t) => {
  const upstream = await server(t);
  const model = await load(upstream);
  upstream.always(answerWith({ deltas: Array.from({ length: 500 }, () => 'x'), paceMs: 20 }));
  const abort = new AbortController();
  const reason = new Error('client gone');
  const run = model.run({ messages: [{ role: 'user', content: 'x' }], tools: [], stop: [] }, abort.signal, () => {});
  const iterator = run[Symbol.asyncIterator]();
  await iterator.next();
  abort.abort(reason);
  await assert.rejects(async () => {
    while ((await iterator.next()).done !== true);
  }, reason);
});

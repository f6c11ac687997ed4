import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { assertGrammar, textOfEvents, toolCallsOf } from '@lfo/testing/event-grammar.ts';
import { FakeGemini } from '@lfo/testing/fake-gemini.ts';
import { geminiSubject } from '@lfo/testing/gemini/gemini-subject.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import type { Message, ToolCall, ToolSpec } from '../../../core/request.ts';
import { BoundedSignatureStore } from './signature-store.ts';

const tools: readonly ToolSpec[] = [
  {
    name: 'get weather',
    description: 'Weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
  { name: 'noop' },
];

const cities = ['Paris and London', 'Rome and Oslo', 'Bern and Wien', 'Lima and Quito', 'Cairo and Tunis'];

/** What a client keeps of a turn's calls. */
type Client = (call: ToolCall) => ToolCall;

const faithful: Client = (call) => call;
const forgetful: Client = ({ id, name, arguments: args }) => ({ id, name, arguments: args });
/** Also rewrites ids, as agents do that want their own. */
const rewriting: Client = ({ id, name, arguments: args }) => ({
  id: `call_${id.slice(0, 5)}`,
  name,
  arguments: spaced(args),
});

function spaced(json: string): string {
  return JSON.stringify(JSON.parse(json), undefined, 2);
}

for (const model of ['gemini-2.5-flash', 'gemini-3-pro-preview', 'gemini-2.0-flash']) {
  for (const [name, client] of Object.entries({ faithful, forgetful, rewriting })) {
    for (const stream of [true, false]) {
      test(`five turns of parallel tools on ${model} with a ${name} client (stream: ${stream})`, async (t) => {
        const { fake, sentinels } = await runLoop(t, { model, client, stream, localTurns: [] });
        assert.deepEqual(fake.complaints, []);
        assert.equal(sentinels, 0);
        assert.equal(fake.requests.length, 10);
      });
    }
  }

  test(`five turns on ${model} of which the local model answered the first and the third`, async (t) => {
    const { fake, sentinels } = await runLoop(t, { model, client: forgetful, stream: true, localTurns: [0, 2] });
    assert.deepEqual(fake.complaints, []);
    assert.equal(sentinels, model.startsWith('gemini-3') ? 2 : 0);
  });
}

test('signatures survive a restart of the router', async (t) => {
  const saved: { key: string; value: string }[] = [];
  const journal = {
    load: () => Promise.resolve(saved),
    append: (entry: (typeof saved)[number]) => void saved.push(entry),
  };
  const fake = await fakeFor(t);
  const first = geminiSubject(
    t,
    fake.origin,
    { models: ['gemini-3-pro-preview'] },
    { signatures: new BoundedSignatureStore(undefined, journal) },
  );
  const asked: Message[] = [{ role: 'user', content: [{ type: 'text', text: 'The weather in Paris?' }] }];
  const events = await first.infer({ messages: asked, tools });
  const restored = new BoundedSignatureStore(undefined, journal);
  await restored.restore();
  const second = geminiSubject(t, fake.origin, { models: ['gemini-3-pro-preview'] }, { signatures: restored });
  await second.infer({ messages: [...asked, ...answered(events, forgetful)], tools });
  assert.deepEqual(fake.complaints, []);
  assert.equal(second.sentinels(), 0);
});

test('a request right after a restart waits for the signatures, but not for a database that hangs', async (t) => {
  const fake = await fakeFor(t);
  const hanging = { load: () => new Promise<never>(() => undefined), append: () => undefined };
  const signatures = new BoundedSignatureStore(undefined, hanging);
  void signatures.restore();
  const { infer, clock } = geminiSubject(t, fake.origin, {}, { signatures });
  const asked = infer({});
  await clock.advanceAsync(1_999);
  assert.equal(fake.requests.length, 0);
  await clock.advanceAsync(1);
  assertGrammar(await asked);
  assert.equal(fake.requests.length, 1);
});

test('a signature of another client key is not used', async (t) => {
  const fake = await fakeFor(t);
  const { infer, sentinels } = geminiSubject(t, fake.origin, { models: ['gemini-3-pro-preview'] });
  const asked: Message[] = [{ role: 'user', content: [{ type: 'text', text: 'The weather in Paris?' }] }];
  const events = await infer({ messages: asked, tools, hints: { mode: 'cloud', clientKey: 'alice' } });
  await infer({
    messages: [...asked, ...answered(events, forgetful)],
    tools,
    hints: { mode: 'cloud', clientKey: 'bob' },
  });
  assert.equal(sentinels(), 1);
});

test('a signature Gemini does not accept is replaced by the sentinel, once', async (t) => {
  const fake = await fakeFor(t);
  const { infer, sentinels } = geminiSubject(t, fake.origin, { models: ['gemini-3-pro-preview'] });
  const asked: Message[] = [{ role: 'user', content: [{ type: 'text', text: 'The weather in Paris?' }] }];
  const events = await infer({ messages: asked, tools });
  const forged = answered(events, (call) => ({ ...call, thoughtSignature: 'Zm9yZ2Vk' }));
  assertGrammar(await infer({ messages: [...asked, ...forged], tools }));
  assert.deepEqual(fake.complaints, ['Thought signature is not valid.']);
  assert.equal(sentinels(), 1);
});

test('a refused signature is remembered: the requests that follow carry it no more, and cost one call each', async (t) => {
  for (const keyed of [true, false]) {
    for (const stream of [true, false]) {
      const fake = await fakeFor(t);
      const { infer, sentinels } = geminiSubject(t, fake.origin, { models: ['gemini-3-pro-preview'] });
      const asked: Message[] = [{ role: 'user', content: [{ type: 'text', text: 'The weather in Paris?' }] }];
      const events = await infer({ messages: asked, tools, hints: { mode: 'cloud', clientKey: 'alice' } });
      const forged = answered(events, (call) => ({ ...call, thoughtSignature: 'Zm9yZ2Vk' }));
      // Another key finds nothing kept in its place.
      const hints = { mode: 'cloud', clientKey: keyed ? 'alice' : 'bob' } as const;
      const request = { messages: [...asked, ...forged], tools, hints, stream };
      assertGrammar(await infer(request));
      assert.equal(fake.requests.length, 3);
      for (let more = 1; more <= 3; more++) {
        assertGrammar(await infer(request));
        assert.equal(fake.requests.length, 3 + more);
      }
      assert.deepEqual(fake.complaints, ['Thought signature is not valid.']);
      assert.equal(sentinels(), keyed ? 1 : 4);
    }
  }
});

interface Loop {
  readonly model: string;
  readonly client: Client;
  readonly stream: boolean;
  /** Turns whose calls were not made by Gemini. */
  readonly localTurns: readonly number[];
}

async function runLoop(t: TestContext, loop: Loop): Promise<{ fake: FakeGemini; sentinels: number }> {
  const fake = await fakeFor(t);
  const { infer, sentinels } = geminiSubject(t, fake.origin, { models: [loop.model] });
  const messages: Message[] = [{ role: 'system', content: [{ type: 'text', text: 'Be brief.' }] }];
  for (const [turn, pair] of cities.entries()) {
    messages.push({ role: 'user', content: [{ type: 'text', text: `What is the weather in ${pair}?` }] });
    if (loop.localTurns.includes(turn)) messages.push(...localCalls(turn, pair));
    else {
      const events = await infer({ messages: [...messages], tools: [...tools], stream: loop.stream });
      assert.equal(assertGrammar(events).reason, 'tool_calls');
      const asked = toolCallsOf(events).map(({ json }): unknown => JSON.parse(json));
      assert.deepEqual(
        asked,
        pair.split(' and ').map((city) => ({ city })),
      );
      messages.push(...answered(events, loop.client));
    }
    const events = await infer({ messages: [...messages], tools: [...tools], stream: loop.stream });
    assert.equal(assertGrammar(events).reason, 'stop');
    assert.match(textOfEvents(events), /sunny/);
    messages.push({ role: 'assistant', content: [{ type: 'text', text: textOfEvents(events) }], toolCalls: [] });
  }
  return { fake, sentinels: sentinels() };
}

async function fakeFor(t: TestContext): Promise<FakeGemini> {
  const fake = await FakeGemini.start();
  t.after(() => fake.close());
  return fake;
}

/** The assistant's turn as the client sends it back, and its results in the wrong order. */
function answered(events: readonly InferenceEvent[], client: Client): Message[] {
  const starts = events.filter((event) => event.type === 'tool-call-start');
  const toolCalls = toolCallsOf(events).map(({ id, name, json }, index) => {
    const signature = starts[index]?.thoughtSignature;
    return client({ id, name, arguments: json, ...(signature === undefined ? {} : { thoughtSignature: signature }) });
  });
  return [{ role: 'assistant', content: [], toolCalls }, ...results(toolCalls).toReversed()];
}

/** Small models number their calls anew in each turn. */
function localCalls(turn: number, pair: string): Message[] {
  const toolCalls = pair
    .split(' and ')
    .map((city, index) => ({ id: `call_${index}`, name: 'get weather', arguments: JSON.stringify({ city, turn }) }));
  return [{ role: 'assistant', content: [{ type: 'text', text: 'Looking.' }], toolCalls }, ...results(toolCalls)];
}

function results(toolCalls: readonly ToolCall[]): Message[] {
  return toolCalls.map((call) => ({
    role: 'tool',
    toolCallId: call.id,
    content: [{ type: 'text', text: `sunny: ${call.arguments}` }],
  }));
}

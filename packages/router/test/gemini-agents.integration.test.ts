import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { FakeGemini } from '@lfo/testing/fake-gemini.ts';
import { startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import OpenAI from 'openai';
import type {
  ChatCompletion,
  ChatCompletionFunctionTool,
  ChatCompletionMessage,
  ChatCompletionMessageParam,
} from 'openai/resources/chat/completions';

const tools: ChatCompletionFunctionTool[] = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'Weather of a city',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    },
  },
  { type: 'function', function: { name: 'noop' } },
];

const turns = [
  ['Paris', 'London'],
  ['Rome', 'Oslo'],
  ['Bern', 'Wien'],
  ['Lima', 'Quito'],
  ['Cairo', 'Tunis'],
] as const;

/** What an agent keeps of an assistant's turn. */
type Memory = (message: ChatCompletionMessage) => ChatCompletionMessageParam;

const keepsAll: Memory = (message) => message;
/** Drops every field the OpenAI API does not document. */
const keepsKnown: Memory = ({ content, tool_calls: calls }) => ({
  role: 'assistant',
  content,
  ...(calls === undefined ? {} : { tool_calls: calls.flatMap(knownCall) }),
});

function knownCall(call: NonNullable<ChatCompletionMessage['tool_calls']>[number]) {
  if (call.type !== 'function') return [];
  const { id, type, function: called } = call;
  return [{ id, type, function: { name: called.name, arguments: called.arguments } }];
}

for (const model of ['gemini-2.5-flash', 'gemini-3-pro-preview']) {
  for (const [what, memory] of Object.entries({ 'keeps every field': keepsAll, 'drops unknown fields': keepsKnown })) {
    for (const stream of [false, true]) {
      test(`an agent that ${what} runs five turns of parallel tools on ${model} (stream: ${stream})`, async (t) => {
        const { fake, unsigned } = await runAgent(t, { model, memory, stream, local: [] });
        assert.deepEqual(fake.complaints, []);
        assert.equal(fake.requests.length, 10);
        assert.equal(unsigned, 0);
      });
    }

    test(`an agent that ${what} mixes a local model into its turns on ${model}`, async (t) => {
      const { fake, local, unsigned } = await runAgent(t, { model, memory, stream: true, local: [0, 2] });
      assert.deepEqual(fake.complaints, []);
      assert.equal(fake.requests.length, 8);
      assert.equal(local.requests.filter(({ method }) => method === 'POST').length, 2);
      assert.equal(unsigned, model.startsWith('gemini-3') ? 2 : 0);
    });

    test(`an agent that ${what} does not notice restarts of the router on ${model}`, async (t) => {
      const { fake, unsigned } = await runAgent(t, { model, memory, stream: true, local: [], restarts: true });
      assert.deepEqual(fake.complaints, []);
      assert.equal(fake.requests.length, 10);
      assert.equal(unsigned, 0);
    });
  }
}

interface Agent {
  readonly model: string;
  readonly memory: Memory;
  readonly stream: boolean;
  /** Turns whose tools are chosen by the local model; Gemini then reads the results. */
  readonly local: readonly number[];
  /** Whether the router is started anew between a call and its result. */
  readonly restarts?: boolean;
}

interface Outcome {
  readonly fake: FakeGemini;
  readonly local: ScriptedUpstream;
  /** How often the log says that a call went without its signature. */
  readonly unsigned: number;
}

async function runAgent(t: TestContext, agent: Agent): Promise<Outcome> {
  const { fake, local, start } = await bothTiers(t, agent.model);
  const routers = [await start()];
  const messages: ChatCompletionMessageParam[] = [{ role: 'developer', content: 'Be brief.' }];
  for (const [turn, cities] of turns.entries()) {
    messages.push({ role: 'user', content: `What is the weather in ${cities.join(' and ')}?` });
    const isLocal = agent.local.includes(turn);
    local.always(localCalls(cities));
    const asked = await ask(routers.at(-1), agent, messages, isLocal ? 'lfo-local' : agent.model);
    assert.equal(at(asked, 'lfo_metadata', 'route'), isLocal ? 'local' : 'cloud');
    const [choice] = asked.choices;
    assert.equal(choice?.finish_reason, 'tool_calls');
    const calls = (choice.message.tool_calls ?? []).flatMap(knownCall);
    assert.deepEqual(
      calls.map(({ function: called }): unknown => JSON.parse(called.arguments)),
      cities.map((city) => ({ city })),
    );
    // Tools end when they end: results come in any order.
    messages.push(agent.memory(choice.message));
    for (const { id } of calls.toReversed()) messages.push({ role: 'tool', tool_call_id: id, content: `Sunny: ${id}` });
    if (agent.restarts === true) {
      await routers.at(-1)?.app.close();
      routers.push(await start());
    }
    const summed = await ask(routers.at(-1), agent, messages, agent.model);
    const said = summed.choices[0]?.message;
    assert.ok(said);
    for (const { id } of calls) assert.match(said.content ?? '', new RegExp(`Sunny: ${id}`));
    messages.push(agent.memory(said));
  }
  const unsigned = routers.map((router) => router.log().split('without its signature').length - 1);
  return { fake, local, unsigned: unsigned.reduce((sum, count) => sum + count, 0) };
}

async function ask(
  router: TestRouter | undefined,
  { stream }: Agent,
  messages: readonly ChatCompletionMessageParam[],
  model: string,
): Promise<ChatCompletion> {
  const client = new OpenAI({ apiKey: 'unused', baseURL: `${router?.app.url}/v1`, maxRetries: 0 });
  const body = { model, messages: [...messages], tools };
  if (!stream) return await client.chat.completions.create(body);
  const running = client.chat.completions.stream({ ...body, stream_options: { include_usage: true } });
  let metadata: unknown;
  running.on('chunk', (chunk) => (metadata = at(chunk, 'lfo_metadata') ?? metadata));
  const whole = await running.finalChatCompletion();
  return Object.assign(whole, { lfo_metadata: metadata });
}

/** Small models number their calls anew in each turn. */
function localCalls(cities: readonly string[]) {
  const toolCalls = cities.map((city, index) => ({
    id: `call_${index}`,
    name: 'get_weather',
    argumentDeltas: ['{"city":', `"${city}"}`],
  }));
  return answerWith({ deltas: [], toolCalls });
}

async function bothTiers(t: TestContext, model: string) {
  const fake = await FakeGemini.start();
  const local = await ScriptedUpstream.start();
  const data = mkdtempSync(join(tmpdir(), 'lfo-agent-'));
  t.after(async () => {
    await Promise.all([fake.close(), local.close()]);
    rmSync(data, { recursive: true, force: true });
  });
  const yaml = `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small] }
`;
  const env = {
    GEMINI_API_KEY: 'fake-key',
    GEMINI_BASE_URL: fake.origin,
    GEMINI_MODEL: model,
    LFO_DATA_DIR: join(data, 'lfo'),
  };
  return { fake, local, start: () => startRouter(t, { yaml, env }) };
}

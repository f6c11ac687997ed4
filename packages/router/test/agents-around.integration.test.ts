import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { startTiers, type Tiers } from '@lfo/testing/both-tiers.ts';
import type { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import type { Script } from '@lfo/testing/upstream/exchange.ts';
import { answerWith, type OpenaiAnswer } from '@lfo/testing/upstream/openai-answer.ts';
import type { Talk } from './wires/talk.ts';
import { wires } from './wires/wires.ts';

// What agents need around their wires: broken calls are healed, side requests wait, the head of a prompt stays as it was.

const bothTiers = (t: TestContext, settings = ''): Promise<Tiers> =>
  startTiers(t, {
    local: answerWith({ deltas: ['Near.'] }),
    cloud: answerWith({ deltas: ['Far.'] }),
    near: 'models: [qwen3-coder]',
    far: 'models: [large], api_key: sk-far',
    settings,
  });

const chatsOf = ({ requests }: ScriptedUpstream): readonly unknown[] =>
  requests.filter(({ method }) => method === 'POST').map(({ json }) => json);

const weather = {
  name: 'weather',
  description: 'The weather.',
  schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const asks: Talk = { turns: [{ user: 'Weather in Bern?' }], tools: [weather], maxTokens: 200 };
const bern = { name: 'weather', input: { city: 'Bern' } };

/** A call that is right, by a model that is sure of each token. */
const rightCall: OpenaiAnswer = {
  deltas: [],
  toolCalls: [{ id: 'call_1', name: 'weather', argumentDeltas: ['{"city":', '"Bern"}'] }],
};

describe('calls are healed', () => {
  for (const wire of wires) {
    test(`text that is a call becomes one on ${wire.name}`, async (t) => {
      const { router, local } = await bothTiers(t);
      local.always(
        answerWith({ deltas: ['<tool_', 'call>{"name":"weather","arguments":{"city":', '"Bern"}}</tool_call>'] }),
      );
      for (const isStream of [false, true]) {
        const body = wire.body(asks, 'lfo-local', isStream);
        const { text } = await router.request('POST', wire.path('lfo-local', isStream), body);
        const understood = isStream ? wire.stream(text) : wire.whole(text);
        assert.deepEqual([understood.text, understood.calls, understood.stop], ['', [bern], 'calls']);
      }
    });
  }

  const chat = wires[0];
  assert.ok(chat !== undefined);
  const body = chat.body(asks, 'lfo-auto', false);

  const broken: Readonly<Record<string, OpenaiAnswer>> = {
    'that cannot be read': {
      deltas: [],
      toolCalls: [{ id: 'call_1', name: 'weather', argumentDeltas: ['{"city": nonsense here: }}'] }],
    },
    'of a tool that was not offered': {
      deltas: [],
      toolCalls: [{ id: 'call_1', name: 'wether', argumentDeltas: ['{"city":"Bern"}'] }],
    },
    'that does not fit its declaration': {
      deltas: [],
      toolCalls: [{ id: 'call_1', name: 'weather', argumentDeltas: ['{"town":"Bern"}'] }],
    },
  };
  for (const [name, answer] of Object.entries(broken)) {
    test(`a call ${name} is asked for once more where the model is held to one, before the cloud is`, async (t) => {
      const { router, local, cloud } = await bothTiers(t, 'routing: { confidence_threshold: 0 }');
      local.always((exchange) => {
        const isForced = at(exchange.request.json, 'tool_choice') === 'required';
        return answerWith(isForced ? rightCall : answer)(exchange);
      });
      const { json, headers } = await router.chat(body);
      assert.equal(headers['x-lfo-route'], 'local', JSON.stringify(json));
      assert.deepEqual(chat.whole(json).calls, [bern]);
      const [first, second, ...more] = chatsOf(local);
      assert.equal(more.length, 0);
      assert.deepEqual(at(second, 'messages'), at(first, 'messages'));
      assert.deepEqual([at(first, 'tool_choice'), at(second, 'tool_choice')], [undefined, 'required']);
      assert.equal(chatsOf(cloud).length, 0);
      assert.equal(at(json, 'lfo_metadata', 'attempts', 1, 'call_forced'), true);
    });
  }

  test('a model that cannot write the call even so is given up for the cloud', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    local.always(answerWith(broken['that cannot be read'] ?? { deltas: [] }));
    const { headers } = await router.chat(body);
    assert.equal(headers['x-lfo-route'], 'cloud');
    assert.deepEqual([chatsOf(local).length, chatsOf(cloud).length], [2, 1]);
  });

  test('JSON that a server left open is closed', async (t) => {
    const { router, local } = await bothTiers(t);
    local.always(
      answerWith({ deltas: [], toolCalls: [{ id: 'call_1', name: 'weather', argumentDeltas: ['{"city":"Bern"'] }] }),
    );
    const { json } = await router.chat({ ...body, model: 'lfo-local' });
    assert.deepEqual(chat.whole(json).calls, [bern]);
    assert.deepEqual(at(json, 'lfo_metadata', 'repaired_tool_calls'), [0]);
  });

  test('a history with broken and unanswered calls is mended, and said so', async (t) => {
    const { router, local } = await bothTiers(t);
    const call = (id: string, args: string) => ({
      id,
      type: 'function',
      function: { name: 'weather', arguments: args },
    });
    const { status, headers, text } = await router.chat({
      model: 'lfo-local',
      tools: body['tools'],
      messages: [
        { role: 'user', content: 'Go' },
        { role: 'assistant', content: null, tool_calls: [call('a', "{'city': 'Bern'"), call('b', '{"city":"Basel"}')] },
        { role: 'tool', tool_call_id: 'a', content: 'sunny' },
        { role: 'user', content: 'Never mind' },
      ],
    });
    assert.equal(status, 200, text);
    assert.match(String(headers['x-lfo-warning']), /tool_calls.*arguments|arguments.*tool_calls/);
    const [sent] = chatsOf(local);
    const messages = at(sent, 'messages');
    assert.ok(Array.isArray(messages));
    assert.deepEqual(
      messages.map((message: unknown) => [at(message, 'role'), at(message, 'tool_call_id') ?? null]),
      [
        ['user', null],
        ['assistant', null],
        ['tool', 'a'],
        ['tool', 'b'],
        ['user', null],
      ],
    );
    assert.equal(at(messages, 1, 'tool_calls', 0, 'function', 'arguments'), '{"city":"Bern"}');
  });
});

describe('two lanes', () => {
  test(
    'a title asked for beside a running task waits for it, and nobody waits for the title',
    { timeout: 20_000 },
    async (t) => {
      const { router, local } = await bothTiers(t);
      const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>();
      const order: string[] = [];
      const script: Script = async (exchange) => {
        const said = String(at(exchange.request.json, 'messages', 0, 'content'));
        order.push(said);
        if (said === 'The task') await mayEnd;
        await answerWith({ deltas: ['Done.'] })(exchange);
      };
      local.always((exchange) =>
        exchange.request.method === 'GET' ? exchange.json(200, { data: [] }) : script(exchange),
      );
      const ask = (content: string, session: string, more: object = {}) =>
        router.chat(
          { model: 'lfo-local', messages: [{ role: 'user', content }], ...more },
          { 'x-session-affinity': session },
        );
      const known = chatsOf(local).length;
      const task = ask('The task', 'one', { tools: [{ type: 'function', function: { name: 'run' } }] });
      while (chatsOf(local).length === known) await new Promise((resolve) => setImmediate(resolve));
      const title = ask('A title', 'one');
      assert.equal((await ask('A person', 'two')).status, 200);
      assert.deepEqual(order, ['The task', 'A person']);
      end();
      assert.deepEqual([(await task).status, (await title).status], [200, 200]);
      assert.deepEqual(order, ['The task', 'A person', 'A title']);
    },
  );

  test('flex is the lane of what may wait', async (t) => {
    const { router } = await bothTiers(t);
    const answer = await router.request('POST', '/v1/responses', {
      model: 'lfo-local',
      input: 'Hi',
      service_tier: 'flex',
    });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['x-lfo-warning'], undefined);
  });
});

describe('the head of a prompt', () => {
  const line = 'x-anthropic-billing-header: cc_version=2.1; cch=';
  const long = 'You are a careful engineer. '.repeat(300);
  const turn = (stamp: string, words: string): object => ({
    model: 'lfo-local',
    prompt_cache_key: 'session',
    messages: [
      { role: 'system', content: `${line}${stamp};\n${long}` },
      { role: 'user', content: words },
    ],
  });

  test('is the same with each turn, and the record says how much of it was', async (t) => {
    const { router, local } = await bothTiers(t);
    await router.chat({ ...turn('11111', 'Hello') });
    const { json, headers } = await router.chat({ ...turn('22222', 'Hello again') });
    const [first, second] = chatsOf(local);
    assert.deepEqual(at(second, 'messages', 0), at(first, 'messages', 0));
    const shared = at(json, 'lfo_metadata', 'prefix_reuse');
    assert.ok(typeof shared === 'number' && shared > 0.95, String(shared));
    await t.waitFor(async () => {
      const shown = await router.request('GET', `/dashboard/api/requests/${String(headers['x-request-id'])}`);
      assert.equal(at(shown.json, 'features', 'prefix_reuse'), shared);
    });
    assert.doesNotMatch(router.log(), /begins anew/);
  });

  test('is left alone where the operator wants that, and the log tells where the turns part', async (t) => {
    const { router, local } = await bothTiers(t, 'routing: { canonical_head: false }');
    await router.chat({ ...turn('11111', 'Hello') });
    const { json } = await router.chat({ ...turn('22222', 'Hello again') });
    assert.match(String(at(chatsOf(local)[1], 'messages', 0, 'content')), /cch=22222/);
    assert.ok(Number(at(json, 'lfo_metadata', 'prefix_reuse')) < 0.05);
    const warned = router
      .log()
      .split('\n')
      .find((text) => text.includes('begins anew'));
    assert.match(warned ?? '', /messages\[0\] \(system\)/);
    assert.doesNotMatch(warned ?? '', /careful|cch/);
  });
});

test('thoughts of this task go back to a model that wants them, and those before it do not', async (t) => {
  const { router, local } = await bothTiers(t);
  const call = (id: string) => ({ id, name: 'weather', input: { city: 'Bern' } });
  const talk: Talk = {
    turns: [
      { user: 'One' },
      { assistant: '', thought: 'An old thought.', calls: [call('c1')] },
      { result: 'sunny', of: call('c1') },
      { assistant: 'Sunny.' },
      { user: 'Two' },
      { assistant: '', thought: 'A new thought.', calls: [call('c2')] },
      { result: 'rain', of: call('c2') },
    ],
    tools: [weather],
    maxTokens: 50,
  };
  for (const wire of wires) {
    await router.request('POST', wire.path('lfo-local', false), wire.body(talk, 'lfo-local', false));
    const messages = at(chatsOf(local).at(-1), 'messages');
    assert.ok(Array.isArray(messages));
    assert.deepEqual(
      messages.flatMap((message: unknown) => at(message, 'reasoning_content') ?? []),
      ['A new thought.'],
      wire.name,
    );
  }
});

test('a body of the Responses API on the chat route is answered as a chat, whole and in chunks', async (t) => {
  const { router, local } = await bothTiers(t);
  local.always(answerWith(rightCall));
  const chat = wires[0];
  assert.ok(chat !== undefined);
  const body = {
    model: 'lfo-local',
    instructions: 'Be brief.',
    input: [{ role: 'user', content: [{ type: 'input_text', text: 'Weather?' }] }],
    tools: [{ type: 'function', name: 'weather', parameters: weather.schema, strict: null }],
  };
  const whole = await router.chat(body);
  assert.deepEqual(chat.whole(whole.json).calls, [bern]);
  const streamed = await router.chat({ ...body, stream: true, stream_options: { include_usage: true } });
  const { calls, inputTokens } = chat.stream(streamed.text);
  assert.deepEqual([calls, inputTokens], [[bern], 12]);
  const flat = await router.chat({ ...body, input: undefined, messages: [{ role: 'user', content: 'Weather?' }] });
  assert.equal(flat.status, 200, flat.text);
  assert.equal(at(chatsOf(local).at(-1), 'tools', 0, 'function', 'name'), 'weather');
});

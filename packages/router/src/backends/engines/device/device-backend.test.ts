import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allTextTokens } from '@lfo/protocol';
import { collectEvents, oneByOne } from '@lfo/testing/collect.ts';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import { ScriptedDevice, scriptedHello, scriptedModel, scriptedState } from '@lfo/testing/scripted-device.ts';
import type { CallContext } from '../../../core/backend.ts';
import { BackendError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import type { ChatRequest } from '../../../core/request.ts';
import { DeviceBackend, type DeviceBackendOptions } from './device-backend.ts';
import { maxHeldChars } from './device-call.ts';
import { countMs, helloMs } from './device-link.ts';
import { PrefixBook } from './prefix-book.ts';
import { workMs as silenceMs } from './router-session.ts';

const request: ChatRequest = {
  id: 'r',
  model: 'lfo-auto',
  messages: [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'Hi ' },
        { type: 'text', text: 'there' },
      ],
    },
  ],
  tools: [],
  sampling: { stop: [], logprobs: false },
  stream: true,
  hints: { mode: 'auto' },
  bodyBytes: 100,
};

function connect(options: Partial<DeviceBackendOptions> = {}) {
  const clock = new FakeClock();
  const backend = new DeviceBackend({
    id: 'phone',
    clock,
    expected: {
      models: ['expected'],
      capabilities: { tools: true, jsonSchema: false, images: false, audio: false, logprobs: false },
    },
    ...options,
  });
  const device = new ScriptedDevice(clock);
  const abort = new AbortController();
  const warnings: string[] = [];
  let keptAlive = 0;
  const call: CallContext = {
    signal: abort.signal,
    clock,
    model: 'tiny',
    wantScores: false,
    warn: (param) => warnings.push(param),
    keepAlive: () => keptAlive++,
  };
  return { clock, backend, device, abort, warnings, call, keptAlive: () => keptAlive };
}

async function ready(options: Partial<DeviceBackendOptions> = {}) {
  const all = connectWith(options);
  all.backend.attach(all.device.channel);
  await all.device.start();
  return all;
}

function connectWith(options: Partial<DeviceBackendOptions>) {
  const all = connect(options);
  const events: InferenceEvent[] = [];
  /** Reads an answer into `events`; resolves with what it threw. */
  const read = (changes: Partial<ChatRequest> = {}, context: Partial<CallContext> = {}): Promise<unknown> =>
    (async () => {
      for await (const event of oneByOne(all.backend.infer({ ...request, ...changes }, { ...all.call, ...context })))
        events.push(event);
      return undefined;
    })().catch((error: unknown) => error);
  return { ...all, events, read };
}

function faultOf(error: unknown): string | undefined {
  return error instanceof BackendError ? error.fault : undefined;
}

test('a device is loading until it reports, and then shows its model and what it can do', async () => {
  const { backend, device } = connect();
  assert.equal(backend.status().state, 'down');
  assert.deepEqual(backend.models, ['expected']);
  backend.attach(device.channel);
  assert.equal(backend.status().state, 'loading');
  await device.start();
  device.state({ models: [scriptedState({ active: 1, queued: 2, tps: { prefill: 100, decode: 9.5 } })] });
  await settle();
  assert.deepEqual(backend.status(), {
    state: 'ready',
    active: 1,
    queued: 2,
    slots: 2,
    prefillRate: 100,
    decodeRate: 9.5,
  });
  assert.deepEqual(backend.models, ['tiny']);
  assert.deepEqual(backend.capabilities, {
    contextTokens: 2048,
    tools: true,
    jsonSchema: true,
    logprobs: true,
    images: false,
    audio: false,
  });
  assert.deepEqual(
    device.of('welcome').map(({ v }) => v),
    [1],
  );
});

test('a download and a failed load show in the status', async () => {
  const { backend, device } = await ready();
  device.state({ accepting: false, code: 'loading', models: [] });
  device.send({ t: 'progress', phase: 'download', done: 25, total: 100, what: 'tiny' });
  await settle();
  assert.deepEqual(
    [backend.status().state, backend.status().progress, backend.status().detail],
    ['loading', 0.25, 'Downloading tiny: 25 %.'],
  );
  device.state({ accepting: false, code: 'no_model', models: [], why: 'The file is missing.' });
  await settle();
  assert.deepEqual([backend.status().state, backend.status().detail], ['down', 'The file is missing.']);
});

test('an old state does not undo a newer one', async () => {
  const { backend, device } = await ready();
  device.send({ t: 'state', seq: 9, accepting: true, models: [scriptedState({ active: 2 })] });
  device.send({ t: 'state', seq: 8, accepting: true, models: [scriptedState({ active: 1 })] });
  await settle();
  assert.equal(backend.status().active, 2);
});

test('a device of another version, or one that never introduces itself, is sent away', async () => {
  const other = connect();
  other.backend.attach(other.device.channel);
  other.device.send({ ...scriptedHello, v: [2, 3] });
  await settle();
  assert.deepEqual(
    other.device.of('bye').map(({ code }) => code),
    ['unsupported_version'],
  );
  const mute = connect();
  mute.backend.attach(mute.device.channel);
  await mute.clock.advanceAsync(helloMs);
  assert.equal(mute.device.closed, 'carrier_closed');
  assert.equal(mute.clock.pendingTimers, 0);
});

test('a streamed answer becomes events in the grammar of backends', async () => {
  const { backend, device, read, events, clock } = await ready();
  const over = read();
  await settle();
  device.delta(0, { k: 'reasoning', text: 'hm' }, { k: 'text', text: 'Hello' });
  device.delta(0, {
    k: 'scores',
    of: 'text',
    taken: 'tempered',
    scores: [{ token: 'Hello', lp: -0.5, top: [{ token: 'Hi', lp: -1 }] }],
  });
  device.delta(
    0,
    { k: 'call', index: 0, id: 'c1', name: 'f' },
    { k: 'args', index: 0, json: '{}' },
    { k: 'call_end', index: 0, repaired: true },
  );
  device.done(0, {
    finish_reason: 'tool_calls',
    self_report: { confidence: 0.4, handoff: true },
    usage: { prompt_tokens: 3, completion_tokens: 5, cached_tokens: 1 },
  });
  assert.equal(await over, undefined);
  assert.deepEqual(events, [
    { type: 'start', model: 'tiny' },
    { type: 'reasoning-delta', text: 'hm' },
    { type: 'text-delta', text: 'Hello' },
    {
      type: 'token-scores',
      about: 'text',
      scores: [{ token: 'Hello', logprob: -0.5, taken: 'tempered', top: [{ token: 'Hi', logprob: -1 }] }],
    },
    { type: 'tool-call-start', index: 0, id: 'c1', name: 'f' },
    { type: 'tool-call-delta', index: 0, json: '{}' },
    { type: 'tool-call-end', index: 0, repaired: true },
    { type: 'self-report', confidence: 0.4, handOff: true },
    { type: 'finish', reason: 'tool_calls', usage: { promptTokens: 3, completionTokens: 5, cachedTokens: 1 } },
  ]);
  assert.deepEqual(device.of('cancel'), []);
  await backend.close();
  assert.equal(clock.pendingTimers, 0);
});

test('the whole request goes over the wire; what a device cannot do is warned of', async () => {
  const { device, read, warnings, clock } = await ready();
  clock.advance(1000);
  const over = read(
    {
      messages: [
        { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] },
        ...request.messages,
        { role: 'assistant', content: [], toolCalls: [{ id: 'c1', name: 'f', arguments: '{"a": 1}' }] },
        { role: 'tool', toolCallId: 'c1', content: [{ type: 'text', text: '4' }] },
      ],
      tools: [{ name: 'f', description: 'd', parameters: { type: 'object' } }],
      toolChoice: { type: 'function', name: 'f' },
      responseFormat: { type: 'json_schema', name: 'n', schema: { type: 'object' } },
      parallelToolCalls: false,
      sampling: {
        stop: ['x'],
        logprobs: true,
        topLogprobs: 3,
        temperature: 0,
        topP: 1,
        maxTokens: 9,
        seed: 2,
        logitBias: { 1: 1 },
        frequencyPenalty: 1,
        presencePenalty: -1,
      },
      hints: { mode: 'auto', clientKey: 'k1' },
    },
    { deadlineMs: 6000 },
  );
  await settle();
  assert.deepEqual(device.of('complete'), [
    {
      t: 'complete',
      id: 0,
      model: 'tiny',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Hi there' },
        { role: 'assistant', content: '', tool_calls: [{ id: 'c1', name: 'f', arguments: '{"a": 1}' }] },
        { role: 'tool', content: '4', tool_call_id: 'c1' },
      ],
      tools: [{ name: 'f', description: 'd', parameters: { type: 'object' } }],
      tool_choice: { name: 'f' },
      response_format: { type: 'json_schema', schema: { type: 'object' } },
      max_tokens: 9,
      temperature: 0,
      top_p: 1,
      seed: 2,
      frequency_penalty: 1,
      presence_penalty: -1,
      stop: ['x'],
      lane: 'interactive',
      scores: { text: allTextTokens, calls: true, alternatives: 3 },
      deadline_ms: 5000,
      prefix_key: 'k1',
    },
  ]);
  assert.deepEqual(warnings.toSorted(), ['logit_bias', 'parallel_tool_calls']);
  device.done(0);
  await over;
});

test('the gate asks for the scores it reads, a client is given all', async () => {
  const { device, read } = await ready();
  const gate = { wantScores: true, scoredTokens: 16 };
  const over = [
    read({}, gate),
    read({}, { wantScores: true }),
    read({ sampling: { stop: [], logprobs: true } }, gate),
    read({}, { scoredTokens: 16 }),
  ];
  await settle();
  assert.deepEqual(
    device.of('complete').map(({ scores }) => scores),
    [
      { text: 16, calls: true, alternatives: 0 },
      { text: allTextTokens, calls: true, alternatives: 0 },
      { text: allTextTokens, calls: true, alternatives: 0 },
      undefined,
    ],
  );
  for (const { id } of device.of('complete')) device.done(id);
  await Promise.all(over);
});

test('an image is refused without asking the device', async () => {
  const { device, read } = await ready();
  const error = await read({
    messages: [{ role: 'user', content: [{ type: 'image', url: 'data:image/png;base64,AA==' }] }],
  });
  assert.equal(faultOf(error), 'rejected');
  assert.deepEqual(device.of('complete'), []);
});

test('a request larger than a frame is refused as too long, and the link lives on', async () => {
  const { device, read } = await ready();
  const text = 'x'.repeat(1_100_000);
  const error = await read({ messages: [{ role: 'user', content: [{ type: 'text', text }] }] });
  assert.ok(error instanceof BackendError && error.code === 'context_length_exceeded');
  const over = read();
  await settle();
  device.done(device.of('complete')[0]?.id ?? -1);
  assert.equal(await over, undefined);
});

test(
  'a request that a device cannot be sent again, back with a smaller frame, fails alone',
  { timeout: 10_000 },
  async () => {
    const { clock, backend, read } = connectWith({ graceMs: 10_000 });
    const connected = async (more: Partial<typeof scriptedHello> = {}): Promise<ScriptedDevice> => {
      const device = new ScriptedDevice(clock);
      backend.attach(device.channel);
      device.send({ ...scriptedHello, models: [scriptedModel], features: ['resume'], ...more });
      await settle();
      device.state({});
      await settle();
      return device;
    };
    const first = await connected();
    const text = 'x'.repeat(100_000);
    const large = read({ messages: [{ role: 'user', content: [{ type: 'text', text }] }] });
    const small = read();
    await settle();
    const id = first.of('welcome')[0]?.session ?? '';
    first.carrier.cut();
    await settle();
    const second = await connected({ session: { id, requests: [] }, max_frame: 65_536 });
    const error = await large;
    assert.ok(error instanceof BackendError && error.code === 'context_length_exceeded', String(error));
    const again = second.of('complete');
    assert.equal(again.length, 1);
    second.done(again[0]?.id ?? -1);
    assert.equal(await small, undefined);
  },
);

for (const [code, fault, status] of [
  ['busy', 'busy', 503],
  ['thermal', 'busy', 503],
  ['battery', 'busy', 503],
  ['no_model', 'busy', 503],
  ['too_long', 'rejected', 400],
  ['bad_request', 'rejected', 400],
  ['deadline', 'timeout', 504],
  ['cancelled', 'server', 502],
  ['engine', 'server', 502],
  ['internal', 'server', 502],
  ['unknown_type', 'bad_answer', 502],
] as const) {
  test(`a device's ${code} is ${fault}`, async () => {
    const { device, read } = await ready();
    const over = read();
    await settle();
    device.send({ t: 'error', id: 0, code, message: 'Because.', retryable: fault !== 'rejected' });
    const error = await over;
    assert.equal(faultOf(error), fault);
    assert.equal(error instanceof BackendError && error.status, status);
    assert.deepEqual(device.of('cancel'), [], 'the device knows already');
  });
}

test('a repeated delta is dropped, a missing one ends the answer and cancels it', async () => {
  const { device, read, events } = await ready();
  const over = read();
  await settle();
  for (const n of [0, 0, 2]) device.send({ t: 'delta', id: 0, n, parts: [{ k: 'text', text: `${n}` }] });
  assert.equal(faultOf(await over), 'bad_answer');
  await settle();
  assert.deepEqual(
    events.map(({ type }) => type),
    ['start', 'text-delta'],
  );
  assert.deepEqual(device.of('cancel'), [{ t: 'cancel', id: 0 }]);
});

test('a message about a request that does not fit the protocol ends that request alone', async () => {
  const { device, read, call, backend } = await ready();
  const broken = read();
  const sound = collectEvents(backend.infer(request, call));
  await settle();
  const frame = Buffer.from('\0\0\0\0{"t":"delta","id":0,"n":0,"parts":[{"k":"text"}]}');
  frame.writeUInt32BE(frame.length - 4);
  device.carrier.write(frame);
  assert.equal(faultOf(await broken), 'bad_answer');
  device.done(1);
  assert.equal((await sound).at(-1)?.type, 'finish');
});

test('an abort cancels on the device and throws its reason at once', async () => {
  const { backend, device, read, abort, clock } = await ready();
  const over = read();
  await settle();
  device.delta(0, { k: 'text', text: 'a' });
  await settle();
  const reason = new Error('left');
  abort.abort(reason);
  assert.equal(await over, reason);
  await settle();
  assert.deepEqual(device.of('cancel'), [{ t: 'cancel', id: 0 }]);
  await backend.close();
  assert.equal(clock.pendingTimers, 0);
});

test('leaving the iteration cancels on the device', async () => {
  const { device, backend, call } = await ready();
  const left = (async () => {
    for await (const event of oneByOne(backend.infer(request, call))) if (event.type === 'text-delta') break;
  })();
  await settle();
  device.delta(0, { k: 'text', text: 'a' });
  await left;
  await settle();
  assert.deepEqual(device.of('cancel'), [{ t: 'cancel', id: 0 }]);
});

test('a device that vanishes is connect before its first delta and cut after it', async () => {
  const { device, backend, call, read } = await ready();
  const before = read();
  const amid = (async () => {
    for await (const event of oneByOne(backend.infer(request, call)))
      if (event.type === 'text-delta') device.carrier.cut();
  })();
  await settle();
  device.delta(1, { k: 'text', text: 'a' });
  await assert.rejects(amid, (error) => faultOf(error) === 'cut');
  assert.equal(faultOf(await before), 'connect');
  assert.equal(backend.status().state, 'down');
  assert.equal(faultOf(await read()), 'connect');
});

test("a device that dies over a client's schema: the request's fault, tried nowhere else", async () => {
  const schema = { type: 'json_schema', name: 'n', schema: {} } as const;
  const tools = [{ name: 'f', parameters: { type: 'object' } }];
  for (const asked of [{ responseFormat: schema }, { tools, toolChoice: { type: 'required' } as const }]) {
    const { device, read } = await ready();
    const over = read(asked);
    await settle();
    device.send({ t: 'accepted', id: 0, position: 0 });
    await settle();
    device.carrier.cut();
    const error = await over;
    assert.ok(error instanceof BackendError);
    assert.deepEqual([error.code, error.status, error.retryable], ['schema_too_complex', 400, false]);
    assert.equal(error.countsAgainstBackend, false);
  }
});

test('a device that dies while a request with a schema waits in its queue is not said to have died of it', async () => {
  const { device, read } = await ready();
  const over = read({ responseFormat: { type: 'json_schema', name: 'n', schema: {} } });
  await settle();
  device.send({ t: 'accepted', id: 0, position: 1 });
  await settle();
  device.carrier.cut();
  assert.equal(faultOf(await over), 'connect');
});

test('what the model is not up to may be tried elsewhere and does not count against the device', async () => {
  const { device, read } = await ready();
  const over = read();
  await settle();
  device.send({ t: 'error', id: 0, code: 'bad_request', message: 'No JSON of that schema came.', retryable: true });
  const error = await over;
  assert.ok(error instanceof BackendError);
  assert.deepEqual([error.fault, error.retryable, error.countsAgainstBackend], ['unusable', true, false]);
});

test('progress keeps a silent request alive; without any it ends after 15 s', async () => {
  const { device, read, clock, keptAlive } = await ready();
  const over = read();
  await settle();
  device.send({ t: 'accepted', id: 0, position: 0 });
  await settle();
  for (let step = 0; step < 5; step++) {
    await clock.advanceAsync(silenceMs - 1);
    device.send({ t: 'progress', phase: 'load', done: step, total: 5 });
    await settle();
  }
  assert.ok(keptAlive() >= 5);
  await clock.advanceAsync(silenceMs);
  assert.equal(faultOf(await over), 'timeout');
  await settle();
  assert.deepEqual(device.of('cancel'), [{ t: 'cancel', id: 0 }]);
});

test('a reader that takes nothing loses its answer and no other', async () => {
  const { device, backend, call } = await ready();
  const slow = oneByOne(backend.infer(request, call));
  const first = slow.next();
  const other = collectEvents(backend.infer(request, call));
  await settle();
  for (let sent = 0; sent <= maxHeldChars; sent += 100_000) device.delta(0, { k: 'text', text: 'x'.repeat(100_000) });
  await first;
  for (let sent = 0; sent <= maxHeldChars; sent += 100_000) device.delta(0, { k: 'text', text: 'x'.repeat(100_000) });
  device.delta(1, { k: 'text', text: 'a' });
  device.done(1);
  assert.equal((await other).at(-1)?.type, 'finish');
  await settle();
  assert.deepEqual(device.of('cancel'), [{ t: 'cancel', id: 0 }]);
  await assert.rejects(Array.fromAsync(slow), (error) => faultOf(error) === 'unusable');
});

test('a device that has finished says so before its answer has been read', async () => {
  const { device, backend, call } = await ready();
  const finished: number[] = [];
  const slow = oneByOne(
    backend.infer(request, { ...call, finished: ({ completionTokens }) => finished.push(completionTokens) }),
  );
  const first = slow.next();
  await settle();
  device.delta(0, { k: 'text', text: 'a' });
  await first;
  device.delta(0, { k: 'text', text: 'b' });
  device.done(0);
  await settle();
  assert.equal(finished.length, 1);
  assert.equal((await Array.fromAsync(slow)).at(-1)?.type, 'finish');
});

test('tokens are counted by the device; an abort gives up, a refusal gives no number', async () => {
  const { device, backend } = await ready();
  const counted = backend.countTokens(request, new AbortController().signal);
  await settle();
  device.send({ t: 'counted', id: 0, tokens: 12, warm: 3 });
  assert.deepEqual(await counted, { tokens: 12, warmTokens: 3 });

  const abort = new AbortController();
  const aborted = backend.countTokens(request, abort.signal);
  await settle();
  abort.abort(new Error('late'));
  await assert.rejects(aborted, /late/);
  await settle();
  assert.deepEqual(device.of('cancel'), [{ t: 'cancel', id: 1 }]);

  const refused = backend.countTokens(request, new AbortController().signal);
  await settle();
  device.send({ t: 'error', id: 2, code: 'bad_request', message: 'No.', retryable: false });
  assert.equal(await refused, undefined);

  device.send({ t: 'models', models: [] });
  await settle();
  assert.equal(await backend.countTokens(request, new AbortController().signal), undefined);
  assert.equal(device.of('count').length, 3);
});

test('a device that connects again replaces its older self', async () => {
  const { device, backend, clock, read } = await ready();
  const again = new ScriptedDevice(clock);
  backend.attach(again.channel);
  await again.start();
  assert.equal(device.closed, 'carrier_closed');
  assert.equal(backend.status().state, 'ready');
  const over = read();
  await settle();
  again.done(0);
  assert.equal(await over, undefined);
  assert.equal(scriptedModel.id, again.of('complete')[0]?.model);
});

test('a device that says nothing for two and a half heartbeats is given up, and asked after one', async () => {
  const { backend, device, clock } = await ready();
  await settle();
  assert.equal(device.of('ping').length, 1, 'asked at once, for the round trip');
  device.isMute = true;
  await clock.advanceAsync(20_000);
  assert.equal(device.of('ping').length, 2);
  await clock.advanceAsync(29_999);
  assert.equal(backend.status().state, 'ready');
  await clock.advanceAsync(1);
  assert.equal(backend.status().state, 'down');
  assert.match(backend.status().detail ?? '', /fell silent/);
});

test('with a request in flight it is asked after 5 s and given up after 15 s of silence', async () => {
  let ended = 0;
  const { backend, device, read, clock } = await ready({ onSilent: () => ended++ });
  await clock.advanceAsync(19_000);
  const over = read();
  await settle();
  device.send({ t: 'accepted', id: 0, position: 0 });
  await settle();
  device.isMute = true;
  await clock.advanceAsync(5_000);
  assert.equal(device.of('ping').length, 2);
  await clock.advanceAsync(9_999);
  assert.equal(ended, 0);
  await clock.advanceAsync(1);
  assert.equal(ended, 1);
  assert.ok(faultOf(await over) === 'timeout' || faultOf(await over) === 'connect');
  assert.equal(backend.status().state, 'down');
  await backend.close();
  assert.equal(clock.pendingTimers, 0);
});

test('a request of which nothing is said fails after 3 s; the second in a row ends the device', async () => {
  let ended = 0;
  const { read, clock } = await ready({ onSilent: () => ended++ });
  for (const [round, dead] of [0, 1].entries()) {
    const over = read();
    await settle();
    await clock.advanceAsync(2_999);
    assert.equal(ended, 0);
    await clock.advanceAsync(1);
    assert.equal(faultOf(await over), 'timeout', `round ${round}`);
    assert.equal(ended, dead);
  }
  assert.equal(faultOf(await read()), 'connect');
});

test('a slow link is given four round trips to say something', async () => {
  const { backend, device, read, clock } = connectWith({});
  device.isMute = true;
  backend.attach(device.channel);
  await device.start();
  await clock.advanceAsync(2_000);
  device.send({ t: 'pong', n: 1 });
  await settle();
  const over = read();
  await settle();
  await clock.advanceAsync(7_999);
  device.send({ t: 'accepted', id: 0, position: 0 });
  await settle();
  device.done(0);
  assert.equal(await over, undefined);
});

test('an answer between two silent requests shows that the device lives', async () => {
  let ended = 0;
  const { device, read, clock } = await ready({ onSilent: () => ended++ });
  for (let round = 0; round < 3; round++) {
    const silent = read();
    await clock.advanceAsync(3_000);
    assert.equal(faultOf(await silent), 'timeout');
    const answered = read();
    await settle();
    device.done(2 * round + 1);
    assert.equal(await answered, undefined);
  }
  assert.equal(ended, 0);
});

test('a device that speaks and does not move a request loses that request alone', async () => {
  const { backend, device, read, clock } = await ready();
  const over = read();
  await settle();
  device.send({ t: 'accepted', id: 0, position: 0 });
  for (let second = 0; second < 15; second++) {
    await clock.advanceAsync(1_000);
    device.state({});
    await settle();
  }
  assert.equal(faultOf(await over), 'timeout');
  assert.deepEqual(device.of('cancel'), [{ t: 'cancel', id: 0 }]);
  assert.equal(backend.status().state, 'ready');
});

test('a count is waited for 400 ms, and a device that did not answer one is asked again once it speaks', async () => {
  const { backend, device, clock } = await ready();
  const count = (): Promise<unknown> => backend.countTokens(request, new AbortController().signal);
  const first = count();
  await clock.advanceAsync(countMs);
  assert.equal(await first, undefined);
  assert.equal(await count(), undefined);
  assert.equal(device.of('count').length, 1);
  device.state({});
  await settle();
  const again = count();
  await settle();
  device.send({ t: 'counted', id: 1, tokens: 40, warm: 24 });
  assert.deepEqual(await again, { tokens: 40, warmTokens: 24 });
});

test('nothing is asked over a link that is closed', async () => {
  const { backend, device } = await ready();
  device.carrier.cut();
  await settle();
  assert.equal(await backend.countTokens(request, new AbortController().signal), undefined);
});

test('close ends running calls and is idempotent', async () => {
  const { backend, read, clock } = await ready();
  const over = read();
  await settle();
  await Promise.all([backend.close(), backend.close()]);
  assert.equal(faultOf(await over), 'connect');
  assert.equal(backend.status().state, 'down');
  assert.equal(clock.pendingTimers, 0);
});

test('a confidence out of range is no report, and the answer stands', async () => {
  const { device, read, events } = await ready();
  const over = read();
  await settle();
  device.delta(0, { k: 'text', text: 'Hello' });
  device.done(0, { self_report: { confidence: 1.2, handoff: 'maybe' } });
  assert.equal(await over, undefined);
  assert.deepEqual(
    events.map(({ type }) => type),
    ['start', 'text-delta', 'finish'],
  );
});

test('a usage that cannot be is replaced by our own estimate', async () => {
  const { device, read, events } = await ready();
  const over = read();
  await settle();
  device.delta(0, { k: 'text', text: 'Hello' });
  device.done(0, { usage: { prompt_tokens: 9, completion_tokens: 9_000 } });
  assert.equal(await over, undefined);
  assert.deepEqual(events.at(-1), {
    type: 'finish',
    reason: 'stop',
    usage: { promptTokens: 9, completionTokens: 2, estimated: true },
  });
});

test('an end that skips a number is not believed', async () => {
  const { device, read } = await ready();
  const over = read();
  await settle();
  device.delta(0, { k: 'text', text: 'Hello' });
  device.done(0, { n: 2 });
  assert.equal(faultOf(await over), 'bad_answer');
});

test('a beginning of prompts that is too large for a device is not read ahead there, and the next one is', async () => {
  const prefixes = new PrefixBook();
  const note = (text: string, times: number): void => {
    const messages: ChatRequest['messages'] = [{ role: 'system', content: [{ type: 'text', text }] }];
    for (let at = 0; at < times; at++) prefixes.note({ ...request, messages }, 'tiny');
  };
  note('\u00e9'.repeat(60_000), 3);
  note('You are brief. '.repeat(20), 2);
  const { backend, device } = connect({ prefixes });
  backend.attach(device.channel);
  device.send({ ...scriptedHello, max_frame: 65_536, features: ['prefill'], models: [scriptedModel] });
  await settle();
  device.state({});
  await settle();
  assert.deepEqual(
    device.of('prefill').map(({ messages }) => messages.map(({ content }) => content.slice(0, 14))),
    [['You are brief.']],
  );
  device.send({ t: 'ok', id: device.of('prefill')[0]?.id ?? -1 });
  await settle();
  assert.equal(device.of('prefill').length, 1);
  assert.equal(backend.status().state, 'ready');
});

test('instructions of a request that a rule keeps from a device are not read ahead there', async () => {
  const prefixes = new PrefixBook();
  const text = 'You are a lawyer. '.repeat(20);
  const messages: ChatRequest['messages'] = [
    { role: 'system', content: [{ type: 'text', text }] },
    ...request.messages,
  ];
  const one = connectWith({ id: 'tablet', prefixes });
  one.backend.attach(one.device.channel);
  await one.device.start();
  for (const avoid of [['phone'], undefined]) {
    const over = one.read({ messages }, { ...(avoid !== undefined && { avoid }) });
    await settle();
    one.device.done(one.device.of('complete').at(-1)?.id ?? -1);
    assert.equal(await over, undefined);
  }
  const readAhead = async (id: string): Promise<number> => {
    const { backend, device } = connect({ id, prefixes });
    backend.attach(device.channel);
    device.send({ ...scriptedHello, features: ['prefill'], models: [scriptedModel] });
    await settle();
    device.state({});
    await settle();
    return device.of('prefill').length;
  };
  assert.equal(await readAhead('phone'), 0);
  assert.equal(await readAhead('laptop'), 1);
});

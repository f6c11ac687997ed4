import assert from 'node:assert/strict';
import { test } from 'node:test';
import { framedChannel, maxFrameBytes, deviceLink, routerLink } from '@lfo/protocol';
import type { DeviceMessage, MessageOf, RouterMessage } from '@lfo/protocol';
import { carrierPair } from '@lfo/testing/carrier-pair.ts';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import { EngineError, type EngineRequest } from '../engine/engine.ts';
import { scriptedEngine, type ScriptedAnswer } from '../engine/scripted.ts';
import { engineQuietMs, keepAliveMs } from './answer.ts';
import { Gates } from './gates.ts';
import { DeviceHost, reloadMs, type Vitals } from './host.ts';
import type { ModelOpener } from './hosted-model.ts';

interface Script {
  readonly answer?: (request: EngineRequest) => ScriptedAnswer;
  readonly loadMs?: number;
  readonly loadError?: Error;
  readonly slots?: number;
  readonly openModel?: ModelOpener;
  readonly vitals?: Vitals;
}

/** A host and the router's end of a link to it. */
async function serve(script: Script = {}) {
  const clock = new FakeClock();
  const { slots = 1 } = script;
  const seen: EngineRequest[] = [];
  const answer = (request: EngineRequest): ScriptedAnswer => {
    seen.push(request);
    return script.answer?.(request) ?? words(3);
  };
  const engine = scriptedEngine({ ...script, clock, answer });
  const options = { contextTokens: 256, slots, gpu: 'none' } as const;
  const open: ModelOpener = (onProgress, signal) =>
    engine.load(
      { id: 'tiny', path: '/tiny' },
      options,
      (done, total) => onProgress({ phase: 'load', done, total }),
      signal,
    );
  const identity = { boot: 'AAECAwQFBgcICQoLDA0ODw', name: 'n', app: 'a', os: 'o' };
  const vitals = script.vitals === undefined ? {} : { vitals: script.vitals };
  const gates = new Gates(clock);
  const host = new DeviceHost({ identity, engine, openModel: script.openModel ?? open, clock, ...vitals, gates });
  host.load();

  const [near, far] = carrierPair();
  host.serve(deviceLink(framedChannel(near, maxFrameBytes), clock));
  const router = routerLink(framedChannel(far, maxFrameBytes), clock);
  const got: DeviceMessage[] = [];
  let closed: string | undefined;
  router.listen({ onMessage: (message) => got.push(message), onClose: (code) => (closed = code) });
  await settle();
  const welcome: MessageOf<RouterMessage, 'welcome'> = {
    t: 'welcome',
    v: 1,
    session: 'EBESExQVFhcYGRobHB0eHw',
    resumed: false,
    resume: [],
    heartbeat_ms: 20_000,
    grace_ms: 0,
    max_frame: maxFrameBytes,
    router: { id: 'r', name: 'r', version: '0' },
    device: { id: 'd', name: 'd' },
    features: [],
  };
  const of = <T extends DeviceMessage['t']>(type: T): MessageOf<DeviceMessage, T>[] => {
    const isOfType = (message: DeviceMessage): message is MessageOf<DeviceMessage, T> => message.t === type;
    return got.filter(isOfType);
  };
  const ask = async (id: number, more: Partial<MessageOf<RouterMessage, 'complete'>> = {}): Promise<void> => {
    router.send({
      t: 'complete',
      id,
      model: 'tiny',
      lane: 'interactive',
      messages: [{ role: 'user', content: 'one two' }],
      tools: [],
      ...more,
    });
    await settle();
  };
  const textOf = (id: number): string =>
    of('delta')
      .filter((delta) => delta.id === id)
      .flatMap(({ parts }) => parts.map((part) => (part.k === 'text' ? part.text : '')))
      .join('');
  return { clock, host, router, near, far, got, of, ask, seen, textOf, welcome, isClosed: () => closed };
}

/** As `serve`, welcomed and with its model loaded. */
async function ready(script: Script = {}) {
  const all = await serve(script);
  all.router.send(all.welcome);
  await all.clock.advanceAsync(script.loadMs ?? 0);
  await settle(8);
  return all;
}

function words(count: number, more: Partial<ScriptedAnswer> = {}): ScriptedAnswer {
  return {
    parts: Array.from({ length: count }, (_, at) => ({ k: 'text', text: `w${at} ` }) as const),
    partMs: 100,
    ...more,
  };
}

test('a host introduces itself, is silent until welcomed, and then reports its state', async () => {
  const { got, of, router, welcome, clock } = await serve();
  assert.deepEqual(
    got.map(({ t }) => t),
    ['hello'],
  );
  router.send(welcome);
  await clock.advanceAsync(0);
  const state = of('state').at(-1);
  assert.equal(state?.accepting, true);
  assert.deepEqual(
    state?.models.map(({ id, resident, slots }) => [id, resident, slots]),
    [['tiny', true, 1]],
  );
  assert.deepEqual(
    of('models').map(({ models }) => models.map(({ id, ctx }) => [id, ctx])),
    [[['tiny', 256]]],
  );
});

test('a request before the welcome, or a version nobody offered, ends the link', async () => {
  const early = await serve();
  await early.ask(1);
  assert.deepEqual(
    early.of('bye').map(({ code }) => code),
    ['bad_message'],
  );
  const old = await serve();
  old.router.send({ ...old.welcome, v: 7 });
  await settle();
  assert.deepEqual(
    old.of('bye').map(({ code }) => code),
    ['unsupported_version'],
  );
});

test('an answer is accepted, streamed in numbered deltas and done with usage', async () => {
  const { ask, of, textOf, clock } = await ready();
  await ask(1);
  await clock.advanceAsync(1000);
  assert.deepEqual(of('accepted'), [{ t: 'accepted', id: 1, position: 0 }]);
  assert.equal(textOf(1), 'w0 w1 w2 ');
  assert.deepEqual(
    of('delta').map(({ n }) => n),
    [0, 1, 2],
  );
  assert.deepEqual(
    of('done').map(({ n }) => n),
    [3],
  );
  assert.deepEqual(
    of('done').map(({ id, finish_reason, usage }) => [id, finish_reason, usage?.completion_tokens]),
    [[1, 'stop', 3]],
  );
  assert.equal(of('state').at(-1)?.models[0]?.active, 0);
  assert.equal(of('state').at(-1)?.models[0]?.tps?.decode, 100);
});

test('every parameter reaches the engine', async () => {
  const { ask, seen, clock } = await ready();
  const tools = [{ name: 'f' }];
  const prompt = [
    { role: 'assistant' as const, content: '', tool_calls: [{ id: 'c', name: 'f', arguments: '{"a":1}' }] },
    { role: 'tool' as const, content: '4', tool_call_id: 'c' },
  ];
  await ask(1, {
    messages: prompt,
    tools,
    tool_choice: { name: 'f' },
    response_format: { type: 'json_object' },
    max_tokens: 2,
    temperature: 0.5,
    top_p: 0.9,
    seed: 4,
    frequency_penalty: 0.1,
    presence_penalty: 0.2,
    stop: ['x'],
    scores: { text: 8, calls: true, alternatives: 2 },
    prefix_key: 'k',
  });
  await clock.advanceAsync(1000);
  assert.deepEqual(seen, [
    {
      messages: prompt,
      tools,
      toolChoice: { name: 'f' },
      responseFormat: { type: 'json_object' },
      maxTokens: 2,
      temperature: 0.5,
      topP: 0.9,
      seed: 4,
      frequencyPenalty: 0.1,
      presencePenalty: 0.2,
      stop: ['x'],
      scores: { top: 2, first: 8 },
      prefixKey: 'k',
    },
  ]);
});

test('requests beyond the slots wait in order, and beyond the queue are busy at once', async () => {
  const { ask, of, clock } = await ready();
  for (let id = 1; id <= 6; id++) await ask(id);
  assert.deepEqual(
    of('accepted').map(({ id, position }) => [id, position]),
    [
      [1, 0],
      [2, 1],
      [3, 2],
      [4, 3],
      [5, 4],
    ],
  );
  assert.deepEqual(
    of('error').map(({ id, code, retryable }) => [id, code, retryable]),
    [[6, 'busy', true]],
  );
  await clock.advanceAsync(10_000);
  assert.deepEqual(
    of('done').map(({ id }) => id),
    [1, 2, 3, 4, 5],
  );
});

test('a cancelled request ends within 250 ms and its slot goes to the next', async () => {
  const { ask, of, router, clock } = await ready({ answer: () => words(100) });
  await ask(1);
  await ask(2);
  await clock.advanceAsync(300);
  router.send({ t: 'cancel', id: 1 });
  await clock.advanceAsync(250);
  assert.deepEqual(
    of('error').map(({ id, code }) => [id, code]),
    [[1, 'cancelled']],
  );
  assert.equal(of('delta').filter(({ id }) => id === 2).length > 0, true);
});

test('a waiting request can be cancelled', async () => {
  const { ask, of, router, clock } = await ready({ answer: () => words(20) });
  await ask(1);
  await ask(2);
  router.send({ t: 'cancel', id: 2 });
  await settle();
  assert.deepEqual(
    of('error').map(({ id, code }) => [id, code]),
    [[2, 'cancelled']],
  );
  await clock.advanceAsync(5000);
  assert.deepEqual(
    of('done').map(({ id }) => id),
    [1],
  );
});

test('a deadline ends the request, running or waiting', async () => {
  const { ask, of, clock } = await ready({ answer: () => words(100) });
  await ask(1, { deadline_ms: 1000 });
  await ask(2, { deadline_ms: 500 });
  await clock.advanceAsync(499);
  assert.deepEqual(of('error'), []);
  await clock.advanceAsync(501);
  assert.deepEqual(
    of('error').map(({ id, code }) => [id, code]),
    [
      [2, 'deadline'],
      [1, 'deadline'],
    ],
  );
});

test('an engine error keeps its code; any other is not shown', async () => {
  const fault = (error: Error): Script => ({ answer: () => words(5, { fault: { at: 1, error } }) });
  const known = await ready(fault(new EngineError('too_long', 'The prompt is too long.', false)));
  await known.ask(1);
  await known.clock.advanceAsync(1000);
  assert.equal(known.textOf(1), 'w0 ', 'what was said before stays said');
  assert.deepEqual(
    known.of('error').map(({ code, message }) => [code, message]),
    [['too_long', 'The prompt is too long.']],
  );
  const unknown = await ready(fault(new Error('/secret/path')));
  await unknown.ask(1);
  await unknown.clock.advanceAsync(1000);
  assert.deepEqual(
    unknown.of('error').map(({ code }) => code),
    ['internal'],
  );
  assert.doesNotMatch(unknown.of('error')[0]?.message ?? '', /secret/);
});

test('requests that arrive while the model loads wait for it, with progress', async () => {
  const { ask, of, router, welcome, clock, textOf } = await serve({ loadMs: 20_000 });
  router.send(welcome);
  await ask(1);
  assert.deepEqual([of('state').at(-1)?.accepting, of('state').at(-1)?.code], [false, 'loading']);
  await clock.advanceAsync(19_999);
  assert.ok(of('progress').filter(({ phase }) => phase === 'load').length >= 4);
  await clock.advanceAsync(1001);
  assert.equal(textOf(1), 'w0 w1 w2 ');
});

test('a model that cannot be loaded keeps the link open and says why', async () => {
  const loadError = new EngineError(
    'no_model',
    'The file /m.gguf is missing. Name another with LFO_LOCAL_MODEL.',
    false,
  );
  const { ask, of, clock } = await ready({ loadError, loadMs: 1000 });
  const { code, accepting, why } = of('state').at(-1) ?? {};
  assert.deepEqual([code, accepting, why], ['no_model', false, loadError.message]);
  await ask(1);
  assert.deepEqual(
    of('error').map(({ id, code, message }) => [id, code, message]),
    [[1, 'no_model', loadError.message]],
  );
  await clock.advanceAsync(reloadMs);
  assert.equal(of('state').at(-1)?.accepting, false);
});

test('a request that waits for a load that fails is told so', async () => {
  const loadError = new EngineError('engine', 'The model does not fit the memory.', false);
  const { ask, of, router, welcome, clock } = await serve({ loadError, loadMs: 1000 });
  router.send(welcome);
  await ask(1);
  await clock.advanceAsync(1000);
  assert.deepEqual(
    of('error').map(({ id, code, message }) => [id, code, message]),
    [[1, 'no_model', loadError.message]],
  );
});

test('a load that failed for a passing reason is tried again', async () => {
  let tries = 0;
  const openModel: ModelOpener = async () => {
    tries++;
    throw new EngineError('no_model', 'No source answers.', true);
  };
  const { clock } = await ready({ openModel });
  assert.equal(tries, 1);
  await clock.advanceAsync(reloadMs);
  assert.equal(tries, 2);
});

test('a long prefill and the request behind it are vouched for every 5 s', async () => {
  const { ask, of, clock } = await ready({ answer: () => words(1, { prefillMs: 200_000 }) });
  await ask(1);
  await ask(2);
  for (let slice = 0; slice < 12; slice++) {
    const before = of('progress').length;
    await clock.advanceAsync(keepAliveMs);
    const ids = of('progress')
      .slice(before)
      .map(({ id }) => id);
    assert.ok(ids.includes(1) && ids.includes(2), `slice ${slice}: ${ids.join()}`);
  }
});

test('an engine that shows no sign of life is not vouched for beyond a minute', async () => {
  const { ask, of, clock } = await ready({ answer: () => words(2, { partMs: 1e9 }) });
  await ask(1);
  await clock.advanceAsync(engineQuietMs);
  const said = of('progress').length;
  assert.ok(said > 5);
  await clock.advanceAsync(engineQuietMs);
  assert.equal(of('progress').length, said);
});

test('counting does not wait for a slot', async () => {
  const { ask, of, router, clock } = await ready({ answer: () => words(50) });
  await ask(1);
  await clock.advanceAsync(100);
  router.send({ t: 'count', id: 2, model: 'tiny', messages: [{ role: 'user', content: 'a b c' }], tools: [] });
  await settle();
  assert.deepEqual(of('counted'), [{ t: 'counted', id: 2, tokens: 4, warm: 0 }]);
});

test('another model than the one served is no_model', async () => {
  const { ask, of } = await ready();
  await ask(1, { model: 'huge' });
  assert.deepEqual(
    of('error').map(({ id, code }) => [id, code]),
    [[1, 'no_model']],
  );
});

test('an id that is in use is refused without ending the request that uses it', async () => {
  const { ask, of, clock } = await ready();
  await ask(1);
  await ask(1);
  await clock.advanceAsync(1000);
  assert.deepEqual(
    of('error').map(({ id, code }) => [id, code]),
    [[undefined, 'bad_request']],
  );
  assert.deepEqual(
    of('done').map(({ id }) => id),
    [1],
  );
});

test('a draining device ends what runs and takes nothing new until it is told to', async () => {
  const { ask, of, router, clock } = await ready();
  await ask(1);
  router.send({ t: 'drain', on: true });
  await ask(2);
  assert.equal(of('state').at(-1)?.accepting, false);
  assert.deepEqual(
    of('error').map(({ id, code, retryable }) => [id, code, retryable]),
    [[2, 'draining', true]],
  );
  await clock.advanceAsync(1000);
  assert.deepEqual(
    of('done').map(({ id }) => id),
    [1],
  );
  router.send({ t: 'drain', on: false });
  await ask(3);
  await clock.advanceAsync(1000);
  assert.equal(of('done').at(-1)?.id, 3);
});

test('unload lets what runs end, load brings the model back', async () => {
  const { ask, of, router, clock } = await ready();
  await ask(1);
  router.send({ t: 'unload', id: 10, model: 'tiny' });
  await ask(2);
  await clock.advanceAsync(1000);
  assert.deepEqual(
    of('done').map(({ id }) => id),
    [1],
  );
  assert.deepEqual(
    of('error').map(({ id, code }) => [id, code]),
    [[2, 'no_model']],
  );
  assert.deepEqual(of('state').at(-1)?.models, []);
  assert.deepEqual(of('models').at(-1)?.models, []);
  router.send({ t: 'load', id: 11, model: 'tiny' });
  await clock.advanceAsync(1);
  await ask(3);
  await clock.advanceAsync(1000);
  assert.deepEqual(
    of('done').map(({ id }) => id),
    [1, 3],
  );
  assert.deepEqual(
    of('ok').map(({ id }) => id),
    [10, 11],
  );
});

test('reload lets what runs end, and opens the model anew then, even where it is asked to load before', async () => {
  const clock = new FakeClock();
  const engine = scriptedEngine({ clock, answer: () => words(3) });
  let opened = 0;
  const openModel: ModelOpener = (_, signal) =>
    engine.load(
      { id: `tiny-${++opened}`, path: '/tiny' },
      { contextTokens: 256, slots: 1, gpu: 'none' },
      () => {},
      signal,
    );
  const gates = new Gates(clock);
  const identity = { boot: 'AAECAwQFBgcICQoLDA0ODw', name: 'n', app: 'a', os: 'o' };
  const host = new DeviceHost({ identity, engine, openModel, clock, gates });
  host.load();
  await clock.advanceAsync(1);
  await settle(8);
  const offered = (): readonly string[] => host.offers().map(({ id }) => id);
  assert.deepEqual(offered(), ['tiny-1']);
  const place = host.queue.enter(new AbortController().signal);
  await place?.turn;
  host.reload();
  host.load();
  await settle(8);
  assert.deepEqual(offered(), ['tiny-1']);
  place?.leave();
  await clock.advanceAsync(1);
  await settle(8);
  assert.deepEqual(offered(), ['tiny-2']);
});

test('prefill warms the cache only while a slot is free', async () => {
  const { ask, seen, router, clock, of } = await ready();
  router.send({ t: 'prefill', id: 20, model: 'tiny', messages: [{ role: 'system', content: 'be brief' }], tools: [] });
  await clock.advanceAsync(1000);
  assert.deepEqual(
    seen.map(({ maxTokens }) => maxTokens),
    [1],
  );
  await ask(1);
  router.send({ t: 'prefill', id: 21, model: 'tiny', messages: [{ role: 'system', content: 'be brief' }], tools: [] });
  await clock.advanceAsync(1000);
  assert.equal(seen.length, 2);
  assert.deepEqual(of('ok'), [{ t: 'ok', id: 20 }]);
  assert.deepEqual(
    of('error').map(({ id, code }) => [id, code]),
    [[21, 'busy']],
  );
});

test('a router that goes stops its runs and leaves no timer behind', async () => {
  const { ask, far, clock, host } = await ready({ answer: () => words(1000) });
  await ask(1);
  await ask(2);
  await clock.advanceAsync(300);
  assert.equal(host.queue.active, 1);
  far.cut();
  await settle(8);
  assert.deepEqual([host.queue.active, host.queue.queued, clock.pendingTimers], [0, 0, 0]);
});

test('a reader that stalls pauses the engine; after 10 s the link is closed and the engine stopped', async () => {
  const parts = Array.from({ length: 50 }, () => ({ k: 'text', text: 'x'.repeat(8192) }) as const);
  const { ask, near, clock, host, router } = await ready({ answer: () => ({ parts, partMs: 10 }) });
  await ask(1);
  near.flowing = false;
  await clock.advanceAsync(5_000);
  assert.equal(host.queue.active, 1, 'it would have ended after 0.5 s');
  await clock.advanceAsync(10_000);
  await settle();
  assert.equal(host.queue.active, 0);
  assert.equal(router.closed, true);
});

test('a reader that comes back gets everything', async () => {
  const parts = Array.from({ length: 50 }, (_, at) => ({ k: 'text', text: `${at}`.padStart(8192) }) as const);
  const { ask, near, clock, textOf, of } = await ready({ answer: () => ({ parts, partMs: 10 }) });
  await ask(1);
  near.flowing = false;
  await clock.advanceAsync(5_000);
  assert.deepEqual(of('done'), []);
  near.flowing = true;
  await clock.advanceAsync(5_000);
  assert.equal(textOf(1), parts.map(({ text }) => text).join(''));
  assert.deepEqual(
    of('delta').map(({ n }) => n),
    of('delta').map((_, at) => at),
  );
  assert.equal(of('done').length, 1);
});

test('state is repeated with the heartbeat and ping is answered', async () => {
  const { of, router, clock } = await ready();
  const before = of('state').length;
  await clock.advanceAsync(20_000);
  assert.equal(of('state').length, before + 1);
  router.send({ t: 'ping', n: 7 });
  await settle();
  assert.deepEqual(of('pong'), [{ t: 'pong', n: 7 }]);
});

test('what the machine says of itself is in the state, and a change of it is told', async () => {
  let pct = 80;
  let changed = (): void => {};
  const vitals: Vitals = {
    read: () => ({ battery: { pct, charging: false }, thermal: { status: 1 } }),
    onChange: (run) => (changed = run),
  };
  const { of } = await ready({ vitals });
  assert.deepEqual(of('state').at(-1)?.battery, { pct: 80, charging: false });
  assert.deepEqual(of('state').at(-1)?.thermal, { status: 1 });
  pct = 79;
  changed();
  await settle();
  assert.equal(of('state').at(-1)?.battery?.pct, 79);
});

test('a hot host says so and refuses; what runs goes on until the heat is critical', async () => {
  let status = 0;
  let changed = (): void => {};
  const vitals: Vitals = {
    read: () => ({ thermal: { status } }),
    onChange: (run) => (changed = run),
  };
  const heat = async (to: number): Promise<void> => {
    status = to;
    changed();
    await settle();
  };
  const { ask, of, clock } = await ready({ vitals, answer: () => words(50), slots: 2 });
  await ask(1);
  await heat(3);
  assert.partialDeepStrictEqual(of('state').at(-1), { accepting: false, code: 'thermal', thermal: { status: 3 } });
  await ask(2);
  assert.partialDeepStrictEqual(of('error').at(-1), { id: 2, n: 0, code: 'thermal', retryable: true });
  await clock.advanceAsync(500);
  assert.equal(of('error').length, 1);
  await heat(4);
  assert.partialDeepStrictEqual(of('error').at(-1), { id: 1, code: 'thermal', retryable: true });
  await heat(0);
  await clock.advanceAsync(30_000);
  assert.equal(of('state').at(-1)?.accepting, true);
});

test("a router's policy holds while its link lives", async () => {
  const vitals: Vitals = { read: () => ({ battery: { pct: 40, charging: false } }), onChange: () => {} };
  const { router, of, welcome, host, clock } = await serve({ vitals });
  await clock.advanceAsync(0);
  router.send({ ...welcome, policy: { min_battery: 50 } });
  await settle(8);
  assert.partialDeepStrictEqual(of('state').at(-1), { accepting: false, code: 'battery' });
  router.close('closing');
  await settle(8);
  assert.equal(host.state().accepting, true);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import type { Attempt, Backend, BackendLoad, BackendStatus, Capabilities, Lease, PoolChoice } from '../core/backend.ts';
import { BackendError, NoBackendError } from '../core/errors.ts';
import { mostTokens } from '../core/events.ts';
import type { RoutingHints, Tier } from '../core/request.ts';
import { Pool } from './pool.ts';

const local: Attempt = { tier: 'local', gated: false };

interface FakeBackend extends Backend {
  current: BackendStatus;
}

interface FakeOptions {
  readonly capabilitiesOf?: Backend['capabilitiesOf'];
  readonly standIns?: readonly string[];
  readonly tier?: Tier;
  readonly models?: readonly string[];
  readonly capabilities?: Partial<Capabilities>;
  readonly status?: BackendStatus;
}

function fakeBackend(id: string, options: FakeOptions = {}): FakeBackend {
  const capabilities = {
    tools: true,
    jsonSchema: true,
    images: false,
    audio: false,
    logprobs: true,
    ...options.capabilities,
  };
  return {
    id,
    tier: options.tier ?? 'local',
    models: options.models ?? [`${id}-model`],
    capabilities,
    ...(options.capabilitiesOf === undefined ? {} : { capabilitiesOf: options.capabilitiesOf }),
    ...(options.standIns === undefined ? {} : { standIns: options.standIns }),
    current: options.status ?? { state: 'ready' },
    status() {
      return this.current;
    },
    async *infer() {
      yield* [];
    },
    probe: () => Promise.resolve({ state: 'ready' }),
    close: () => Promise.resolve(),
  };
}

function setUp(): { clock: FakeClock; pool: Pool } {
  const clock = new FakeClock();
  const breaker = { failures: 2, openMs: 1000, maxOpenMs: 8000 };
  return { clock, pool: new Pool({ clock, breaker, queue: 3, queueWaitMs: 2000 }) };
}

function choice(hints: Partial<RoutingHints> = {}, rest: Partial<PoolChoice> = {}): PoolChoice {
  return {
    request: chatRequest({ hints: { mode: 'auto', ...hints } }),
    promptTokens: 10,
    signal: new AbortController().signal,
    exclude: new Set<string>(),
    ...rest,
  };
}

async function refusal(leased: Promise<Lease>): Promise<NoBackendError> {
  const error = await leased.then(
    () => assert.fail('a lease was given'),
    (error: unknown) => error,
  );
  assert.ok(error instanceof NoBackendError, String(error));
  return error;
}

const failure = new BackendError('x', { fault: 'server', backend: 'a' });

async function fail(pool: Pool, times: number, rest: Partial<PoolChoice> = {}): Promise<void> {
  for (let i = 0; i < times; i++) (await pool.acquire(local, choice({}, rest))).done('failure', failure);
}

test('a lease names the backend and its default model, or the one asked for', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('a', { models: ['m', 'n'] }), 1000);
  assert.equal((await pool.acquire(local, choice())).model, 'm');
  assert.equal((await pool.acquire({ ...local, model: 'n' }, choice())).model, 'n');
  assert.equal(pool.view().backends[0]?.inFlight, 2);
});

test('a lease ends once', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('a'), 1000);
  const lease = await pool.acquire(local, choice());
  await pool.acquire(local, choice());
  lease.done('failure', failure);
  lease.done('failure', failure);
  assert.equal(pool.view().backends[0]?.inFlight, 1);
  assert.equal(pool.view().backends[0]?.breaker, 'closed');
});

const unsuitable: readonly [string, FakeOptions, Attempt, Partial<PoolChoice>, status: number, code: string][] = [
  ['another tier', { tier: 'cloud' }, local, {}, 503, 'no_backend_available'],
  ['another backend than the pinned', {}, { ...local, backend: 'z' }, {}, 404, 'model_not_found'],
  ['another model', {}, { ...local, model: 'z' }, {}, 404, 'model_not_found'],
  ['too small a context', { capabilities: { contextTokens: 9 } }, local, {}, 400, 'context_length_exceeded'],
  [
    'no tools',
    { capabilities: { tools: false } },
    local,
    { request: chatRequest({ tools: [{ name: 't' }] }) },
    400,
    'unsupported_content',
  ],
  [
    'no images',
    {},
    local,
    { request: chatRequest({ messages: [{ role: 'user', content: [{ type: 'image', url: 'data:' }] }] }) },
    400,
    'unsupported_content',
  ],
  [
    'no images for a file',
    {},
    local,
    { request: chatRequest({ messages: [{ role: 'user', content: [{ type: 'file', data: 'data:' }] }] }) },
    400,
    'unsupported_content',
  ],
  ['a failure behind it', {}, local, { exclude: new Set(['a']) }, 503, 'no_backend_available'],
  ['a fault', { status: { state: 'down', detail: 'model file missing' } }, local, {}, 503, 'no_backend_available'],
];

for (const [name, options, attempt, rest, status, code] of unsuitable) {
  test(`a backend with ${name} is not given the request, and the error says so`, async () => {
    const { pool } = setUp();
    pool.add(fakeBackend('a', options), 1000);
    const error = await refusal(pool.acquire(attempt, choice({}, rest)));
    assert.equal(error.status, status);
    assert.equal(error.code, code);
    assert.equal(pool.hasCandidate(attempt, choice({}, rest)), false);
  });
}

test('unknown models and an unknown context exclude nobody', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('a', { models: [] }), 1000);
  assert.equal((await pool.acquire({ ...local, model: 'z' }, choice({}, { promptTokens: 1e6 }))).model, 'z');
});

test('each skipped candidate is listed with its reason', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('a', { status: { state: 'down', detail: 'model file missing' } }), 1000);
  pool.add(fakeBackend('b', { capabilities: { contextTokens: 1 } }), 1000);
  const error = await refusal(pool.acquire(local, choice()));
  assert.deepEqual(error.skipped, [
    { backend: 'a', why: 'model file missing' },
    { backend: 'b', why: 'its context is too small for the prompt' },
  ]);
  assert.equal(error.reason, 'local_unavailable');
});

test('idle backends take turns, busy ones wait for the others', async () => {
  const { pool } = setUp();
  for (const id of ['a', 'b', 'c']) pool.add(fakeBackend(id, { models: ['m'] }), 1000);
  const picks: string[] = [];
  for (let i = 0; i < 300; i++) picks.push((await pool.acquire(local, choice())).backend.id);
  for (const id of ['a', 'b', 'c']) assert.equal(picks.filter((pick) => pick === id).length, 100);
});

test('a backend twice as fast gets twice the load', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('slow', { models: ['m'], status: { state: 'ready', prefillRate: 100, decodeRate: 10 } }), 1000);
  pool.add(fakeBackend('fast', { models: ['m'], status: { state: 'ready', prefillRate: 200, decodeRate: 20 } }), 1000);
  for (let i = 0; i < 90; i++) await pool.acquire(local, choice());
  const fast = pool.view().backends.find(({ id }) => id === 'fast')?.inFlight ?? 0;
  assert.ok(Math.abs(fast - 60) <= 6, `${fast} of 90`);
});

test('a conversation stays with its backend while that costs little, and clients do not share names', async () => {
  const { pool } = setUp();
  for (const id of ['a', 'b']) pool.add(fakeBackend(id, { models: ['m'] }), 1000);
  const ids = new Set<string>();
  for (let i = 0; i < 5; i++) {
    const lease = await pool.acquire(local, choice({ sessionKey: 's', clientKey: 'k' }));
    ids.add(lease.backend.id);
    lease.done('success');
  }
  assert.equal(ids.size, 1);
  const other = await pool.acquire(local, choice({ sessionKey: 's', clientKey: 'l' }));
  assert.equal(ids.has(other.backend.id), false, 'the idle one’s turn');
  other.done('success');
  await Promise.all([1, 2].map(() => pool.acquire(local, choice({ sessionKey: 's', clientKey: 'k' }))));
  assert.deepEqual(
    pool.view().backends.map(({ inFlight }) => inFlight),
    [1, 1],
    'load outweighs affinity',
  );
});

test('a failing backend is left alone, then probed by exactly one of 500', async () => {
  const { pool, clock } = setUp();
  pool.add(fakeBackend('a'), 1000);
  await fail(pool, 2);
  const error = await refusal(pool.acquire(local, choice()));
  assert.equal(error.retryAfterMs, 1000);
  clock.advance(1000);
  const results = await Promise.allSettled(Array.from({ length: 500 }, () => pool.acquire(local, choice())));
  const leases = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  assert.equal(leases.length, 1);
  leases[0]?.done('success');
  await Promise.all(Array.from({ length: 500 }, () => pool.acquire(local, choice())));
});

test('while one is probed all others go elsewhere at once', async () => {
  const { pool, clock } = setUp();
  pool.add(fakeBackend('a'), 1000);
  pool.add(fakeBackend('b'), 1000);
  await fail(pool, 2, { exclude: new Set(['b']) });
  clock.advance(1000);
  const leases = await Promise.all(Array.from({ length: 500 }, () => pool.acquire(local, choice())));
  assert.equal(leases.filter(({ backend }) => backend.id === 'a').length, 1);
});

test('a device that comes back keeps its record', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('a'), 1000);
  await fail(pool, 2);
  pool.remove('a');
  assert.equal((await refusal(pool.acquire(local, choice()))).skipped.length, 0);
  pool.add(fakeBackend('a'), 1000);
  assert.equal(pool.view().backends[0]?.breaker, 'open');
});

test('a backend that is drained ends what it has, takes nothing new, and stays so when it comes back', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('a'), 1);
  const running = await pool.acquire(local, choice());
  const waiting = pool.acquire(local, choice());
  assert.equal(pool.setDraining('a', true), true);
  assert.deepEqual((await refusal(waiting)).skipped[0]?.backend, 'a');
  running.done('success');
  assert.equal(pool.hasCandidate(local, choice()), false);
  pool.add(fakeBackend('a'), 1);
  assert.equal(pool.view().backends[0]?.isDraining, true);
  pool.setDraining('a', false);
  (await pool.acquire(local, choice())).done('success');
  assert.equal(pool.setDraining('moon', true), false);
});

test('a backend that asked for a pause gets none before it is over, and its breaker does not count it', async () => {
  const { pool, clock } = setUp();
  pool.add(fakeBackend('a'), 1000);
  const limited = new BackendError('x', { fault: 'rate_limit', backend: 'a', retryAfterMs: 7000 });
  (await pool.acquire(local, choice())).done('neutral', limited);
  clock.advance(6999);
  const error = await refusal(pool.acquire(local, choice()));
  assert.equal(error.status, 429);
  assert.equal(error.retryAfterMs, 1);
  clock.advance(1);
  (await pool.acquire(local, choice())).done('success');
  assert.equal(pool.view().backends[0]?.breaker, 'closed');
});

test('a pause of one model leaves the backend to its others', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('a', { models: ['one', 'two'] }), 1000);
  const limited = new BackendError('x', { fault: 'rate_limit', backend: 'a', retryAfterMs: 7000, model: 'one' });
  (await pool.acquire(local, choice())).done('neutral', limited);
  for (const attempt of [local, { ...local, model: 'one' }]) {
    assert.equal((await refusal(pool.acquire(attempt, choice()))).status, 429);
  }
  (await pool.acquire({ ...local, model: 'two' }, choice())).done('success');
});

test('a full backend makes the next wait for its turn; a full queue refuses at once', async () => {
  const { pool, clock } = setUp();
  pool.add(fakeBackend('a'), 1);
  const first = await pool.acquire(local, choice());
  const got: number[] = [];
  const waiting = [1, 2, 3].map(async (n) => {
    const lease = await pool.acquire(local, choice());
    got.push(n);
    return lease;
  });
  assert.equal(pool.hasCandidate(local, choice()), true);
  const error = await refusal(pool.acquire(local, choice()));
  assert.equal(error.code, 'overloaded');
  assert.equal(error.retryAfterMs, 1000);
  first.done('success');
  (await waiting[0])?.done('success');
  (await waiting[1])?.done('success');
  (await waiting[2])?.done('success');
  assert.deepEqual(got, [1, 2, 3]);
  await clock.advanceAsync(1000);
  assert.equal(clock.pendingTimers, 0);
});

test('clients take turns however many requests each has waiting', async () => {
  const clock = new FakeClock();
  const pool = new Pool({ clock, breaker: { failures: 5, openMs: 1, maxOpenMs: 1 }, queue: 100, queueWaitMs: 60_000 });
  pool.add(fakeBackend('a'), 1);
  let held = await pool.acquire(local, choice());
  const served: string[] = [];
  for (const clientKey of ['greedy', 'greedy', 'greedy', 'greedy', 'modest', 'other']) {
    void pool.acquire(local, choice({ clientKey })).then((lease) => {
      served.push(clientKey);
      held = lease;
      return undefined;
    });
  }
  for (let i = 0; i < 6; i++) {
    held.done('success');
    await settle();
  }
  assert.deepEqual(served, ['greedy', 'modest', 'other', 'greedy', 'greedy', 'greedy']);
});

test('a wait ends with its time, or with the client', async () => {
  const { pool, clock } = setUp();
  pool.add(fakeBackend('a'), 1);
  await pool.acquire(local, choice());
  const controller = new AbortController();
  const leaving = pool.acquire(local, choice({}, { signal: controller.signal }));
  const staying = refusal(pool.acquire(local, choice()));
  const reason = new Error('gone');
  controller.abort(reason);
  await assert.rejects(leaving, reason);
  await clock.advanceAsync(2000);
  assert.equal((await staying).code, 'overloaded');
  assert.equal(clock.pendingTimers, 0);
});

test('while the only backend loads, requests wait for it however long', async () => {
  const { pool, clock } = setUp();
  const backend = fakeBackend('a', { status: { state: 'loading' } });
  pool.add(backend, 1000);
  const leased = pool.acquire(local, choice());
  await clock.advanceAsync(30_000);
  backend.current = { state: 'ready' };
  await clock.advanceAsync(100);
  assert.equal((await leased).backend.id, 'a');
});

test('a backend that fails to load ends the wait', async () => {
  const { pool, clock } = setUp();
  const backend = fakeBackend('a', { status: { state: 'loading' } });
  pool.add(backend, 1000);
  const refused = refusal(pool.acquire(local, choice()));
  backend.current = { state: 'down', detail: 'wrong hash' };
  await clock.advanceAsync(100);
  assert.deepEqual((await refused).skipped, [{ backend: 'a', why: 'wrong hash' }]);
});

test('a new backend serves those who wait', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('a', { status: { state: 'loading' } }), 1000);
  const leased = pool.acquire(local, choice());
  pool.add(fakeBackend('b'), 1000);
  assert.equal((await leased).backend.id, 'b');
});

test('a signal already aborted gets nothing', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('a'), 1000);
  const reason = new Error('gone');
  await assert.rejects(pool.acquire(local, choice({}, { signal: AbortSignal.abort(reason) })), reason);
  assert.equal(pool.view().backends[0]?.inFlight, 0);
});

const plain: Capabilities = { tools: false, jsonSchema: false, images: false, audio: false, logprobs: true };
const able: Capabilities = { ...plain, tools: true, jsonSchema: true };

test('a gated attempt does not wait behind a full backend: what stands behind it goes ahead', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('a'), 1);
  await pool.acquire({ ...local, gated: true }, choice());
  const error = await refusal(pool.acquire({ ...local, gated: true }, choice()));
  assert.equal(error.code, 'overloaded');
  assert.equal(pool.waiting, 0);
});

test('the pool and the router judge a request by one rule, each model by its own abilities', async () => {
  const { pool } = setUp();
  const capabilitiesOf = (model: string): Capabilities => (model === 'big' ? able : plain);
  pool.add(fakeBackend('a', { models: ['small', 'big'], capabilities: plain, capabilitiesOf }), 1000);
  const tools = choice({}, { request: chatRequest({ tools: [{ name: 'f' }] }) });
  assert.equal((await pool.acquire(local, choice())).model, 'small');
  assert.equal((await pool.acquire(local, tools)).model, 'big');
  assert.equal((await refusal(pool.acquire({ ...local, model: 'small' }, tools))).code, 'unsupported_content');
  const unused = chatRequest({ tools: [{ name: 'f' }], toolChoice: { type: 'none' } });
  assert.equal((await pool.acquire({ ...local, model: 'small' }, choice({}, { request: unused }))).model, 'small');
  const [view] = pool.view().backends;
  assert.deepEqual(
    view?.offers?.map(({ model, capabilities }) => [model, capabilities.tools]),
    [
      ['small', false],
      ['big', true],
    ],
  );
});

test('a model that answers with calls alone is given no chat', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('phone', { capabilities: { ...able, toolsOnly: true } }), 1000);
  const tools = choice({}, { request: chatRequest({ tools: [{ name: 'f' }] }) });
  assert.equal((await pool.acquire(local, tools)).backend.id, 'phone');
  const error = await refusal(pool.acquire(local, choice()));
  assert.deepEqual([error.code, error.reason], ['unsupported_content', 'only_tools']);
  pool.add(fakeBackend('laptop'), 1000);
  for (let i = 0; i < 3; i++) assert.equal((await pool.acquire(local, choice())).backend.id, 'laptop');
});

test('an estimate may be wrong by its usual error before a context excludes anyone', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('a', { capabilities: { contextTokens: 100 } }), 1000);
  assert.equal(pool.hasCandidate(local, choice({}, { promptTokens: 150, promptTokensFrom: 'estimate' })), true);
  assert.equal(pool.hasCandidate(local, choice({}, { promptTokens: 250, promptTokensFrom: 'estimate' })), false);
  assert.equal(pool.hasCandidate(local, choice({}, { promptTokens: 250, promptTokensFrom: 'bound' })), true);
  assert.equal(pool.hasCandidate(local, choice({}, { promptTokens: 150, promptTokensFrom: 'count' })), false);
});

test('a JSON schema goes to a backend that enforces it, and to any other where there is none', async () => {
  const { pool } = setUp();
  const asked = choice(
    {},
    { request: chatRequest({ responseFormat: { type: 'json_schema', name: 's', schema: {} } }) },
  );
  pool.add(fakeBackend('words', { capabilities: { jsonSchema: false } }), 1000);
  assert.equal((await pool.acquire(local, asked)).backend.id, 'words');
  pool.add(fakeBackend('grammar'), 1000);
  for (let i = 0; i < 3; i++) assert.equal((await pool.acquire(local, asked)).backend.id, 'grammar');
});

test('pauses that providers asked for are in the view, for the models they concern', async () => {
  const { pool, clock } = setUp();
  pool.add(fakeBackend('a', { models: ['one', 'two'] }), 1000);
  const limited = new BackendError('x', { fault: 'rate_limit', backend: 'a', retryAfterMs: 7000, model: 'one' });
  (await pool.acquire(local, choice())).done('neutral', limited);
  clock.advance(2000);
  const offers = pool.view().backends[0]?.offers ?? [];
  assert.deepEqual(
    offers.map(({ pausedMs }) => pausedMs),
    [5000, undefined],
  );
});

test('a stand-in may be asked of the backend that has just failed, unless it is paused as a whole', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('a', { models: ['one', 'two'], standIns: ['two'] }), 1000);
  const exclude = new Set(['a']);
  const standIn: Attempt = { ...local, backend: 'a', model: 'two', isStandIn: true };
  (await pool.acquire(standIn, choice({}, { exclude }))).done('success');
  const limited = new BackendError('x', { fault: 'rate_limit', backend: 'a', retryAfterMs: 7000 });
  (await pool.acquire(local, choice())).done('neutral', limited);
  assert.equal(pool.hasCandidate(standIn, choice({}, { exclude })), false);
});

test('the view predicts how long a full backend is waited for', async () => {
  const { pool, clock } = setUp();
  const status: BackendStatus = { state: 'ready', prefillRate: 100, decodeRate: 10, slots: 1 };
  pool.add(fakeBackend('a', { status }), 4);
  const queueMs = (): number | undefined => pool.view().backends[0]?.queueMs;
  assert.equal(queueMs(), 0);
  const lease = await pool.acquire(local, choice({}, { promptTokens: 200 }));
  assert.equal(queueMs(), 2000 + 12_800);
  clock.advance(2000);
  lease.begun();
  clock.advance(2800);
  assert.equal(queueMs(), 10_000);
  clock.advance(60_000);
  assert.equal(queueMs(), 31_400, 'who has talked for long goes on for long');
  lease.done('success');
  assert.equal(queueMs(), 0);
});

function deviceBackend(id: string, load: Partial<BackendLoad> = {}, options: FakeOptions = {}): FakeBackend {
  const said = { rttMs: 5, slots: 1, foreign: 0, isResident: true, loadMs: 0, warm: () => 0, ...load };
  const status: BackendStatus = { state: 'ready', prefillRate: 500, decodeRate: 35 };
  return Object.assign(fakeBackend(id, { models: ['m'], status, ...options }), {
    label: () => ({ name: id, plainModels: [] }),
    load: () => said,
    weightsOf: () => undefined,
  });
}

test('a request waits for a quick device that is busy rather than go to a slow one that is free', async () => {
  const { pool } = setUp();
  const status = (prefillRate: number, decodeRate: number): FakeOptions => ({
    models: ['m'],
    status: { state: 'ready', prefillRate, decodeRate },
  });
  pool.add(deviceBackend('quick', {}, status(900, 60)), 1);
  pool.add(deviceBackend('slow', {}, status(30, 2)), 1);
  const first = await pool.acquire(local, choice());
  assert.equal(first.backend.id, 'quick');
  let second: string | undefined;
  const waiting = pool.acquire(local, choice()).then((lease) => (second = lease.backend.id));
  await settle();
  assert.equal(second, undefined);
  first.done('success');
  await waiting;
  assert.equal(second, 'quick');
});

test('those who wait are placed one after the other: the queue of the quick device makes the slow one worth while', async () => {
  const clock = new FakeClock();
  const breaker = { failures: 2, openMs: 1000, maxOpenMs: 8000 };
  const pool = new Pool({ clock, breaker, queue: 20, queueWaitMs: 60_000 });
  const rates = (prefillRate: number, decodeRate: number): FakeOptions => ({
    models: ['m'],
    status: { state: 'ready', prefillRate, decodeRate },
  });
  pool.add(deviceBackend('quick', {}, rates(900, 60)), 1);
  pool.add(deviceBackend('slow', {}, rates(200, 15)), 1);
  const given: string[] = [];
  for (let at = 0; at < 8; at++) void pool.acquire(local, choice()).then(({ backend }) => given.push(backend.id));
  await clock.advanceAsync(100);
  assert.deepEqual(given, ['quick', 'slow']);
});

test('a device that is new gets one request at a time until it has answered once', async () => {
  const { pool } = setUp();
  pool.add(deviceBackend('a', { slots: 4 }), 4, true);
  const first = await pool.acquire(local, choice());
  let hasSecond = false;
  const second = pool.acquire(local, choice()).then((lease) => {
    hasSecond = true;
    return lease;
  });
  await settle();
  assert.equal(hasSecond, false);
  assert.equal(pool.view().backends[0]?.isSlowStart, true);
  first.done('success');
  (await second).done('success');
  const [third, fourth] = [await pool.acquire(local, choice()), await pool.acquire(local, choice())];
  third.done('success');
  fourth.done('success');
  assert.equal(pool.view().backends[0]?.isSlowStart, undefined);
});

test('three faults in a row eject a device for 10 s, twice as long each time, at most 300 s, and never more than half', async () => {
  const { pool, clock } = setUp();
  const ejected: string[] = [];
  const devices = new Pool({
    clock,
    breaker: { failures: 5, openMs: 5000, maxOpenMs: 8000 },
    queue: 3,
    queueWaitMs: 2000,
    onEjected: (id, why) => ejected.push(`${id} ${why}`),
  });
  for (const id of ['a', 'b', 'c']) devices.add(deviceBackend(id), 1);
  const onA: Attempt = { ...local, backend: 'a' };
  const lengths: number[] = [];
  for (let k = 0; k < 7; k++) {
    const failures = k === 0 ? 3 : 1;
    for (let at = 0; at < failures; at++) (await devices.acquire(onA, choice())).done('failure', failure);
    const outMs = devices.view().backends[0]?.ejectedMs ?? 0;
    lengths.push(outMs);
    clock.advance(outMs);
  }
  assert.deepEqual(lengths, [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
  assert.deepEqual(ejected, ['a failures']);
  const onB: Attempt = { ...local, backend: 'b' };
  for (let at = 0; at < 3; at++) (await devices.acquire(onB, choice())).done('failure', failure);
  const b = devices.view().backends[1];
  assert.deepEqual([b?.ejectedMs, b?.handicapMs], [undefined, 10_000], 'a second of three would be more than half');
  assert.equal((await devices.acquire(local, choice())).backend.id, 'c');
  void pool;
});

test('three answers that begin far later than predicted eject a device', async () => {
  const { pool } = setUp();
  for (const id of ['a', 'b']) pool.add(deviceBackend(id), 1);
  const onA: Attempt = { ...local, backend: 'a' };
  for (const firstTokenMs of [...Array.from({ length: 20 }, () => 50), 30_000, 30_000, 30_000]) {
    const timing = { firstTokenMs, promptTokens: 10, cachedTokens: 0 };
    (await pool.acquire(onA, choice())).done('success', undefined, timing);
  }
  assert.equal(pool.view().backends[0]?.breaker, 'open');
});

test('background requests wait until nobody else does, leave a place free and spare batteries', async () => {
  const { pool } = setUp();
  const background = { lane: 'background' } as const;
  pool.add(deviceBackend('a', { isCharging: false }), 1);
  pool.add(deviceBackend('b'), 1);
  const first = await pool.acquire(local, choice(background));
  assert.equal(first.backend.id, 'b');
  const order: string[] = [];
  const patient = pool.acquire(local, choice(background)).then((lease) => {
    order.push('background');
    return lease;
  });
  const interactive = await pool.acquire(local, choice());
  const next = pool.acquire(local, choice()).then((lease) => {
    order.push('interactive');
    return lease;
  });
  await settle();
  first.done('success');
  (await next).done('success');
  interactive.done('success');
  await patient;
  assert.deepEqual(order, ['interactive', 'background']);
});

test('a device that asked to be left alone for a moment is waited for, and is not at fault', async () => {
  const { pool, clock } = setUp();
  pool.add(deviceBackend('a'), 1);
  const busy = new BackendError('x', { fault: 'busy', backend: 'a', retryAfterMs: 250 });
  (await pool.acquire(local, choice())).done('neutral', busy);
  let isGiven = false;
  void pool.acquire(local, choice()).then(() => (isGiven = true));
  await clock.advanceAsync(200);
  assert.equal(isGiven, false);
  await clock.advanceAsync(100);
  assert.equal(isGiven, true);
});

test('among models the operator’s order comes first, then the largest, as long as its first token comes soon', async () => {
  const clock = new FakeClock();
  const breaker = { failures: 2, openMs: 1000, maxOpenMs: 8000 };
  const make = (modelOrder: readonly string[]): Pool => {
    const pool = new Pool({ clock, breaker, queue: 3, queueWaitMs: 2000, modelOrder, firstTokenBudgetMs: 10_000 });
    for (const [id, weights, prefillRate] of [
      ['phone', 1e8, 900],
      ['laptop', 3e9, 100],
    ] as const) {
      const status: BackendStatus = { state: 'ready', prefillRate, decodeRate: 20 };
      const device = deviceBackend(id, {}, { models: [`${id}-model`], status });
      pool.add(Object.assign(device, { weightsOf: () => weights }), 1);
    }
    return pool;
  };
  assert.equal((await make([]).acquire(local, choice())).backend.id, 'laptop');
  assert.equal((await make(['phone-model']).acquire(local, choice())).backend.id, 'phone');
  const long = choice({}, { promptTokens: 1200 });
  assert.equal((await make([]).acquire(local, long)).backend.id, 'phone', 'the laptop would take 12 s to read it');
});

test('a count that no model could have read or written teaches neither speeds nor the size of requests', async () => {
  const { pool } = setUp();
  pool.add(fakeBackend('a', { status: { state: 'ready', slots: 1 } }), 1);
  const answered = async (promptTokens: number, tokens: number): Promise<void> => {
    const timing = { firstTokenMs: 1000, promptTokens, cachedTokens: 0, answer: { tokens, ms: 5000 } };
    (await pool.acquire(local, choice())).done('success', undefined, timing);
  };
  for (let turn = 0; turn < 8; turn++) await answered(1000, 100);
  const known = (): unknown => pool.view().backends.map(({ status }) => [status.prefillRate, status.decodeRate]);
  const queued = async (): Promise<number | undefined> => {
    const lease = await pool.acquire(local, choice());
    const waiting = pool.acquire(local, choice()).catch(() => undefined);
    const ms = pool.view().backends[0]?.queueMs;
    lease.done('neutral');
    (await waiting)?.done('neutral');
    return ms;
  };
  const [rates, queueMs] = [known(), await queued()];
  await answered(mostTokens, 100);
  await answered(1000, mostTokens);
  assert.deepEqual([known(), await queued()], [rates, queueMs]);
});

test('a backend that takes nothing for a moment is waited for, one that asks for longer is not', async () => {
  for (const [retryAfterMs, isWaitedFor] of [
    [2_000, true],
    [2_001, false],
  ] as const) {
    const { clock, pool } = setUp();
    pool.add(fakeBackend('a'), 1);
    const busy = new BackendError('busy', { fault: 'busy', backend: 'a', retryAfterMs });
    (await pool.acquire(local, choice())).done('neutral', busy);
    const leased = pool.acquire(local, choice());
    if (isWaitedFor) {
      await clock.advanceAsync(retryAfterMs);
      assert.equal((await leased).backend.id, 'a');
    } else {
      const error = await refusal(leased);
      assert.deepEqual([error.status, error.retryAfterMs], [429, retryAfterMs]);
    }
    assert.equal(pool.waiting, 0);
  }
});

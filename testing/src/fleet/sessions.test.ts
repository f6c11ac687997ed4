import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeptAnswers } from '@lfo/device-core';
import { AnswerSequence, deviceMessages, type DeviceMessage, type MessageOf, type RouterMessage } from '@lfo/protocol';
import type { CallLoss, RouterSession } from '@lfo/router/src/backends/engines/device/router-session.ts';
import { SessionKeeper, type GreetedLink } from '@lfo/router/src/backends/engines/device/session-keeper.ts';
import * as z from 'zod';
import { deviceVectors } from '../device-vectors.ts';
import { FakeClock } from '../fake-clock.ts';
import { scriptedHello as plainHello } from '../scripted-device.ts';

type Numbered = MessageOf<DeviceMessage, 'delta' | 'done' | 'error'>;

const idAndNumber = z.array(z.object({ id: z.number(), n: z.number() }));
const numbered = z.json().transform((value): Numbered => {
  const read = deviceMessages.read(value);
  assert.ok(
    'message' in read && (read.message.t === 'delta' || read.message.t === 'done' || read.message.t === 'error'),
  );
  return read.message;
});
const vectors = deviceVectors(
  'sessions',
  z.object({
    cases: z.array(
      z.object({
        name: z.string(),
        sent: z.array(numbered),
        arrived: z.number(),
        client: z.string().optional(),
        boot: z.string().optional(),
        device_has: z.array(z.number()).optional(),
        hello: idAndNumber.nullable(),
        resume: idAndNumber,
        resumed: z.boolean().default(true),
        resent: z.array(numbered),
        router_sends_again: z.boolean().default(false),
        device_cancels: z.array(z.number()).default([]),
        // oxlint-disable-next-line unicorn/no-thenable -- the name the vectors give it
        then: z.array(numbered),
        answer: z.string().nullable(),
        code: z.string().optional(),
      }),
    ),
    numbering: z.array(
      z.object({
        name: z.string(),
        ns: z.array(z.number()),
        end: z.number().optional(),
        taken: z.array(z.number()),
        fails: z.boolean().default(false),
      }),
    ),
  }),
);

const scriptedHello = { ...plainHello, features: ['resume'] };
const requestId = 3;
const graceMs = 10_000;
const otherBoot = 'BBBBBBBBBBBBBBBBBBBBBA';

const complete: MessageOf<RouterMessage, 'complete'> = {
  t: 'complete',
  id: requestId,
  model: 'm',
  lane: 'interactive',
  messages: [],
  tools: [],
};

function routerSide() {
  const clock = new FakeClock();
  const over: RouterSession[] = [];
  let sessions = 0;
  const keeper = new SessionKeeper({
    clock,
    graceMs,
    newSessionId: () => `${'A'.repeat(20)}${sessions++}Q`,
    onSessionOver: (session) => over.push(session),
  });
  const link = () => {
    const sent: RouterMessage[] = [];
    const ends: string[] = [];
    const greeted: GreetedLink = {
      send: (message) => sent.push(message),
      close: (code) => ends.push(code),
      cut: () => ends.push('cut'),
      rttMs: () => 0,
    };
    return { ...greeted, greeted, sent, ends };
  };
  const call = () => {
    const got: Numbered[] = [];
    const losses: CallLoss[] = [];
    let suspended = 0;
    const listener = {
      onMessage: (message: Numbered) => got.push(message),
      onLost: (loss: CallLoss) => losses.push(loss),
      onSuspended: () => suspended++,
    };
    const text = (): string =>
      got.flatMap((m) => (m.t === 'delta' ? m.parts.map((p) => (p.k === 'text' ? p.text : '')) : [])).join('');
    return { listener, got, losses, text, suspended: () => suspended };
  };
  return { clock, keeper, over, link, call };
}

for (const vector of vectors.cases)
  test(`a link lost and a device back: ${vector.name}`, () => {
    const { clock, keeper, link, call } = routerSide();
    const cancelled: number[] = [];
    const device = new KeptAnswers({ clock, cancel: (id) => cancelled.push(id) });
    const first = link();
    const greeting = keeper.greet(scriptedHello, first.greeted);
    assert.ok(greeting.kind === 'new');
    const { session } = greeting;
    device.welcomed({ session: session.id, resumed: false, resume: [] }, () => {});
    const { listener, got, losses, text } = call();
    session.start(complete, listener);

    const wasReceived = vector.hello?.some(({ id }) => id === requestId) ?? vector.sent.length > 0;
    if (wasReceived) device.accept(requestId);
    for (const message of vector.sent) sayAt(device, message);
    // What the engine has said since the link was lost, up to the number the device would send next.
    for (let n = vector.sent.length; n < (vector.hello?.[0]?.n ?? 0); n++)
      device.say({ t: 'delta', id: requestId, n, parts: [] });
    for (const message of vector.sent.slice(0, vector.arrived)) session.receive(message);
    const has = vector.device_has?.[0];
    if (has !== undefined) device.acknowledge(requestId, has);
    if (vector.client !== undefined) session.abandon(requestId);
    device.lost(graceMs);
    keeper.closed(first.greeted);

    if (vector.hello !== null) assert.deepEqual(device.hello, { id: session.id, requests: vector.hello });
    const second = link();
    const back = keeper.greet(
      {
        ...scriptedHello,
        ...(vector.hello === null ? {} : { session: device.hello }),
        boot: vector.boot === 'another' || vector.hello === null ? otherBoot : scriptedHello.boot,
      },
      second.greeted,
    );
    assert.ok(back.kind !== 'conflict');
    assert.equal(back.kind === 'resumed', vector.resumed);
    assert.deepEqual(back.resume, vector.resume);
    assert.deepEqual(back.again.length > 0, vector.router_sends_again);

    const resent: DeviceMessage[] = [];
    if (vector.resumed) {
      cancelled.length = 0;
      device.welcomed({ session: back.session.id, resumed: true, resume: back.resume }, (message) => {
        resent.push(message);
        receive(back.session, message);
      });
      assert.deepEqual(resent, vector.resent);
      // A request that ends as lost is worked on no longer either.
      const isLost = vector.resent.some((message) => message.t === 'error');
      assert.deepEqual(cancelled, isLost ? [requestId] : vector.device_cancels);
      for (const { id } of back.again) device.accept(id);
      for (const message of vector.then) sayAt(device, message);
    }
    const end = got.at(-1);
    if (vector.answer !== null) {
      assert.equal(text(), vector.answer);
      assert.deepEqual([end?.t, losses], ['done', []]);
    } else if (vector.client !== undefined) assert.deepEqual(losses, []);
    else assert.equal(end?.t === 'error' ? end.code : losses[0]?.replace('process_ended', 'lost'), vector.code);
  });

/** Says a message of a vector, an error included. */
function sayAt(device: KeptAnswers, message: Numbered): void {
  if (message.t !== 'error') device.say(message);
  else device.say({ ...message, id: message.id ?? 0, n: message.n ?? 0 });
}

function receive(session: RouterSession, message: DeviceMessage): void {
  if (message.t === 'delta' || message.t === 'done' || message.t === 'error') session.receive(message);
}

for (const { name, ns, end, taken, fails } of vectors.numbering)
  test(`numbers are taken once and in order: ${name}`, () => {
    const sequence = new AnswerSequence();
    const places = ns.map((n) => [n, sequence.take(n, n === end)] as const);
    assert.deepEqual(
      places.filter(([, place]) => place === 'next').map(([n]) => n),
      taken,
    );
    assert.equal(
      places.some(([, place]) => place === 'gap'),
      fails,
    );
  });

const delta = (n: number, text = 'x'): MessageOf<DeviceMessage, 'delta'> => ({
  t: 'delta',
  id: requestId,
  n,
  parts: [{ k: 'text', text }],
});
const done = (n: number): MessageOf<DeviceMessage, 'done'> => ({ t: 'done', id: requestId, n, finish_reason: 'stop' });

function running() {
  const side = routerSide();
  const first = side.link();
  const greeting = side.keeper.greet(scriptedHello, first.greeted);
  assert.ok(greeting.kind === 'new');
  const waiting = side.call();
  greeting.session.start(complete, waiting.listener);
  return { ...side, first, session: greeting.session, waiting };
}

test('the router acknowledges every 32, every second, and each end at once', () => {
  const { clock, session, first } = running();
  const acks = (): number[] => first.sent.flatMap((message) => (message.t === 'ack' ? [message.n] : []));
  for (let n = 0; n < 31; n++) session.receive(delta(n));
  assert.deepEqual(acks(), []);
  session.receive(delta(31));
  assert.deepEqual(acks(), [32]);
  session.receive(delta(32));
  clock.advance(999);
  assert.deepEqual(acks(), [32]);
  clock.advance(1);
  assert.deepEqual(acks(), [32, 33]);
  session.receive(done(33));
  assert.deepEqual(acks(), [32, 33, 34]);
  clock.advance(60_000);
  assert.equal(clock.pendingTimers, 0);
});

test('a gap fails the request and cancels it, and the session goes on', () => {
  const { session, first, waiting } = running();
  session.receive(delta(0));
  session.receive(delta(2));
  session.receive(delta(1));
  assert.deepEqual([waiting.losses, waiting.text()], [['out_of_order'], 'x']);
  assert.deepEqual(first.sent.at(-1), { t: 'cancel', id: requestId });
  assert.equal(session.isLinked, true);
});

test('a request without a word for 3 s, or without a sign of work for 15 s, has failed', () => {
  const mute = running();
  mute.clock.advance(2_999);
  assert.deepEqual(mute.waiting.losses, []);
  mute.clock.advance(1);
  assert.deepEqual(mute.waiting.losses, ['silent']);
  const hung = running();
  hung.session.vouched(requestId);
  hung.clock.advance(14_999);
  hung.session.vouched(requestId);
  hung.clock.advance(14_999);
  assert.deepEqual(hung.waiting.losses, []);
  hung.clock.advance(1);
  assert.deepEqual(hung.waiting.losses, ['silent']);
  assert.deepEqual(hung.first.sent.at(-1), { t: 'cancel', id: requestId });
});

test('a link that does not come back within the grace loses its calls, and the session is forgotten', () => {
  const { clock, keeper, over, first, session, waiting } = running();
  session.receive(delta(0));
  keeper.closed(first.greeted);
  assert.equal(waiting.suspended(), 1);
  clock.advance(graceMs - 1);
  assert.deepEqual([waiting.losses, over], [[], []]);
  clock.advance(1);
  assert.deepEqual(waiting.losses, ['lost']);
  assert.deepEqual(over, [session]);
  assert.equal(clock.pendingTimers, 0);
});

test('the device stops its engine when the grace is over', () => {
  const clock = new FakeClock();
  const cancelled: number[] = [];
  const device = new KeptAnswers({ clock, cancel: (id) => cancelled.push(id) });
  device.welcomed({ session: 's', resumed: false, resume: [] }, () => {});
  device.accept(1);
  device.lost(graceMs);
  clock.advance(graceMs - 1);
  assert.deepEqual([cancelled, device.hello], [[], { id: 's', requests: [{ id: 1, n: 0 }] }]);
  clock.advance(1);
  assert.deepEqual([cancelled, device.hello], [[1], undefined]);
});

test('a mebibyte that is not acknowledged makes the engine pause until it is', () => {
  const device = new KeptAnswers({ clock: new FakeClock(), cancel: () => {} });
  device.welcomed({ session: 's', resumed: false, resume: [] }, () => {});
  device.accept(requestId);
  for (let n = 0; n < 16; n++) device.say(delta(n, 'x'.repeat(65_536)));
  assert.equal(device.isFull(requestId), true);
  device.acknowledge(requestId, 8);
  assert.equal(device.isFull(requestId), false);
});

test('the same process on a second link takes the session, and the first is closed without a word', () => {
  const { keeper, first, session, link, waiting } = running();
  session.receive(delta(0));
  const second = link();
  const greeting = keeper.greet(
    { ...scriptedHello, session: { id: session.id, requests: [{ id: requestId, n: 1 }] } },
    second.greeted,
  );
  assert.equal(greeting.kind, 'resumed');
  assert.deepEqual(first.ends, ['cut']);
  keeper.closed(first.greeted);
  assert.equal(session.isLinked, true, 'the close of the older link changes nothing');
  session.receive(delta(1));
  session.receive(done(2));
  assert.equal(waiting.text(), 'xx');
  assert.equal(session.resumes, 1);
});

test('another process with the key takes over, and the older one is told so', () => {
  const { keeper, first, link, waiting } = running();
  assert.equal(keeper.greet({ ...scriptedHello, boot: otherBoot }, link().greeted).kind, 'new');
  assert.deepEqual(first.ends, ['replaced']);
  assert.deepEqual(waiting.losses, ['process_ended']);
});

test('two devices with one key are both told, until one alone has called for ten minutes', () => {
  const { keeper, first, link, clock } = running();
  const boots = [otherBoot, scriptedHello.boot];
  const second = link();
  const third = link();
  const fourth = link();
  assert.equal(keeper.greet({ ...scriptedHello, boot: otherBoot }, second.greeted).kind, 'new');
  assert.equal(keeper.greet({ ...scriptedHello, boot: boots[1] ?? '' }, third.greeted).kind, 'new');
  assert.equal(keeper.greet({ ...scriptedHello, boot: otherBoot }, fourth.greeted).kind, 'conflict');
  assert.deepEqual(
    [first.ends, second.ends, third.ends, fourth.ends],
    [['replaced'], ['replaced'], ['duplicate_identity'], ['duplicate_identity']],
  );
  assert.equal(keeper.session, undefined, 'nothing is dispatched to either');
  clock.advance(5 * 60_000);
  assert.equal(keeper.greet({ ...scriptedHello, boot: otherBoot }, link().greeted).kind, 'conflict');
  clock.advance(4 * 60_000);
  assert.equal(keeper.greet(scriptedHello, link().greeted).kind, 'conflict', 'the other calls too: it starts anew');
  clock.advance(10 * 60_000 - 1);
  assert.equal(keeper.greet(scriptedHello, link().greeted).kind, 'conflict');
  clock.advance(1);
  assert.equal(keeper.greet(scriptedHello, link().greeted).kind, 'new');
  assert.equal(keeper.isConflict, false);
});

test('a device that is removed leaves its conflict behind', () => {
  const { keeper, link } = running();
  for (const boot of [otherBoot, scriptedHello.boot, otherBoot])
    keeper.greet({ ...scriptedHello, boot }, link().greeted);
  assert.equal(keeper.isConflict, true);
  keeper.end();
  assert.equal(keeper.greet(scriptedHello, link().greeted).kind, 'new');
});

test('a device that comes back after its link closed by itself is no conflict, however often', () => {
  const { keeper, link, first } = running();
  keeper.closed(first.greeted);
  for (let at = 0; at < 10; at++) {
    const next = link();
    const boot = `${String(at).padStart(21, 'A')}Q`;
    assert.equal(keeper.greet({ ...scriptedHello, boot }, next.greeted).kind, 'new');
    keeper.closed(next.greeted);
  }
});

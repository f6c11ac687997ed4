import assert from 'node:assert/strict';
import { test } from 'node:test';
import { carrierPair } from '@lfo/testing/carrier-pair.ts';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import { scriptedHello } from '@lfo/testing/scripted-device.ts';
import { framedChannel } from './channel.ts';
import { encodeFrame, maxFrameBytes } from './frame.ts';
import { deviceLink, routerLink, writeStallMs } from './link.ts';
import type { DeviceMessage, RouterMessage } from './messages/messages.ts';

const frameOf = (value: unknown): Uint8Array => encodeFrame(Buffer.from(JSON.stringify(value)));

function pair() {
  const clock = new FakeClock();
  const [near, far] = carrierPair();
  const device = deviceLink(framedChannel(near, maxFrameBytes), clock);
  const router = routerLink(framedChannel(far, maxFrameBytes), clock);
  const toRouter: DeviceMessage[] = [];
  const toDevice: RouterMessage[] = [];
  const log: string[] = [];
  device.listen({
    onMessage: (message) => toDevice.push(message),
    onDrain: () => log.push('device drain'),
    onInvalid: (type, id) => log.push(`device invalid ${type} ${id}`),
    onClose: (code) => log.push(`device ${code}`),
  });
  router.listen({
    onMessage: (message) => message.t === 'hello' || toRouter.push(message),
    onInvalid: (type, id) => log.push(`router invalid ${type} ${id}`),
    onClose: (code) => log.push(`router ${code}`),
  });
  far.inject(frameOf(scriptedHello));
  return { clock, near, far, device, router, toRouter, toDevice, log };
}

test('messages arrive typed and in order, text beyond ASCII whole', async () => {
  const { device, router, toRouter, toDevice } = pair();
  device.send({ t: 'delta', id: 1, n: 0, parts: [{ k: 'text', text: 'žluť 🦆 \u2028' }] });
  device.send({ t: 'ping', n: 4 });
  router.send({ t: 'cancel', id: 1 });
  await settle();
  assert.deepEqual(toRouter, [
    { t: 'delta', id: 1, n: 0, parts: [{ k: 'text', text: 'žluť 🦆 \u2028' }] },
    { t: 'ping', n: 4 },
  ]);
  assert.deepEqual(toDevice, [{ t: 'cancel', id: 1 }]);
});

test('unknown fields are dropped', async () => {
  const { near, toDevice } = pair();
  near.inject(encodeFrame(Buffer.from('{"t":"cancel","id":3,"colour":"blue","__proto__":{"x":1}}')));
  assert.deepEqual(toDevice, [{ t: 'cancel', id: 3 }]);
});

test('an unknown type is answered with error unknown_type and the link stays open', async () => {
  const { near, toRouter, toDevice, router } = pair();
  near.inject(frameOf({ t: 'sing', id: 9 }));
  router.send({ t: 'drain', on: true });
  await settle();
  assert.equal(toRouter[0]?.t === 'error' && toRouter[0].code, 'unknown_type');
  assert.equal(toRouter[0]?.t === 'error' && toRouter[0].id, 9);
  assert.deepEqual(toDevice, [{ t: 'drain', on: true }]);
});

test('a known type that does not fit is refused by its id, and the id is reported', async () => {
  const { near, toRouter, log } = pair();
  near.inject(frameOf({ t: 'complete', id: 5, model: 7 }));
  await settle();
  assert.equal(toRouter[0]?.t === 'error' && toRouter[0].code, 'bad_request');
  assert.deepEqual(log, ['device invalid complete 5']);
});

test('a broken error is not answered', async () => {
  const { near, toRouter, log } = pair();
  near.inject(frameOf({ t: 'error', id: 5 }));
  await settle();
  assert.deepEqual(toRouter, []);
  assert.deepEqual(log, ['device invalid error 5']);
});

for (const [name, bytes, code] of [
  ['text that is not JSON', Buffer.from('{"t":'), 'bad_json'],
  ['bytes that are not UTF-8', Uint8Array.of(0x22, 0xff, 0x22), 'bad_json'],
  ['JSON that is no message', Buffer.from('[1]'), 'bad_message'],
  ['null', Buffer.from('null'), 'bad_message'],
] as const) {
  test(`${name} closes the link with the reason ${code}`, async () => {
    const { near, toRouter, toDevice, log, device } = pair();
    near.inject(Buffer.concat([encodeFrame(bytes), frameOf({ t: 'drain', on: true })]));
    await settle();
    assert.deepEqual(toRouter, [{ t: 'bye', code }]);
    assert.deepEqual(toDevice, [], 'nothing after it is delivered');
    assert.ok(log.includes(`device ${code}`) && log.includes('router carrier_closed'), log.join());
    assert.equal(device.send({ t: 'ping', n: 1 }), false);
  });
}

test('a hostile length closes the link, and the peer is told why', async () => {
  const { near, log, toRouter } = pair();
  near.inject(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
  near.inject(frameOf({ t: 'drain', on: true }));
  await settle();
  assert.ok(log.includes('device frame_too_large'), log.join());
  assert.deepEqual(toRouter, [{ t: 'bye', code: 'frame_too_large' }]);
});

test('a message larger than a frame is refused to its sender and the link stays open', async () => {
  const { router, toDevice } = pair();
  router.agreeMaxFrame(1000);
  const big = { t: 'load', id: 1, model: 'x'.repeat(1000) } as const;
  assert.throws(() => router.send(big), { name: 'MessageTooLargeError', limitBytes: 1000 });
  router.send({ t: 'drain', on: true });
  await settle();
  assert.deepEqual(toDevice, [{ t: 'drain', on: true }]);
});

test('an oversize message of ours, sent while the peer is heard, is not taken for the fault of the peer', async () => {
  const clock = new FakeClock();
  const [near, far] = carrierPair();
  const router = routerLink(framedChannel(far, maxFrameBytes), clock);
  const ends: string[] = [];
  router.listen({
    onMessage: () => router.send({ t: 'load', id: 1, model: 'x'.repeat(2 * maxFrameBytes) }),
    onClose: (code) => ends.push(code),
  });
  assert.throws(() => far.inject(frameOf(scriptedHello)), { name: 'MessageTooLargeError' });
  await settle();
  assert.deepEqual([router.closed, ends], [false, []]);
  assert.equal(near.written.length, 0);
});

for (const report of [{ confidence: 1.2 }, { confidence: 'high', handoff: 'maybe', x: [null] }, 'sure', 7]) {
  test(`a self-report of ${JSON.stringify(report)} ends neither the answer nor the link and is kept raw`, async () => {
    const { near, far, toRouter, log } = pair();
    far.inject(
      frameOf({
        t: 'done',
        id: 1,
        n: 0,
        finish_reason: 'stop',
        usage: { prompt_tokens: 1, completion_tokens: 1 },
        self_report: report,
      }),
    );
    await settle();
    const [done] = toRouter;
    assert.ok(done?.t === 'done');
    assert.deepEqual(done.self_report, report);
    assert.deepEqual(log, []);
    assert.equal(near.written.length, 0);
  });
}

test('hints of a device that are out of range are absent, and its message stands', async () => {
  const { far, toRouter, log } = pair();
  far.inject(
    frameOf({
      t: 'state',
      seq: 0,
      accepting: true,
      models: [{ id: 'm', resident: true, slots: 1, active: 0, queued: 0, tps: { prefill: -3, decode: 9 } }],
      battery: { pct: 900, charging: 'no' },
      thermal: { status: 77 },
      mem_free_mb: 'much',
    }),
  );
  await settle();
  const [state] = toRouter;
  assert.ok(state?.t === 'state');
  assert.deepEqual(
    [state.battery, state.thermal, state.models[0]?.tps, state.mem_free_mb],
    [undefined, undefined, { prefill: undefined, decode: 9 }, undefined],
  );
  assert.deepEqual(log, []);
});

test('the frame limit is negotiated down, never up', async () => {
  const { router, near, log, far } = pair();
  router.agreeMaxFrame(100);
  router.agreeMaxFrame(1_000_000);
  far.inject(frameOf({ t: 'bye', code: 'x'.repeat(200) }));
  await settle();
  assert.ok(log.includes('router frame_too_large'), log.join());
  assert.equal(near.written.length, 0);
});

test('a full carrier makes the link unwritable until it drains', async () => {
  const { near, device, log, toRouter, clock } = pair();
  near.flowing = false;
  assert.equal(device.send({ t: 'ping', n: 1 }), false);
  assert.equal(device.writable, false);
  near.flowing = true;
  await settle();
  assert.equal(device.writable, true);
  assert.deepEqual(log, ['device drain']);
  assert.equal(toRouter.length, 1);
  assert.equal(clock.pendingTimers, 0);
});

test('a write stalled for 10 s closes the link', async () => {
  const { near, device, log, clock } = pair();
  near.flowing = false;
  device.send({ t: 'ping', n: 1 });
  await clock.advanceAsync(writeStallMs - 1);
  device.send({ t: 'ping', n: 2 });
  assert.equal(device.closed, false);
  await clock.advanceAsync(1);
  assert.ok(log.includes('device write_stalled'), log.join());
});

test('a peer that does not take the end of the link is cut off after 10 s', async () => {
  const clock = new FakeClock();
  const closes: (boolean | undefined)[] = [];
  const hung = { write: () => true, listen() {}, close: (now?: boolean) => closes.push(now) };
  const link = routerLink(framedChannel(hung, maxFrameBytes), clock);
  link.listen({ onMessage() {}, onClose() {} });
  link.close('closing');
  assert.deepEqual(closes, [false]);
  clock.advance(writeStallMs);
  assert.deepEqual(closes, [false, true]);
});

test('a peer that vanishes closes the link once', async () => {
  const { near, log } = pair();
  near.cut();
  await settle();
  assert.deepEqual(log.toSorted(), ['device carrier_closed', 'router carrier_closed']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { carrierPair } from '@lfo/testing/carrier-pair.ts';
import { deviceVectors } from '@lfo/testing/device-vectors.ts';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import { scriptedHello, scriptedState } from '@lfo/testing/scripted-device.ts';
import * as z from 'zod';
import { framedChannel } from '../channel.ts';
import { encodeFrame, maxFrameBytes } from '../frame.ts';
import { deviceLink, routerLink } from '../link.ts';
import { deviceBounds, selfReportBytes } from './device-messages.ts';

const { cases } = deviceVectors(
  'messages',
  z.object({
    cases: z.array(
      z.object({
        from: z.enum(['device', 'router']),
        name: z.string(),
        message: z.json(),
        outcome: z.string(),
        ignored: z.array(z.string()).default([]),
        after: z.string().optional(),
      }),
    ),
  }),
);
const anyObject = z.record(z.string(), z.unknown());
const frameOf = (value: unknown): Uint8Array => encodeFrame(Buffer.from(JSON.stringify(value)));

/** The receiver of one direction, past its `hello` unless told otherwise. */
function receiver(from: 'device' | 'router', isGreeted = true) {
  const [near, far] = carrierPair();
  const heard: Record<string, unknown>[] = [];
  const clipped: string[] = [];
  const answers: unknown[] = [];
  const ends: string[] = [];
  const listener = {
    onMessage: (message: unknown) => heard.push(anyObject.parse(message)),
    onClipped: (fields: readonly string[]) => clipped.push(...fields),
    onClose: (code: string) => ends.push(code),
  };
  const channel = framedChannel(near, maxFrameBytes);
  if (from === 'device') routerLink(channel, new FakeClock()).listen(listener);
  else deviceLink(channel, new FakeClock()).listen(listener);
  far.listen({
    onData: (bytes) => answers.push(JSON.parse(Buffer.from(bytes).toString('utf8', 4))),
    onDrain() {},
    onClose() {},
  });
  if (from === 'device' && isGreeted) near.inject(frameOf(scriptedHello));
  heard.length = 0;
  return { say: (message: unknown) => near.inject(frameOf(message)), heard, clipped, answers, ends };
}

for (const { from, name, message, outcome, ignored, after } of cases)
  test(`${name} from a ${from}: ${outcome}`, async () => {
    const isHello = anyObject.safeParse(message).data?.['t'] === 'hello';
    const { say, heard, clipped, answers, ends } = receiver(
      from,
      after === 'welcome' || (after !== 'handshake' && !isHello),
    );
    say(message);
    await settle();
    switch (outcome) {
      case 'ok': {
        assert.deepEqual([answers, ends], [[], []]);
        const [taken] = heard;
        assert.ok(taken !== undefined);
        for (const path of ignored) assertAbsent(taken, anyObject.parse(message), path.split('.'));
        // What was never said is no loss.
        const isLost = ignored.some((path) => isSaid(message, path.split('.')));
        assert.equal(clipped.length > 0, isLost);
        if (ignored.length === 0) assertTakes(taken, message, name);
        return;
      }
      case 'silent':
        return assert.deepEqual([answers, ends], [[], []]);
      case 'bad_request':
      case 'unknown_type': {
        assert.equal(answers.length, 1);
        const error = anyObject.parse(answers[0]);
        assert.deepEqual([error['t'], error['code']], ['error', outcome]);
        const { id } = anyObject.parse(message);
        assert.equal(error['id'], typeof id === 'number' ? id : undefined);
        return assert.deepEqual([heard, ends], [[], []]);
      }
      default:
        assert.deepEqual(answers, [{ t: 'bye', code: outcome }]);
        assert.deepEqual([heard, ends], [[], [outcome]]);
    }
  });

/** Everything known of what was sent has been taken as it was. */
function assertTakes(taken: unknown, sent: unknown, name: string): void {
  if (name === 'error-with-a-new-code') return assert.equal(anyObject.parse(taken)['code'], 'internal');
  if (name === 'hello-of-the-future') return assert.equal('brain' in anyObject.parse(taken), false);
  assert.deepEqual(JSON.parse(JSON.stringify(taken)), sent);
}

function isSaid(sent: unknown, [step = '', ...rest]: readonly string[]): boolean {
  const value: unknown = Array.isArray(sent) ? sent[Number(step)] : anyObject.safeParse(sent).data?.[step];
  return rest.length === 0 ? value !== undefined : isSaid(value, rest);
}

/** A field reads as absent; an item of a list has been left out. */
function assertAbsent(taken: unknown, sent: unknown, [step = '', ...rest]: readonly string[]): void {
  if (Array.isArray(sent)) return assert.ok(Array.isArray(taken) && !taken.includes(sent[Number(step)]));
  const [from, to] = [anyObject.parse(taken)[step], anyObject.parse(sent)[step]];
  if (rest.length === 0) assert.equal(from, undefined, step);
  else assertAbsent(from, to, rest);
}

const bounds = deviceVectors(
  'trust',
  z.object({ bounds: z.record(z.string(), z.union([z.number(), z.tuple([z.number(), z.number()])])) }),
).bounds;

test('the bounds are those of the vectors', () => {
  assert.deepEqual(bounds, {
    name: deviceBounds.name,
    app: deviceBounds.app,
    os: deviceBounds.os,
    'engine.name': deviceBounds.engine,
    'engine.version': deviceBounds.engine,
    why: deviceBounds.why,
    'error.message': deviceBounds.errorMessage,
    models: deviceBounds.models,
    features: deviceBounds.features,
    caps: deviceBounds.caps,
    warm: deviceBounds.warm,
    slots: [...deviceBounds.slots],
    queue_max: [...deviceBounds.queueMax],
    ctx: [...deviceBounds.ctx],
    'battery.pct': [...deviceBounds.batteryPct],
    'thermal.status': [...deviceBounds.thermalStatus],
    self_report_bytes: selfReportBytes,
  });
});

const offer = { id: 'm', ctx: 2048, caps: ['tools'], resident: true, slots: 1 };

test('a hello beyond every bound is cut, and each loss is named once', () => {
  const { say, heard, clipped, ends } = receiver('device', false);
  say({
    ...scriptedHello,
    name: `\u001b]0;pwn\u0007${'😀'.repeat(70)}\u202e`,
    app: 'a'.repeat(101),
    os: 5,
    engine: { name: 'e'.repeat(51), version: '1' },
    models: [
      { ...offer, ctx: 255 },
      { ...offer, id: 'a b' },
      { ...offer, slots: 65, caps: Array.from({ length: 20 }, () => 'tools') },
      { ...offer, caps: ['telepathy', 'scores'], params: -1, quant: null },
    ],
    queue_max: 65,
    features: Array.from({ length: 40 }, (_, at) => `f${at}`),
    wake: { mac: 'nonsense' },
    session: { id: 'x', requests: [] },
  });
  assert.deepEqual(ends, []);
  const { name, app, os, engine, models, queue_max: queueMax, features, wake, session } = anyObject.parse(heard[0]);
  assert.equal(name, `]0;pwn${'😀'.repeat(58)}`);
  assert.deepEqual([app, os, engine], ['a'.repeat(100), undefined, { name: 'e'.repeat(50), version: '1' }]);
  assert.deepEqual([queueMax, wake, session], [0, undefined, undefined]);
  const [first, second, third] = z.array(anyObject).parse(models);
  assert.equal(z.array(z.unknown()).parse(models).length, 3);
  assert.equal(z.array(z.unknown()).parse(features).length, 32);
  assert.equal(first?.['ctx'], undefined);
  assert.deepEqual([second?.['slots'], second?.['caps']], [1, ['tools']]);
  assert.deepEqual([third?.['caps'], third?.['params'], third?.['quant']], [['scores'], undefined, undefined]);
  assert.deepEqual(clipped.toSorted(), [
    'app',
    'engine.name',
    'features',
    'models.caps',
    'models.ctx',
    'models.id',
    'models.params',
    'models.quant',
    'models.slots',
    'name',
    'os',
    'queue_max',
    'session.id',
    'wake.mac',
  ]);
});

test('of forty models the first 32 are taken', () => {
  const { say, heard, clipped } = receiver('device');
  say({ t: 'models', models: Array.from({ length: 40 }, (_, at) => ({ ...offer, id: `m${at}` })) });
  assert.equal(z.array(z.unknown()).parse(heard[0]?.['models']).length, 32);
  assert.deepEqual(clipped, ['models']);
});

test('warm prefixes and a self-report beyond their bounds are cut and absent', () => {
  const { say, heard, clipped } = receiver('device');
  const warm = Array.from({ length: 17 }, (_, at) => ({ h: `${at}`, tokens: at }));
  say({ t: 'state', seq: 1, accepting: true, models: [{ ...scriptedState(), warm }] });
  const done = { t: 'done', id: 0, n: 0, finish_reason: 'stop' };
  say({ ...done, self_report: 'x'.repeat(selfReportBytes - 2) });
  say({ ...done, self_report: 'x'.repeat(selfReportBytes - 1) });
  say({ t: 'error', id: 0, n: 1, code: 'engine', message: 'e'.repeat(301), retryable: true });
  const [state, fits, large, error] = heard;
  assert.equal(z.array(z.unknown()).parse(z.array(anyObject).parse(state?.['models'])[0]?.['warm']).length, 16);
  assert.equal(z.string().parse(fits?.['self_report']).length, selfReportBytes - 2);
  assert.equal(large?.['self_report'], undefined);
  assert.equal(z.string().parse(error?.['message']).length, 300);
  assert.deepEqual(clipped, ['models.warm', 'self_report', 'message']);
});

test('the twentieth message that cannot be used ends the link', async () => {
  const { say, answers, ends } = receiver('device');
  for (let n = 0; n < 19; n++) say(n % 2 === 0 ? { t: 'delta', id: n } : { t: 'telepathy' });
  await settle();
  assert.deepEqual([answers.length, ends], [19, []]);
  say({ t: 'telepathy' });
  await settle();
  assert.deepEqual(answers.slice(20), [{ t: 'bye', code: 'bad_message' }]);
  assert.deepEqual(ends, ['bad_message']);
});

test('a broken error is never answered, however many come', async () => {
  const { say, answers, ends } = receiver('router');
  for (let n = 0; n < 50; n++) say({ t: 'error', message: 5 });
  await settle();
  assert.deepEqual([answers, ends], [[], []]);
});

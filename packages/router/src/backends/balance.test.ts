import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceVectors } from '@lfo/testing/device-vectors.ts';
import * as z from 'zod';
import { outLeft } from '../core/predicted-work.ts';
import { choose, predictedMs } from './balance.ts';

const vectors = deviceVectors(
  'balance',
  z.object({
    cases: z.array(
      z.object({
        name: z.string(),
        request: z.object({ prompt: z.number(), out: z.number(), max_tokens: z.number().default(Infinity) }),
        means: z.object({ prompt: z.number(), out: z.number() }),
        devices: z.array(
          z.object({
            id: z.string(),
            rtt: z.number(),
            P: z.number(),
            D: z.number(),
            slots: z.number(),
            resident: z.boolean(),
            load_ms: z.number(),
            warm: z.number(),
            own: z.array(z.object({ prompt_left: z.number(), out_left: z.number() })),
            foreign: z.number(),
            last_session: z.boolean(),
            running: z.number(),
            idle_ms: z.number(),
            slow_start: z.boolean().default(false),
            vitals: z.record(z.string(), z.json()).default({}),
          }),
        ),
        T_ms: z.record(z.string(), z.number()),
        chosen: z.string(),
      }),
    ),
    out_left: z.array(z.object({ expected: z.number(), produced: z.number(), left: z.number() })),
  }),
);

for (const { name, request, means, devices, T_ms: expected, chosen } of vectors.cases)
  test(`predicted work and the choice: ${name}`, () => {
    const size = { prompt: request.prompt, out: Math.min(request.out, request.max_tokens) };
    const candidates = devices.map((device) => {
      const { vitals } = device;
      const { wholeMs } = predictedMs(
        {
          rates: { prefillRate: device.P, decodeRate: device.D, fixedMs: 0 },
          rttMs: device.rtt,
          slots: device.slots,
          isResident: device.resident,
          loadMs: device.load_ms,
          warm: device.warm,
          own: device.own.map((work) => ({ promptLeft: work.prompt_left, outLeft: work.out_left })),
          foreign: device.foreign,
          condition: { isSlowStart: device.slow_start, ...conditionOf(vitals) },
        },
        size,
        means,
      );
      const { id, running, idle_ms: idleMs, last_session: isOfSession } = device;
      return { id, ms: wholeMs, running, lastPick: -idleMs, isOfSession };
    });
    const rounded = candidates.map(({ id, ms }) => [id, Math.round(ms * 10) / 10]);
    assert.deepEqual(Object.fromEntries(rounded), expected);
    assert.equal(choose(candidates)?.id, chosen);
  });

const vitalsOf = z.object({
  thermal: z.number().optional(),
  battery: z.object({ pct: z.number(), charging: z.boolean(), saver: z.boolean().optional() }).optional(),
});

function conditionOf(vitals: unknown): object {
  const { thermal, battery } = vitalsOf.parse(vitals);
  return {
    ...(thermal === undefined ? {} : { thermal }),
    ...(battery === undefined
      ? {}
      : { batteryPct: battery.pct, isCharging: battery.charging, isSaving: battery.saver }),
  };
}

for (const { expected, produced, left } of vectors.out_left)
  test(`${produced} of ${expected} expected tokens leave ${left}`, () =>
    assert.equal(outLeft(expected, produced), left));

test('nobody is chosen of nobody', () => assert.equal(choose([]), undefined));

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceVectors } from '@lfo/testing/device-vectors.ts';
import * as fc from 'fast-check';
import * as z from 'zod';
import { mostSaid, RateEstimator } from './rate-estimator.ts';

const near = (actual: number | undefined, expected: number, share = 0.05): void => {
  assert.ok(actual !== undefined && Math.abs(actual - expected) <= expected * share, `${actual} is not ${expected}`);
};

/** A machine with so many milliseconds a token and a fixed cost. */
const machine = (perTokenMs: number, fixedMs: number) => (tokens: number) => fixedMs + tokens * perTokenMs;

test('nothing is known before anything was seen', () => {
  assert.deepEqual(new RateEstimator().read(), {});
});

test('a fixed cost and a rate are told apart, with and without prompts that were warm', () => {
  const time = machine(10, 300);
  for (const lengths of [
    [100, 400, 1200, 250, 800],
    [100, 400, 7, 1200, 3, 250, 12, 800],
  ]) {
    const rates = new RateEstimator();
    for (const tokens of lengths) rates.addFirstToken(tokens, time(tokens));
    const { prefillRate, fixedMs } = rates.read();
    near(prefillRate, 100);
    near(fixedMs, 300);
  }
});

test('short reads, however many, do not make an engine seem slow', () => {
  const rates = new RateEstimator();
  const time = machine(5, 400);
  rates.addFirstToken(1500, time(1500));
  for (let i = 0; i < 100; i++) rates.addFirstToken(7, time(7));
  const { prefillRate, fixedMs } = rates.read();
  near(prefillRate, 200);
  near(fixedMs, 400);
});

test('prompts of one length give a rate, and no fixed cost is made up', () => {
  const rates = new RateEstimator();
  for (let i = 0; i < 5; i++) rates.addFirstToken(500, 5000);
  const { prefillRate, fixedMs = 1 } = rates.read();
  near(prefillRate, 100);
  assert.ok(fixedMs < 0.001, String(fixedMs));
});

test('a machine that becomes slower is believed within a few samples', () => {
  const rates = new RateEstimator();
  for (let i = 0; i < 50; i++) rates.addFirstToken(400 + i, machine(5, 100)(400 + i));
  for (let i = 0; i < 16; i++) rates.addFirstToken(400 + i, machine(20, 100)(400 + i));
  const { prefillRate = 0 } = rates.read();
  assert.ok(prefillRate < 80, String(prefillRate));
});

test('answers give the rate of writing by their tokens, and short ones none', () => {
  const rates = new RateEstimator();
  rates.addAnswer(7, 1);
  assert.equal(rates.read().decodeRate, undefined);
  rates.addAnswer(101, 10_000);
  rates.addAnswer(11, 1000);
  assert.equal(rates.read().decodeRate, 10);
});

test('what a device says of itself counts within bounds, and then while it is near what was seen', () => {
  const rates = new RateEstimator();
  assert.deepEqual(rates.read({ prefillRate: 1e9, decodeRate: 0.001 }), { prefillRate: 5000, decodeRate: 0.2 });
  rates.addFirstToken(100, 1000);
  assert.equal(rates.read({ prefillRate: 150 }).prefillRate, 150);
  assert.equal(rates.read({ prefillRate: 900 }).prefillRate, 100);
});

const speeds = z.object({ prefill: z.number().nullable(), decode: z.number().nullable() });
const { rates: vectors } = deviceVectors(
  'trust',
  z.object({
    rates: z.array(
      z.object({
        own: z.object({ prefill: z.number(), decode: z.number(), samples: z.int() }).nullable(),
        fleet_median: speeds.nullable(),
        said: speeds,
        taken: speeds,
      }),
    ),
  }),
);
for (const { own, fleet_median: median, said, taken } of vectors) {
  test(`of a device that says ${JSON.stringify(said)} where ${JSON.stringify(own ?? median)} is known`, () => {
    const rates = new RateEstimator();
    for (let sample = 1; sample <= (own?.samples ?? 0); sample++) {
      rates.addFirstToken(100 * sample, ((100 * sample) / (own?.prefill ?? 1)) * 1000);
      rates.addAnswer(11, (10 / (own?.decode ?? 1)) * 1000);
    }
    const most = median === null ? {} : mostSaid({ prefillRate: median.prefill ?? 0, decodeRate: median.decode ?? 0 });
    const { prefillRate, decodeRate } = rates.read(
      { prefillRate: said.prefill ?? 0, decodeRate: said.decode ?? 0 },
      most,
    );
    const isNear = (is: number | undefined, wanted: number | null): void => {
      if (wanted === null) assert.equal(is, undefined);
      else near(is, wanted);
    };
    isNear(prefillRate, taken.prefill);
    isNear(decodeRate, taken.decode);
  });
}

test('whatever is measured, what is read is finite and positive', () => {
  const sample = fc.record({ tokens: fc.double(), ms: fc.double(), answer: fc.boolean() });
  fc.assert(
    fc.property(fc.array(sample, { maxLength: 40 }), (samples) => {
      const rates = new RateEstimator();
      for (const { tokens, ms, answer } of samples) {
        const [bounded, time] = [Math.abs(tokens) % 100_000, Math.abs(ms) % 1e7];
        if (answer) rates.addAnswer(bounded, time);
        else rates.addFirstToken(bounded, time);
      }
      const { prefillRate = 1, fixedMs = 0, decodeRate = 1 } = rates.read();
      assert.ok(Number.isFinite(prefillRate) && prefillRate > 0, String(prefillRate));
      assert.ok(Number.isFinite(fixedMs) && fixedMs >= 0, String(fixedMs));
      assert.ok(Number.isFinite(decodeRate) && decodeRate > 0, String(decodeRate));
    }),
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scaled } from '../test-scale.ts';
import { simulate, type SimulationOptions, type VirtualDevice } from './simulation.ts';

// A process of its own: after other tests of the pool its millions of choices take several times as long.

/** A laptop that throttles, two phones and a board. */
const unequal: readonly VirtualDevice[] = [
  { prefill: 900, decode: 60, throttledEachMs: 600_000 },
  { prefill: 500, decode: 35 },
  { prefill: 250, decode: 18 },
  { prefill: 100, decode: 8 },
];
const requests = scaled({ always: 1_500, full: 3_000 });
const base: Omit<SimulationOptions, 'policy'> = { devices: unequal, requests, load: 0.75, seed: 7 };

test('predicted work serves unequal devices better than least connections, and that better than taking turns', async () => {
  const predicted = await simulate({ ...base, policy: 'predicted-work' });
  const least = await simulate({ ...base, policy: 'least-connections' });
  const turns = await simulate({ ...base, policy: 'round-robin' });
  const shown = JSON.stringify({ predicted, least, turns });
  assert.deepEqual([predicted.answered, least.answered, turns.answered], [requests, requests, requests]);
  assert.ok(predicted.p99 < 0.8 * least.p99, shown);
  assert.ok(least.p99 < turns.p99, shown);
});

test('the same seed gives the same figures', async () => {
  const short = { ...base, requests: 300, policy: 'predicted-work' } as const;
  assert.deepEqual(await simulate(short), await simulate(short));
});

test('work spreads as the rates do', async () => {
  const rates = [40, 20, 10];
  const devices = rates.map((decode) => ({ prefill: 12 * decode, decode }));
  const { shares } = await simulate({ ...base, devices, load: 0.95, policy: 'predicted-work' });
  for (const [at, rate] of rates.entries()) {
    const fair = rate / 70;
    assert.ok(Math.abs((shares[at] ?? 0) - fair) <= 0.15 * fair + 0.02, JSON.stringify(shares));
  }
});

test('devices that are lost and batteries that run down lose no request', async () => {
  const devices = unequal.map((device, at) => ({
    ...device,
    lostEachMs: 300_000,
    ...(at === 1 ? { batteryHours: 2 } : {}),
  }));
  const few = { ...base, requests: requests / 3 };
  const result = await simulate({ ...few, devices, load: 0.5, policy: 'predicted-work' });
  assert.equal(result.answered, few.requests);
  assert.ok(result.lost > 0);
});

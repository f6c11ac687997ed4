/**
 * The balancer among very many devices, on a simulated clock: `node bench/device/simulator.ts [--devices 10000] [--requests
 * 50000]`. Devices of four kinds, some throttling, some lost now and then; the pool that ships places every request.
 */
import { parseArgs } from 'node:util';
import { simulate, type VirtualDevice } from '@lfo/testing/fleet/simulation.ts';

const { values } = parseArgs({
  options: { devices: { type: 'string', default: '10000' }, requests: { type: 'string', default: '50000' } },
});
const kinds: readonly VirtualDevice[] = [
  { prefill: 900, decode: 60, throttledEachMs: 600_000 },
  { prefill: 500, decode: 35 },
  { prefill: 250, decode: 18, lostEachMs: 3_600_000 },
  { prefill: 100, decode: 8, batteryHours: 4 },
];
const devices = Array.from(
  { length: Number(values.devices) },
  (_, at) => kinds[at % kinds.length] ?? { prefill: 1, decode: 1 },
);
for (const policy of ['predicted-work', 'least-connections', 'round-robin'] as const) {
  const began = process.cpuUsage();
  const { p50, p95, p99, answered, lost } = await simulate({
    devices,
    policy,
    requests: Number(values.requests),
    load: 0.75,
    seed: 7,
  });
  const { user, system } = process.cpuUsage(began);
  const figures = { p50, p95, p99 };
  const rounded = Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [`${name}_s`, Math.round(value * 10) / 10]),
  );
  process.stdout.write(
    `${JSON.stringify({ devices: devices.length, policy, answered, lost, ...rounded, cpu_s: Math.round((user + system) / 1e5) / 10 })}\n`,
  );
}

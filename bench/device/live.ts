/**
 * The balancer in the live demonstration, open loop: `node bench/device/live.ts [--seconds 60] [--rate 1.6]`. A router with
 * six scripted devices is asked the same questions at the same times three times over: by `lfo-local`, which places them by
 * predicted work, and by `model@device` as least connections and taking turns would.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DemoDevice } from '@lfo/router/src/cli/demo/demo-device.ts';
import { demoDevices } from '@lfo/router/src/cli/demo/demo.ts';
import { systemClock } from '@lfo/router/src/core/clock.ts';
import { percentile } from '@lfo/testing/faults/percentile.ts';
import { randomFrom } from '@lfo/testing/fleet/simulation.ts';
import { invited } from '@lfo/testing/pairing.ts';
import { startRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';
import { Closers } from './closers.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, rate: { type: 'string', default: '1.6' } },
});
const seconds = Number(values.seconds);
const rate = Number(values.rate);
/** Not counted: nobody's speed is known yet. */
const warmUpShare = 0.2;
const policies = ['predicted-work', 'least-connections', 'round-robin'] as const;

for (const policy of policies) {
  const closers = new Closers();
  try {
    process.stdout.write(`${JSON.stringify({ policy, seconds, rate, ...(await measure(policy, closers)) })}\n`);
  } finally {
    await closers.close();
  }
}

async function measure(policy: (typeof policies)[number], closers: Closers) {
  const router = await startRouter(closers, { env: { LFO_FLEET_LISTEN: '127.0.0.1:0', LFO_LOG_LEVEL: 'error' } });
  const random = randomFrom(3);
  for (const spec of demoDevices) {
    const device = new DemoDevice(spec, systemClock, random);
    closers.after(() => device.close());
    device.join((await invited(router)).uri);
  }
  let models: readonly string[] = [];
  while (models.length < demoDevices.length) {
    const { json } = await router.request('GET', '/v1/models');
    const data: unknown = at(json, 'data');
    const ids = Array.isArray(data) ? data.map((each: unknown) => String(at(each, 'id'))) : [];
    models = ids.filter((id) => id.includes('@'));
    await pause(50);
  }
  const running = new Map(models.map((model) => [model, 0]));
  const latencies: number[] = [];
  const asked: Promise<void>[] = [];
  let failed = 0;
  let turn = 0;
  const arrivals = randomFrom(5);
  const choose = (): string => {
    if (policy === 'predicted-work') return 'lfo-local';
    if (policy === 'round-robin') return models[turn++ % models.length] ?? '';
    return models.reduce((best, model) => ((running.get(model) ?? 0) < (running.get(best) ?? 0) ? model : best));
  };
  const ask = async (content: string, isCounted: boolean): Promise<void> => {
    const model = choose();
    running.set(model, (running.get(model) ?? 0) + 1);
    const began = performance.now();
    const { status } = await router.chat({ model, messages: [{ role: 'user', content }] });
    running.set(model, (running.get(model) ?? 0) - 1);
    if (status !== 200) failed++;
    else if (isCounted) latencies.push((performance.now() - began) / 1_000);
  };
  const startMs = performance.now();
  for (let dueMs = 0; dueMs < seconds * 1_000;) {
    await pause(Math.max(0, dueMs - (performance.now() - startMs)));
    const words = Math.round(40 * Math.exp(arrivals() * 2));
    asked.push(ask('word '.repeat(words), dueMs > seconds * 1_000 * warmUpShare));
    dueMs += (-1_000 / rate) * Math.log(1 - arrivals());
  }
  await Promise.all(asked);
  const rounded = (share: number): number => Math.round(percentile(latencies, share) * 100) / 100;
  return { answered: latencies.length, failed, p50_s: rounded(0.5), p95_s: rounded(0.95), p99_s: rounded(0.99) };
}

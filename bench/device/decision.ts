/**
 * What one decision of the balancer costs among 10, 1,000 and 10,000 devices, with an eighth of them busy:
 * `node bench/device/decision.ts`. Times are of the processor.
 */
import { Pool } from '@lfo/router/src/backends/pool.ts';
import type { Attempt, Backend, BackendStatus, PoolChoice } from '@lfo/router/src/core/backend.ts';
import { systemClock } from '@lfo/router/src/core/clock.ts';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { randomFrom } from '@lfo/testing/fleet/simulation.ts';
import { median } from '../figures.ts';

const attempt: Attempt = { tier: 'local', gated: false };
const rounds = 9;
const decisions = 2_000;

function device(at: number, random: () => number): Backend {
  const prefillRate = 50 + 900 * random();
  const status: BackendStatus = { state: 'ready', prefillRate, decodeRate: prefillRate / 15, slots: 1 };
  const load = { rttMs: 3, slots: 1, foreign: 0, isResident: true, loadMs: 0, warm: () => 0 };
  return {
    id: `dev-${at}`,
    tier: 'local',
    models: ['m'],
    capabilities: { tools: true, jsonSchema: true, images: false, audio: false, logprobs: true },
    label: () => ({ name: `d${at}`, plainModels: [] }),
    weightsOf: () => undefined,
    load: () => load,
    status: () => status,
    async *infer() {
      yield* [];
    },
    probe: async () => status,
    close: async () => {},
  };
}

async function measure(count: number): Promise<{ readonly decisionUs: number; readonly viewUs: number }> {
  const random = randomFrom(count);
  const pool = new Pool({
    clock: systemClock,
    breaker: { failures: 5, openMs: 5_000, maxOpenMs: 300_000 },
    queue: 1_000,
    queueWaitMs: 30_000,
    random,
  });
  for (let at = 0; at < count; at++) pool.add(device(at, random), 1);
  const choice = (): PoolChoice => ({
    request: chatRequest({}),
    promptTokens: 300,
    signal: new AbortController().signal,
    exclude: new Set(),
  });
  for (let at = 0; at < count / 8; at++) await pool.acquire(attempt, choice());
  const samples: number[] = [];
  const views: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const choices = Array.from({ length: decisions }, choice);
    const began = cpuUs();
    for (const one of choices) (await pool.acquire(attempt, one)).done('success');
    samples.push((cpuUs() - began) / decisions);
    const viewed = cpuUs();
    for (let at = 0; at < 200; at++) pool.view();
    views.push((cpuUs() - viewed) / 200);
  }
  return { decisionUs: median(samples), viewUs: median(views) };
}

/** Of this process, so that others of the machine do not count. */
function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

for (const count of [2, 10, 1_000, 10_000]) {
  const { decisionUs, viewUs } = await measure(count);
  process.stdout.write(
    `${JSON.stringify({ devices: count, decision_us: Number(decisionUs.toFixed(2)), view_us: Number(viewUs.toFixed(2)) })}\n`,
  );
}

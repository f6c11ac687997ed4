import { Pool } from '@lfo/router/src/backends/pool.ts';
import type { Attempt, Backend, BackendStatus, Lease } from '@lfo/router/src/core/backend.ts';
import { BackendError } from '@lfo/router/src/core/errors.ts';
import { chatRequest } from '../chat-request.ts';
import { SimulationClock } from './simulation-clock.ts';

/** A device that exists in numbers alone. */
export interface VirtualDevice {
  /** Tokens per second, read and written. */
  readonly prefill: number;
  readonly decode: number;
  /** Runs at a third of its speed during every second of these periods. */
  readonly throttledEachMs?: number;
  /** Is away for a minute about so often; what runs there is lost. */
  readonly lostEachMs?: number;
  /** Hours of work on a battery that is charged for an hour when it is empty; absent: on power. */
  readonly batteryHours?: number;
}

export interface SimulationOptions {
  readonly devices: readonly VirtualDevice[];
  readonly policy: 'predicted-work' | 'least-connections' | 'round-robin';
  readonly requests: number;
  /** Share of what the fleet could do. */
  readonly load: number;
  readonly seed: number;
}

/** What came of a simulation; times in seconds. */
export interface SimulationResult {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly answered: number;
  /** Tries that a device lost. */
  readonly lost: number;
  /** Share of the answers by device. */
  readonly shares: readonly number[];
  readonly battery: readonly (number | undefined)[];
}

const meanPrompt = 400;
const meanOut = 90;
const awayMs = 60_000;
const attempt: Attempt = { tier: 'local', gated: false };

interface Job {
  readonly prompt: number;
  readonly out: number;
  readonly arrivedMs: number;
}

/** One device's queue and speed, whichever policy fills it. */
class Device {
  readonly backend: Backend;
  readonly spec: VirtualDevice;
  readonly #clock: SimulationClock;
  running = 0;
  served = 0;
  isAway = false;
  batteryPct: number | undefined;
  #freeAtMs = 0;
  #cancels = new Set<() => void>();

  constructor(id: string, spec: VirtualDevice, clock: SimulationClock) {
    this.spec = spec;
    this.#clock = clock;
    if (spec.batteryHours !== undefined) this.batteryPct = 100;
    const capabilities = { tools: true, jsonSchema: true, images: false, audio: false, logprobs: true };
    this.backend = {
      id,
      tier: 'local',
      models: ['m'],
      capabilities,
      label: () => ({ name: id, plainModels: [] }),
      weightsOf: () => undefined,
      load: () => ({
        rttMs: 5,
        slots: 1,
        foreign: 0,
        isResident: true,
        loadMs: 0,
        ...(this.batteryPct === undefined ? {} : { batteryPct: this.batteryPct, isCharging: false }),
        warm: () => 0,
      }),
      status: (): BackendStatus => ({
        state: this.#isOut ? 'down' : 'ready',
        active: this.running,
        queued: 0,
        slots: 1,
      }),
      async *infer() {
        yield* [];
      },
      probe: async () => ({ state: 'ready' }),
      close: async () => {},
    };
  }

  get #isOut(): boolean {
    return this.isAway || (this.batteryPct !== undefined && this.batteryPct < 20);
  }

  /** Works on a job after those it has; false in `onEnd` where the device was lost meanwhile. */
  work(job: Job, onBegun: (prefillMs: number) => void, onEnd: (isAnswered: boolean, decodeMs: number) => void): void {
    const nowMs = this.#clock.nowMs();
    const speed = this.#speed(nowMs);
    const prefillMs = (job.prompt / (this.spec.prefill * speed)) * 1000;
    const decodeMs = (job.out / (this.spec.decode * speed)) * 1000;
    const startMs = Math.max(nowMs, this.#freeAtMs);
    this.#freeAtMs = startMs + prefillMs + decodeMs;
    this.running++;
    const begin = this.#clock.schedule(startMs + prefillMs - nowMs, () => onBegun(prefillMs));
    const end = this.#clock.schedule(this.#freeAtMs - nowMs, () => finish(true));
    const cancel = (): void => {
      begin();
      end();
      finish(false);
    };
    const finish = (isAnswered: boolean): void => {
      this.#cancels.delete(cancel);
      this.running--;
      if (isAnswered) this.served++;
      if (this.batteryPct !== undefined && this.spec.batteryHours !== undefined)
        this.#drain((prefillMs + decodeMs) / 3_600_000 / this.spec.batteryHours);
      onEnd(isAnswered, decodeMs);
    };
    this.#cancels.add(cancel);
  }

  /** Loses what it works on, and is back a minute later. */
  lose(): void {
    this.isAway = true;
    this.#freeAtMs = 0;
    for (const cancel of this.#cancels) cancel();
    this.#clock.schedule(awayMs, () => (this.isAway = false));
  }

  #drain(share: number): void {
    this.batteryPct = Math.max(0, (this.batteryPct ?? 0) - 100 * share);
    if (this.batteryPct < 20) this.#clock.schedule(3_600_000, () => (this.batteryPct = 100));
  }

  #speed(nowMs: number): number {
    const { throttledEachMs } = this.spec;
    return throttledEachMs !== undefined && Math.floor(nowMs / throttledEachMs) % 3 === 1 ? 1 / 3 : 1;
  }
}

/** Answers so many requests that arrive whether or not the fleet keeps up, by the balancer that ships or by another. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { devices: specs, policy, requests, load, seed } = options;
  const random = randomFrom(seed);
  const clock = new SimulationClock();
  const devices = specs.map((spec, at) => new Device(`d${at}`, spec, clock));
  const pool = new Pool({
    clock,
    breaker: { failures: 5, openMs: 5_000, maxOpenMs: 300_000 },
    queue: Infinity,
    queueWaitMs: Infinity,
    random,
  });
  const byBackend = new Map(devices.map((device) => [device.backend, device]));
  for (const { backend } of devices) pool.add(backend, 1, true);
  const capacity = specs.reduce((sum, { prefill, decode }) => sum + 1 / (meanPrompt / prefill + meanOut / decode), 0);
  const latencies: number[] = [];
  let lost = 0;
  let turn = 0;

  const byPool = async (job: Job): Promise<void> => {
    const request = chatRequest({ sampling: { stop: [], logprobs: false } });
    const choice = {
      request,
      promptTokens: job.prompt,
      signal: new AbortController().signal,
      exclude: new Set<string>(),
    };
    let lease: Lease;
    try {
      lease = await pool.acquire(attempt, choice);
    } catch {
      // Everybody is away for a moment.
      clock.schedule(1_000, () => void byPool(job));
      return;
    }
    const leasedMs = clock.nowMs();
    const device = byBackend.get(lease.backend);
    let firstTokenMs = 0;
    device?.work(
      job,
      () => {
        lease.begun();
        firstTokenMs = clock.nowMs() - leasedMs;
      },
      (isAnswered, decodeMs) => {
        const usage = { promptTokens: job.prompt, cachedTokens: 0 };
        const timing = { firstTokenMs, ...usage, answer: { tokens: job.out, ms: decodeMs } };
        if (isAnswered) lease.done('success', undefined, timing);
        else lease.done('failure', new BackendError('lost', { fault: 'connect', backend: lease.backend.id }));
        over(job, isAnswered, () => void byPool(job));
      },
    );
  };
  const byCount = (job: Job): void => {
    const present = devices.filter(({ isAway }) => !isAway);
    if (present.length === 0) return void clock.schedule(1_000, () => byCount(job));
    const chosen =
      policy === 'round-robin'
        ? present[turn++ % present.length]
        : present.reduce((best, device) => (device.running < best.running ? device : best));
    chosen?.work(
      job,
      () => {},
      (isAnswered) => over(job, isAnswered, () => byCount(job)),
    );
  };
  const over = (job: Job, isAnswered: boolean, again: () => void): void => {
    if (isAnswered) return void latencies.push((clock.nowMs() - job.arrivedMs) / 1000);
    lost++;
    again();
  };
  const place = policy === 'predicted-work' ? (job: Job): void => void byPool(job) : byCount;

  let arrived = 0;
  const arrive = (): void => {
    if (arrived++ >= requests) return;
    const prompt = Math.max(20, Math.round(meanPrompt * Math.exp(normal(random) * 0.8 - 0.32)));
    const out = Math.max(4, Math.round(meanOut * Math.exp(normal(random) * 0.9 - 0.405)));
    place({ prompt, out, arrivedMs: clock.nowMs() });
    clock.schedule(exponential(random, 1000 / (capacity * load)), arrive);
  };
  arrive();
  for (const device of devices) {
    const { lostEachMs } = device.spec;
    if (lostEachMs === undefined) continue;
    const lose = (): void => {
      if (latencies.length >= requests) return;
      device.lose();
      clock.schedule(awayMs + exponential(random, lostEachMs), lose);
    };
    clock.schedule(exponential(random, lostEachMs), lose);
  }
  await clock.run(Infinity);

  const sorted = latencies.toSorted((one, other) => one - other);
  const at = (share: number): number => sorted[Math.floor(share * sorted.length)] ?? Infinity;
  return {
    p50: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
    answered: latencies.length,
    lost,
    shares: devices.map(({ served }) => served / Math.max(1, latencies.length)),
    battery: devices.map(({ batteryPct }) => batteryPct),
  };
}

/** The same numbers for the same seed. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function exponential(random: () => number, mean: number): number {
  return -mean * Math.log(1 - random());
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

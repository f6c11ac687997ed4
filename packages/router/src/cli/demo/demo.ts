import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AppOptions, RunningApp } from '../../app/running-app.ts';
import { createConfigHandle } from '../../config/handle.ts';
import { loadConfig } from '../../config/load.ts';
import type { Clock } from '../../core/clock.ts';
import { createLogger } from '../../telemetry/log.ts';
import { RouterClient } from '../router-client.ts';
import { coloursFor, exitCodes, printLine, type Terminal } from '../terminal.ts';
import { DemoDevice, type DemoSpec } from './demo-device.ts';

/** What the demonstration works with. */
export interface DemoContext {
  readonly terminal: Terminal;
  readonly clock: Clock;
  /** 0..1, uniform. */
  readonly random: () => number;
  readonly startApp: (options: AppOptions) => Promise<RunningApp>;
}

export interface DemoOptions {
  readonly port: string;
  /** Seconds after which it ends by itself; absent: with Ctrl-C. */
  readonly seconds?: string;
  /** Requests a second; absent: about two thirds of what the devices can do. */
  readonly rate?: string;
  readonly json: boolean;
  /** Whether the dashboard is opened in the browser, where somebody looks. */
  readonly isOpened: boolean;
}

/** Six devices as a home may have them; each pace is that of a small model on such a machine. */
export const demoDevices: readonly DemoSpec[] = [
  { name: 'Laptop', os: 'Linux 6.8', slots: 2, prefill: 900, decode: 45, battery: 93, isCharging: true },
  { name: 'Gaming PC', os: 'Windows 11', slots: 2, prefill: 1800, decode: 80 },
  { name: 'Pixel 9', os: 'Android 16', slots: 1, prefill: 260, decode: 18, battery: 71, heatMinutes: 1 },
  { name: 'Galaxy S23', os: 'Android 15', slots: 1, prefill: 220, decode: 14, battery: 44, lossSeconds: 45 },
  { name: 'Old phone', os: 'Android 12', slots: 1, prefill: 90, decode: 6, battery: 100, isCharging: true },
  { name: 'Raspberry Pi 5', os: 'Linux 6.6 aarch64', slots: 1, prefill: 60, decode: 5, heatMinutes: 2 },
];
/** The same in the records of the two days before. */
const recorded = demoDevices.map(({ name, decode }) => ({
  backend: name.toLowerCase().replaceAll(' ', '-'),
  model: 'demo-words',
  pace: 30 / decode,
  device: name,
}));
const defaultRate = 2;
const reportMs = 10_000;

/**
 * Starts a router with six scripted devices and traffic, in a folder of its own that is gone afterwards, so that anyone
 * can look at a living fleet. Nothing leaves this machine.
 */
export async function demo(options: DemoOptions, context: DemoContext): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-demo-'));
  try {
    return await demoIn(folder, options, context);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function demoIn(folder: string, options: DemoOptions, context: DemoContext): Promise<number> {
  const { terminal, clock, random, startApp } = context;
  const config = loadConfig({
    env: {
      LFO_LOCAL_MODEL: 'none',
      LFO_OFFLINE: '1',
      HOST: '127.0.0.1',
      PORT: options.port,
      LFO_DATA_DIR: join(folder, 'data'),
      LFO_FLEET_LISTEN: '127.0.0.1:0',
    },
    cwd: folder,
  });
  const { writeDemoDays } = await import('../../app/demo-records.ts');
  await writeDemoDays(config, clock.wallMs(), recorded);
  const logger = createLogger({ level: 'error', clock, destination: terminal.errors });
  const startup = { listening() {}, progress() {}, ready() {}, unable() {} };
  const ended = endOf(options, context);
  const app = await startApp({
    config: createConfigHandle(config, () => config),
    logger,
    clock,
    processStartMs: 0,
    startup,
  });
  const client = new RouterClient(app.url, undefined);
  const fleet = demoDevices.map((spec) => new DemoDevice(spec, clock, random));
  try {
    for (const device of fleet) {
      const { uri } = await client.send('POST', '/admin/devices/pairings', {});
      device.join(typeof uri === 'string' ? uri : '');
      await untilUsed(client, fleet.indexOf(device) + 1, clock);
    }
    sayStarted(app.url, options, terminal);
    if (terminal.isInteractive && options.isOpened) openInBrowser(`${app.url}/dashboard/now`);
    const traffic = new Traffic(client, clock, random, Number(options.rate ?? defaultRate));
    traffic.start();
    const stopReports = options.json
      ? () => undefined
      : every(clock, reportMs, () => printLine(terminal, traffic.report()));
    await ended;
    stopReports();
    await traffic.stop();
    printLine(terminal, options.json ? JSON.stringify({ event: 'ended', ...traffic.figures() }) : traffic.report());
    return exitCodes.done;
  } finally {
    for (const device of fleet) await device.close();
    await client.close();
    await app.close();
  }
}

function sayStarted(url: string, { json }: DemoOptions, terminal: Terminal): void {
  const dashboard = `${url}/dashboard/now`;
  if (json)
    return printLine(terminal, JSON.stringify({ event: 'started', url, dashboard, devices: demoDevices.length }));
  const { bold, dim } = coloursFor(terminal);
  printLine(terminal, `Six scripted devices answer at ${url}/v1. Look at them: ${bold(dashboard)}`);
  printLine(
    terminal,
    dim('The two days before are made up. Nothing leaves this machine, nothing is kept. Ctrl-C ends it.'),
  );
}

/** A machine without a browser has the address on its terminal. */
function openInBrowser(url: string): void {
  const [command, ...args] =
    process.platform === 'darwin' ? ['open'] : process.platform === 'win32' ? ['cmd', '/c', 'start', ''] : ['xdg-open'];
  const child = spawn(command ?? 'xdg-open', [...args, url], { stdio: 'ignore', detached: true });
  child.on('error', () => undefined);
  child.unref();
}

async function untilUsed(client: RouterClient, count: number, clock: Clock): Promise<void> {
  for (;;) {
    const { devices: known } = await client.send('GET', '/admin/devices');
    const ready = Array.isArray(known)
      ? known.filter((device) => JSON.stringify(device).includes('"state":"ready"'))
      : [];
    if (ready.length >= count) return;
    await new Promise<void>((resolve) => void clock.schedule(25, resolve));
  }
}

function endOf({ seconds }: DemoOptions, { terminal, clock }: DemoContext): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) terminal.onSignal(signal, resolve);
    if (seconds !== undefined) clock.schedule(Number(seconds) * 1000, resolve);
  });
}

/** Questions that come whether or not the fleet keeps up. */
class Traffic {
  readonly #client: RouterClient;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #rate: number;
  readonly #running = new Set<Promise<void>>();
  readonly #latencies: number[] = [];
  #asked = 0;
  #failed = 0;
  #cancel: () => void = () => undefined;

  constructor(client: RouterClient, clock: Clock, random: () => number, rate: number) {
    this.#client = client;
    this.#clock = clock;
    this.#random = random;
    this.#rate = rate;
  }

  start(): void {
    const pauseMs = (-Math.log(1 - this.#random()) / this.#rate) * 1000;
    this.#cancel = this.#clock.schedule(pauseMs, () => {
      const asked = this.#ask();
      this.#running.add(asked);
      void asked.finally(() => this.#running.delete(asked));
      this.start();
    });
  }

  async stop(): Promise<void> {
    this.#cancel();
    await Promise.all(this.#running);
  }

  figures(): {
    readonly asked: number;
    readonly answered: number;
    readonly failed: number;
    readonly p50: number;
    readonly p99: number;
  } {
    const sorted = this.#latencies.toSorted((one, other) => one - other);
    const at = (share: number): number => Math.round(sorted[Math.floor(share * sorted.length)] ?? 0) / 1000;
    return { asked: this.#asked, answered: sorted.length, failed: this.#failed, p50: at(0.5), p99: at(0.99) };
  }

  report(): string {
    const { asked, answered, failed, p50, p99 } = this.figures();
    return `${asked} asked, ${answered} answered, ${failed} failed · half within ${p50} s, 99 % within ${p99} s`;
  }

  async #ask(): Promise<void> {
    this.#asked++;
    const random = this.#random;
    const length = Math.round(20 + 200 * random() ** 2);
    const startedMs = this.#clock.nowMs();
    const isPatient = random() < 0.1;
    try {
      const answer = this.#client.stream(
        '/v1/chat/completions',
        {
          model: 'lfo-local',
          stream: true,
          user: `person ${Math.floor(random() * 8)}`,
          messages: [
            { role: 'user', content: `Tell me about ${'many small things and '.repeat(length / 4)}the rest.` },
          ],
          ...(isPatient ? { metadata: { lane: 'background' } } : {}),
        },
        new AbortController().signal,
      );
      for await (const _chunk of answer) continue;
      this.#latencies.push(this.#clock.nowMs() - startedMs);
    } catch {
      this.#failed++;
    }
  }
}

function every(clock: Clock, ms: number, run: () => void): () => void {
  const again = (): void => {
    run();
    cancel = clock.schedule(ms, again);
  };
  let cancel = clock.schedule(ms, again);
  return () => cancel();
}

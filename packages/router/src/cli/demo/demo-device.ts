import { randomBytes } from 'node:crypto';
import * as crypto from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { DeviceHost, type EngineRequest, scriptedEngine, type ScriptedAnswer, type Vitals } from '@lfo/device-core';
import {
  deviceLink,
  dialHandshake,
  framedChannel,
  keyPair,
  keyText,
  nodePrimitives,
  pairingKey,
  readPairingUri,
  runHandshake,
  streamCarrier,
} from '@lfo/protocol';
import type { HandshakeTarget } from '@lfo/protocol';
import type { Clock } from '../../core/clock.ts';

const primitives = nodePrimitives(crypto);
const model = 'demo-words';

/** What a device of the demonstration is like. */
export interface DemoSpec {
  readonly name: string;
  readonly os: string;
  readonly slots: number;
  /** Tokens per second, read and written, while it is cool. */
  readonly prefill: number;
  readonly decode: number;
  /** Percent at the start; absent: it has none. */
  readonly battery?: number;
  readonly isCharging?: boolean;
  /** Minutes of being cool, and hot, in turn. */
  readonly heatMinutes?: number;
  /** Seconds between two losses of its link. */
  readonly lossSeconds?: number;
}

/** A device that answers with words at its own pace, and tells of a battery and of heat. */
export class DemoDevice {
  readonly #spec: DemoSpec;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #keys = keyPair(primitives);
  readonly #host: DeviceHost;
  readonly #startedMs: number;
  readonly #cancels = new Set<() => void>();
  #changed: () => void = () => undefined;
  #socket: Socket | undefined;
  #routerKey: Uint8Array | undefined;
  #isClosed = false;
  #words = 0;

  constructor(spec: DemoSpec, clock: Clock, random: () => number) {
    this.#spec = spec;
    this.#clock = clock;
    this.#random = random;
    this.#startedMs = clock.nowMs();
    const engine = scriptedEngine({ clock, answer: (request) => this.#answer(request) });
    const vitals: Vitals = { read: () => this.#vitals(), onChange: (run) => void (this.#changed = run) };
    this.#host = new DeviceHost({
      identity: { boot: randomBytes(16).toString('base64url'), name: spec.name, app: 'lfo demo', os: spec.os },
      engine,
      clock,
      vitals,
      openModel: (onProgress, signal) =>
        engine.load(
          { id: model, path: model },
          { contextTokens: 4096, slots: spec.slots, gpu: 'none' },
          (done, total) => onProgress({ phase: 'load', done, total }),
          signal,
        ),
    });
    this.#host.load();
  }

  /** Pairs by a link that the router shows, and stays connected from then on. */
  join(uri: string): void {
    const shown = readPairingUri(uri);
    if (shown === undefined) throw new TypeError('not a link that pairs');
    const psk = pairingKey(primitives, shown.secret);
    this.#dial(shown.port, { purpose: 'pair', psk, expectedKey: shown.key });
    this.#every(15_000, () => this.#changed());
    const { lossSeconds } = this.#spec;
    if (lossSeconds !== undefined) this.#every(lossSeconds * 1000, () => this.#socket?.destroy());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const cancel of this.#cancels) cancel();
    await this.#host.close();
    this.#socket?.destroy();
  }

  #dial(port: number, target: HandshakeTarget): void {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.on('close', () => this.#again(port));
    socket.once('connect', () => {
      runHandshake({
        channel: framedChannel(streamCarrier(socket)),
        primitives,
        clock: this.#clock,
        side: dialHandshake({ primitives, role: 'device', keys: this.#keys, target }),
        listener: {
          keepKey: async (key) => void (this.#routerKey = key),
          onSecured: (channel, { peerKey }) => this.#host.serve(deviceLink(channel, this.#clock), keyText(peerKey)),
          onFailed: () => socket.destroy(),
        },
      });
    });
  }

  #again(port: number): void {
    const key = this.#routerKey;
    if (this.#isClosed || key === undefined) return;
    this.#later(500 + 1_500 * this.#random(), () => this.#dial(port, { purpose: 'known', peerKey: key }));
  }

  /** A prompt is read and answered at the speed of the device, which heat makes a third. */
  #answer({ messages, maxTokens = 200 }: EngineRequest): ScriptedAnswer {
    const speed = this.#isHot ? 1 / 3 : 1;
    const tokens = messages.reduce((sum, { content }) => sum + content.split(/\s+/).length, 0);
    const length = Math.max(4, Math.min(maxTokens, Math.round(60 * Math.exp(this.#random() * 1.6 - 0.8))));
    this.#words += tokens + length;
    const parts = Array.from(
      { length },
      (_, at) => ({ k: 'text', text: `${at === 0 ? '' : ' '}${wordAt(at)}` }) as const,
    );
    const timing = { prefill_tps: this.#spec.prefill * speed, decode_tps: this.#spec.decode * speed };
    return {
      parts,
      prefillMs: (tokens / timing.prefill_tps) * 1000,
      partMs: 1000 / timing.decode_tps,
      done: { timing },
    };
  }

  get #isHot(): boolean {
    const { heatMinutes } = this.#spec;
    if (heatMinutes === undefined) return false;
    return Math.floor((this.#clock.nowMs() - this.#startedMs) / 60_000 / heatMinutes) % 2 === 1;
  }

  #vitals(): ReturnType<Vitals['read']> {
    const { battery, isCharging = false, heatMinutes } = this.#spec;
    const used = isCharging ? -this.#words / 4_000 : this.#words / 2_000;
    return {
      ...(battery === undefined
        ? {}
        : { battery: { pct: Math.round(Math.min(100, Math.max(21, battery - used))), charging: isCharging } }),
      ...(heatMinutes === undefined ? {} : { thermal: { status: this.#isHot ? 2 : 0 } }),
    };
  }

  #every(ms: number, run: () => void): void {
    this.#later(ms, () => {
      run();
      this.#every(ms, run);
    });
  }

  #later(ms: number, run: () => void): void {
    const cancel = this.#clock.schedule(ms, () => {
      this.#cancels.delete(cancel);
      run();
    });
    this.#cancels.add(cancel);
  }
}

const words = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'];

function wordAt(at: number): string {
  return words[at % words.length] ?? '';
}

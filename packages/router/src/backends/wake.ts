import { createSocket } from 'node:dgram';
import type { Clock } from '../core/clock.ts';
import { privateInterfaces } from './private-interfaces.ts';

/** How a sleeping machine is woken. */
export interface WakeTarget {
  /** Six bytes in hex with colons. */
  readonly mac: string;
  readonly broadcast: string;
  /** From the first packet to when it counts as down again. */
  readonly timeoutMs: number;
}

/** Sends a datagram; never throws. */
export type SendBroadcast = (packet: Uint8Array, address: string, port: number) => void;

const port = 9;
/** A packet that is lost is nobody's. */
const sentAfterMs = [0, 1_000, 5_000] as const;
const leastMs = 60_000;

/** Wakes machines by Wake-on-LAN, and counts how that went. */
export class Wakes {
  readonly #clock: Clock;
  readonly #send: SendBroadcast;
  /** `up` and `timeout`. */
  readonly results = new Map<string, number>();

  constructor(clock: Clock, send: SendBroadcast = sendBroadcast) {
    this.#clock = clock;
    this.#send = send;
  }

  /** A machine; `target` is asked each time, since its owner may change it. */
  sleeper(target: () => WakeTarget | undefined): Sleeper {
    return new Sleeper(this.#clock, this.#send, target, (result) =>
      this.results.set(result, (this.results.get(result) ?? 0) + 1),
    );
  }
}

/** A machine that may sleep. */
export class Sleeper {
  readonly #clock: Clock;
  readonly #send: SendBroadcast;
  readonly #target: () => WakeTarget | undefined;
  readonly #onEnd: (result: 'up' | 'timeout') => void;
  #lastMs = -Infinity;
  #cancels: (() => void)[] = [];

  constructor(
    clock: Clock,
    send: SendBroadcast,
    target: () => WakeTarget | undefined,
    onEnd: (result: 'up' | 'timeout') => void,
  ) {
    this.#clock = clock;
    this.#send = send;
    this.#target = target;
    this.#onEnd = onEnd;
  }

  /** It is known how to wake it. */
  get canWake(): boolean {
    return this.#target() !== undefined;
  }

  /** It was called a moment ago, and may still come. */
  get isWaking(): boolean {
    return this.#cancels.length > 0;
  }

  /** Calls it, at most once a minute. */
  wake(): void {
    const target = this.#target();
    const nowMs = this.#clock.nowMs();
    if (target === undefined || this.isWaking || nowMs - this.#lastMs < leastMs) return;
    this.#lastMs = nowMs;
    const packet = magicPacket(target.mac);
    for (const afterMs of sentAfterMs) {
      if (afterMs === 0) this.#send(packet, target.broadcast, port);
      else this.#cancels.push(this.#clock.schedule(afterMs, () => this.#send(packet, target.broadcast, port)));
    }
    this.#cancels.push(this.#clock.schedule(target.timeoutMs, () => this.#end('timeout')));
  }

  /** It is there. */
  isUp(): void {
    if (this.isWaking) this.#end('up');
  }

  close(): void {
    for (const cancel of this.#cancels.splice(0)) cancel();
  }

  #end(result: 'up' | 'timeout'): void {
    this.close();
    this.#onEnd(result);
  }
}

/** 6 × `ff` and 16 × the address. */
export function magicPacket(mac: string): Uint8Array {
  const address = mac.split(':').map((byte) => Number.parseInt(byte, 16));
  return Uint8Array.from([
    ...Array.from({ length: 6 }, () => 0xff),
    ...Array.from({ length: 16 }, () => address).flat(),
  ]);
}

/** What is for all goes to the user's own networks alone: by its sender's address the system knows which is meant. */
function sendBroadcast(packet: Uint8Array, address: string, to: number): void {
  for (const from of address === everyone ? privateInterfaces() : [undefined]) {
    const socket = createSocket('udp4');
    socket.on('error', () => socket.close());
    socket.bind({ port: 0, ...(from === undefined ? {} : { address: from }) }, () => {
      socket.setBroadcast(true);
      socket.send(packet, to, address, () => socket.close());
    });
  }
}

const everyone = '255.255.255.255';

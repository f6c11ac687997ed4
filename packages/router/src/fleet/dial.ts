import { connect } from 'node:net';
import { dialHandshake, framedChannel, runHandshake, streamCarrier } from '@lfo/protocol';
import type { Channel, HandshakeTarget, KeyPair, Primitives, Secured } from '@lfo/protocol';
import type { Clock } from '../core/clock.ts';
import type { DialAddress } from '../core/devices.ts';

/** A device that does not take the connection within this time is not there. */
export const connectMs = 2_000;

/** How a dial ended: a code of ours, of the device or of the handshake. */
export type DialEnd = 'unreachable' | (string & {});

export interface DialOptions {
  readonly clock: Clock;
  readonly primitives: Primitives;
  readonly keys: KeyPair;
  readonly address: DialAddress;
  readonly target: HandshakeTarget;
  /** Keep the key of the device, before the last message leaves. */
  readonly keepKey?: (peerKey: Uint8Array) => Promise<void>;
  /** Listen to the channel before this returns. */
  readonly onSecured: (channel: Channel, secured: Secured) => void;
  /** The dial came to nothing; once. */
  readonly onFailed: (end: DialEnd) => void;
}

/** Dials a device that waits for its router. The returned function gives up. */
export function dial(options: DialOptions): () => void {
  const { clock, primitives, keys, address, target, keepKey, onSecured, onFailed } = options;
  const socket = connect({ host: address.host, port: address.port, noDelay: true, keepAlive: true });
  let isOver = false;
  const fail = (end: DialEnd): void => {
    if (isOver) return;
    isOver = true;
    onFailed(end);
  };
  const cancelLimit = clock.schedule(connectMs, () => socket.destroy());
  const lost = (): void => {
    cancelLimit();
    fail('unreachable');
  };
  const ignore = (): void => {};
  socket.on('error', ignore);
  socket.once('close', lost);
  socket.once('connect', () => {
    cancelLimit();
    socket.removeListener('close', lost);
    runHandshake({
      channel: framedChannel(streamCarrier(socket)),
      primitives,
      clock,
      side: dialHandshake({ primitives, role: 'router', keys, target }),
      listener: {
        onSecured(channel, secured) {
          isOver = true;
          onSecured(channel, secured);
        },
        ...(keepKey === undefined ? {} : { keepKey }),
        onFailed: ({ code }) => fail(code),
      },
    });
  });
  return () => {
    isOver = true;
    socket.destroy();
  };
}

const firstMs = 500;
const longestMs = 30_000;
/** A link that lived this long counts as a success: the next dial comes at once. */
const steadyMs = 60_000;
const pauses: Readonly<Record<string, number>> = {
  replaced: 30_000,
  duplicate_identity: 300_000,
  unknown_key: 300_000,
  unsupported_version: 3_600_000,
};

/** When to dial again: at once at first, then with full jitter over a doubling time. */
export class BackOff {
  readonly #random: () => number;
  #failures = 0;

  /** @param random 0..1, uniform */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Milliseconds to wait after a link or a dial that ended so; `livedMs` of a link that was up. */
  next(end: string, livedMs = 0): number {
    if (livedMs >= steadyMs) this.#failures = 0;
    const pause = pauses[end];
    if (pause !== undefined) return pause;
    const spread = Math.min(longestMs, firstMs * 2 ** this.#failures++);
    return this.#random() * spread;
  }
}

import { connect } from 'node:net';
import type { DeviceHost } from '@lfo/device-core';
import {
  deviceLink,
  dialHandshake,
  framedChannel,
  keyText,
  runHandshake,
  streamCarrier,
  type Channel,
  type DeviceMessage,
  type HandshakeTarget,
  type KeyPair,
  type Link,
  type RouterMessage,
} from '@lfo/protocol';
import { systemClock } from '../clock.ts';
import { primitives } from './device-folder.ts';

/** Longest that connecting may take (device protocol 1, section 5). */
const connectMs = 2_000;

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  readonly keys: KeyPair;
  readonly target: HandshakeTarget;
  readonly device: DeviceHost;
  /** Pairing: the router's key, to be kept before the router may count on it. */
  readonly keepKey?: (key: Uint8Array) => void;
  readonly onConnected: () => void;
  /** Aborts to give the connection up before it is proven. */
  readonly signal: AbortSignal;
}

/** Serves one router over TCP until the link ends; resolves with the code of its end, `unreachable` where there was none. */
export function dial({ host, port, keys, target, device, keepKey, onConnected, signal }: DialOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, noDelay: true, timeout: connectMs });
    let isConnected = false;
    const lost = (): void => {
      // Once connected the handshake and the link know better why.
      if (!isConnected) resolve('unreachable');
    };
    socket.once('timeout', () => socket.destroy());
    socket.on('error', lost).once('close', lost);
    const giveUp = (): void => void socket.destroy();
    signal.addEventListener('abort', giveUp, { once: true });
    socket.once('connect', () => {
      isConnected = true;
      socket.setTimeout(0);
      runHandshake({
        channel: framedChannel(streamCarrier(socket)),
        primitives,
        clock: systemClock,
        side: dialHandshake({ primitives, role: 'device', keys, target }),
        listener: {
          keepKey: async (key) => keepKey?.(key),
          onSecured(channel, { peerKey }) {
            // From here on the host says goodbye itself.
            signal.removeEventListener('abort', giveUp);
            onConnected();
            device.serve(observed(channel, resolve), keyText(peerKey));
          },
          onFailed: ({ code }) => resolve(code),
        },
      });
    });
  });
}

/** A link whose end is told: with the router's own word where it said goodbye. */
function observed(channel: Channel, onEnd: (code: string) => void): Link<RouterMessage, DeviceMessage> {
  const link = deviceLink(channel, systemClock);
  return {
    get writable() {
      return link.writable;
    },
    get closed() {
      return link.closed;
    },
    get maxMessageBytes() {
      return link.maxMessageBytes;
    },
    send: (message) => link.send(message),
    agreeMaxFrame: (bytes) => link.agreeMaxFrame(bytes),
    close: (code, afterMs) => link.close(code, afterMs),
    listen: (listener) =>
      link.listen({
        ...listener,
        onDrain: () => listener.onDrain?.(),
        onMessage(message) {
          if (message.t === 'bye') onEnd(message.code);
          listener.onMessage(message);
        },
        onClose(code) {
          onEnd(code);
          listener.onClose(code);
        },
      }),
  };
}

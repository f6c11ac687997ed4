import { connect } from 'node:net';
import { callRouter, type DeviceHost, type RouterCall, type RouterCallOptions } from '@lfo/device-core';
import { streamCarrier, type HandshakeTarget, type KeyPair } from '@lfo/protocol';
import { systemClock as clock } from '../clock.ts';
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
  readonly onRouters?: RouterCallOptions['onRouters'];
  /** With the router's key. */
  readonly onConnected: (routerKey: Uint8Array) => void;
  /** Aborts to give the connection up before it is proven. */
  readonly signal: AbortSignal;
}

/** Serves one router over TCP until the link ends; resolves with the code of its end, `unreachable` where there was none. */
export function dial({
  host,
  port,
  keys,
  target,
  device,
  keepKey,
  onConnected,
  onRouters,
  signal,
}: DialOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, noDelay: true, timeout: connectMs });
    let call: RouterCall | undefined;
    const lost = (): void => {
      // Once connected the handshake and the link know better why.
      if (call === undefined) resolve('unreachable');
    };
    socket.once('timeout', () => socket.destroy());
    socket.on('error', lost).once('close', lost);
    const giveUp = (): void => {
      if (call === undefined) socket.destroy();
      else call.abandon();
    };
    signal.addEventListener('abort', giveUp, { once: true });
    socket.once('connect', () => {
      socket.setTimeout(0);
      call = callRouter({
        carrier: streamCarrier(socket),
        primitives,
        clock,
        keys,
        target,
        device,
        keepKey: async (key) => keepKey?.(key),
        onConnected,
        ...(onRouters === undefined ? {} : { onRouters }),
      });
      resolve(call.ended.finally(() => signal.removeEventListener('abort', giveUp)));
    });
  });
}

import { deviceLink, dialHandshake, framedChannel, keyText, runHandshake } from '@lfo/protocol';
import type {
  ByeCode,
  Carrier,
  Channel,
  Clock,
  DeviceMessage,
  HandshakeSide,
  HandshakeTarget,
  KeyPair,
  Link,
  MessageOf,
  Primitives,
  RouterMessage,
} from '@lfo/protocol';
import type { DeviceHost } from '../host/host.ts';

export interface RouterCallOptions {
  /** Connected to the router. */
  readonly carrier: Carrier;
  readonly primitives: Primitives;
  readonly clock: Clock;
  /** Of this device. */
  readonly keys: KeyPair;
  readonly target: HandshakeTarget;
  readonly device: DeviceHost;
  /** Pairing: the router's key, to be kept before the router may count on it. */
  readonly keepKey?: (key: Uint8Array) => Promise<void>;
  /** Asked of a router that is proven, with the pairing it came by; false: its connection is ended. */
  readonly accepts?: (routerKey: Uint8Array, pairing: string | undefined) => boolean;
  /** The router is proven and is being served. */
  readonly onConnected: (routerKey: Uint8Array) => void;
  /** The router has taken this device: a pairing is certain from here on. */
  readonly onWelcome?: (welcome: MessageOf<RouterMessage, 'welcome'>) => void;
  /** What the router says of the others of its owner, at first and whenever it changes. */
  readonly onRouters?: (routers: readonly OtherRouter[]) => void;
}

/** Another router of the same owner, to be dialled as known. */
export type OtherRouter = MessageOf<RouterMessage, 'routers'>['routers'][number];

/** A link to a router, from its handshake on. */
export interface RouterCall {
  /**
   * Resolves when the link has ended: with the router's own word where it said goodbye, else with the code of the link,
   * of the handshake or of the refusal. Never rejects.
   */
  readonly ended: Promise<string>;
  /** Gives the connection up where the router is not proven yet; afterwards the host says goodbye itself. */
  abandon(): void;
  /** Ends the connection without a word: another link of this device takes its place. */
  drop(): void;
  /** Says goodbye to the router; before it is proven, gives the connection up. */
  close(code: ByeCode): void;
}

/** Proves a router over a connection to it and serves it. */
export function callRouter(options: RouterCallOptions): RouterCall {
  const { primitives, keys, target } = options;
  return serveOver(options, dialHandshake({ primitives, role: 'device', keys, target }));
}

/** The same with the side of the handshake given: that of a device which was dialled. */
export function serveOver(options: Omit<RouterCallOptions, 'keys' | 'target'>, side: HandshakeSide): RouterCall {
  const { carrier, primitives, clock, device, keepKey, accepts, onConnected } = options;
  let abandon = (): void => {};
  let drop = (): void => abandon();
  let close = (_code: ByeCode): void => abandon();
  const ended = new Promise<string>((resolve) => {
    const end = runHandshake({
      channel: framedChannel(carrier),
      primitives,
      clock,
      side,
      listener: {
        keepKey: async (key) => await keepKey?.(key),
        onSecured(channel, { peerKey, pairing }) {
          abandon = () => {};
          if (accepts?.(peerKey, pairing) === false) {
            channel.close('refused');
            resolve('refused');
            return;
          }
          const link = observed(channel, clock, resolve, options);
          drop = () => channel.close('roamed', true);
          close = (code) => link.close(code);
          onConnected(peerKey);
          device.serve(link, keyText(peerKey));
        },
        onFailed: ({ code }) => resolve(code),
      },
    });
    abandon = () => end('closing');
  });
  return { ended, abandon: () => abandon(), drop: () => drop(), close: (code) => close(code) };
}

/** A link whose end is told, by its first cause. */
export function observed(
  channel: Channel,
  clock: Clock,
  onEnd: (code: string) => void,
  { onWelcome, onRouters }: Pick<RouterCallOptions, 'onWelcome' | 'onRouters'> = {},
): Link<RouterMessage, DeviceMessage> {
  const link = deviceLink(channel, clock);
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
          if (message.t === 'welcome' && !link.closed) onWelcome?.(message);
          if (message.t === 'welcome' || message.t === 'routers') onRouters?.(message.routers ?? []);
        },
        onClose(code) {
          onEnd(code);
          listener.onClose(code);
        },
      }),
  };
}

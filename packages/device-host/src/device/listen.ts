import { createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { observed, type DeviceHost } from '@lfo/device-core';
import {
  answerHandshake,
  framedChannel,
  keyText,
  pairingCode,
  pairingKey,
  pairingSecretBytes,
  pairingUri,
  runHandshake,
  streamCarrier,
  type KeyPair,
} from '@lfo/protocol';
import { systemClock } from '../clock.ts';
import { primitives } from './device-folder.ts';

const lifetimeMs = 300_000;
const maxGuesses = 5;
/** Links that have proven nothing yet; the oldest goes for a newer one. */
const maxUnproven = 16;
const unprovenMs = 11_000;

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly keys: KeyPair;
  readonly device: DeviceHost;
  /** Of the router that it is paired with. */
  readonly routerKey: () => Uint8Array | undefined;
  /** On disk before it returns. */
  readonly keepKey: (key: Uint8Array) => void;
  /** An invitation for a router that dials; called again when it has ended unused. */
  readonly onInvited: (uri: string, code: string) => void;
  readonly onConnected: (wasPaired: boolean) => void;
  /** With the code of the link's end. */
  readonly onLost: (code: string) => void;
}

/** Waits to be dialled by its router, and until there is one invites one. */
export class RouterListener {
  readonly #options: ListenOptions;
  readonly #unproven = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #invitation: { readonly psk: Uint8Array; wrong: number } | undefined;
  #cancelExpiry: () => void = () => {};

  constructor(options: ListenOptions) {
    this.#options = options;
  }

  /** Resolves with the port taken. @throws the system's error where the address cannot be had */
  async listen(): Promise<number> {
    const { host, port, routerKey } = this.#options;
    const server = createServer({ noDelay: true, keepAlive: true }, (socket) => this.#accept(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, resolve);
    });
    const address = server.address();
    this.#port = typeof address === 'object' && address !== null ? address.port : port;
    if (routerKey() === undefined) this.#invite();
    return this.#port;
  }

  get port(): number {
    return this.#port;
  }

  /** Takes nobody new; a link that is up stays. */
  close(): void {
    this.#cancelExpiry();
    this.#server?.close();
    for (const socket of this.#unproven) socket.destroy();
  }

  /** A secret serves once and for five minutes; whoever still waits is shown another. */
  #invite(): void {
    const { host, name, keys, onInvited } = this.#options;
    const secret = primitives.random(pairingSecretBytes);
    this.#invitation = { psk: pairingKey(primitives, secret), wrong: 0 };
    this.#cancelExpiry();
    this.#cancelExpiry = systemClock.schedule(lifetimeMs, () => this.#invite());
    const uri = pairingUri({
      role: 'device',
      hosts: shownAddresses(host),
      port: this.#port,
      key: keys.public,
      secret,
      name: name.slice(0, 64),
    });
    onInvited(uri, pairingCode(secret));
  }

  #accept(socket: Socket): void {
    const { keys, device, routerKey, keepKey, onConnected, onLost } = this.#options;
    for (const oldest of this.#unproven) {
      if (this.#unproven.size < maxUnproven) break;
      this.#unproven.delete(oldest);
      oldest.destroy();
    }
    this.#unproven.add(socket);
    const cancel = systemClock.schedule(unprovenMs, () => socket.destroy());
    const proven = (): void => {
      cancel();
      this.#unproven.delete(socket);
    };
    socket.on('close', proven).on('error', () => {});
    const invitation = this.#invitation;
    runHandshake({
      channel: framedChannel(streamCarrier(socket)),
      primitives,
      clock: systemClock,
      side: answerHandshake({
        primitives,
        role: 'device',
        keys,
        pairings: () => (invitation === undefined ? [] : [{ id: 'pairing', psk: invitation.psk }]),
        isKnown: (key) => isSame(routerKey(), key),
      }),
      listener: {
        onSecured: (channel, { peerKey, pairing }) => {
          proven();
          const wasPaired = pairing !== undefined;
          if (wasPaired) {
            // Used up by somebody else meanwhile.
            if (this.#invitation !== invitation) return channel.close('pairing_refused');
            this.#cancelExpiry();
            this.#invitation = undefined;
            keepKey(peerKey);
          }
          onConnected(wasPaired);
          device.serve(observed(channel, systemClock, onLost), keyText(peerKey));
        },
        onFailed: ({ isGuess }) => {
          if (isGuess && invitation !== undefined && ++invitation.wrong >= maxGuesses) this.#invite();
        },
      },
    });
  }
}

function isSame(one: Uint8Array | undefined, other: Uint8Array): boolean {
  return one !== undefined && Buffer.compare(one, other) === 0;
}

/** Addresses under which a router may find this machine; the one it listens on where it is one. */
function shownAddresses(host: string): readonly string[] {
  if (!['0.0.0.0', '::'].includes(host)) return [host];
  const found = Object.values(networkInterfaces())
    .flatMap((some) => some ?? [])
    .filter(
      ({ internal, address, family }) => !internal && !/^fe80:/i.test(address) && (host === '::' || family === 'IPv4'),
    )
    .map(({ address }) => address);
  return found.length === 0 ? ['127.0.0.1'] : found.slice(0, 8);
}

import { createServer, type Server, type Socket } from 'node:net';
import { answerHandshake, framedChannel, maxFrameBytes, runHandshake, streamCarrier } from '@lfo/protocol';
import type { Channel, HandshakeFailure, KeyPair, Primitives, Secured } from '@lfo/protocol';
import type { Clock } from '../core/clock.ts';
import { codeOf } from '../core/error-code.ts';
import { type AnswerLine, takeOriginalLine } from './original-line.ts';
import { takePlainLink } from './plain-link.ts';

/** Links that have not said `hello` yet; the oldest goes for a newer one. */
export const maxUnproven = 64;
/** Handshakes that may begin in a second. */
export const maxHandshakesPerSecond = 100;
/** From accept to the end of the handshake and from there to `hello` each take 5 s; nothing unproven stays longer. */
const unprovenMs = 11_000;

/** A peer whose key is proven. */
export interface SecuredLink {
  readonly channel: Channel;
  readonly secured: Secured;
  readonly address: string;
  /** Call when its first record has opened: the link no longer counts as unproven. */
  readonly proven: () => void;
}

export interface ListenerOptions {
  readonly clock: Clock;
  readonly primitives: Primitives;
  readonly keys: KeyPair;
  readonly pairings: () => readonly { readonly id: string; readonly psk: Uint8Array }[];
  readonly isKnown: (peerKey: Uint8Array) => boolean;
  readonly onSecured: (link: SecuredLink) => void;
  /** A link that came to nothing, by reason. */
  readonly onRefused: (reason: string, address: string) => void;
  /** Answers the original's wire for connections of this machine; absent: nobody does. */
  readonly answerOriginal?: () => AnswerLine | undefined;
  /** Takes links of this machine that carry messages without encryption; absent: nobody does. */
  readonly onPlain?: (link: Omit<SecuredLink, 'secured'>) => void;
  /** A pairing was tried with a wrong secret. */
  readonly onGuess: (address: string) => void;
}

/** Takes devices that dial. Nothing but a Noise handshake is spoken here. */
export class FleetListener {
  readonly #options: ListenerOptions;
  readonly #unproven = new Set<Socket>();
  #server: Server | undefined;
  #second = -1;
  #begun = 0;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Listens, on a free port where the wanted one is taken; resolves with the address taken. */
  async listen(host: string | undefined, port: number): Promise<{ readonly port: number; readonly wasTaken: boolean }> {
    try {
      return { port: await this.#bind(host, port), wasTaken: false };
    } catch (error) {
      if (codeOf(error) !== 'EADDRINUSE' || port === 0) throw error;
      return { port: await this.#bind(host, 0), wasTaken: true };
    }
  }

  /** Takes nobody new; links that are up stay. */
  stop(): void {
    this.#server?.close();
    this.#server = undefined;
    for (const socket of this.#unproven) socket.destroy();
  }

  #bind(host: string | undefined, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const server = createServer({ noDelay: true, keepAlive: true }, (socket) => this.#accept(socket));
      server.once('error', reject);
      server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
        server.removeListener('error', reject);
        server.on('error', () => {});
        this.#server = server;
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  #accept(socket: Socket): void {
    const { clock, primitives, keys, pairings, isKnown, onSecured, onPlain, onRefused, onGuess } = this.#options;
    const address = plainAddress(socket.remoteAddress);
    if (!this.#mayBegin()) {
      onRefused('rate_limited', address);
      return void socket.destroy();
    }
    this.#makeRoom();
    this.#unproven.add(socket);
    const cancel = clock.schedule(unprovenMs, () => socket.destroy());
    const proven = (): void => {
      cancel();
      this.#unproven.delete(socket);
    };
    socket.on('close', () => {
      proven();
    });
    const refused = ({ code, isGuess }: HandshakeFailure): void => {
      if (isGuess) onGuess(address);
      onRefused(code, address);
    };
    const handshake = (): void =>
      void runHandshake({
        channel: framedChannel(streamCarrier(socket)),
        primitives,
        clock,
        side: answerHandshake({ primitives, role: 'router', keys, pairings, isKnown }),
        listener: {
          onSecured: (channel, secured) => onSecured({ channel, secured, address, proven }),
          onFailed: refused,
        },
      });
    const begin = (): void => {
      if (onPlain === undefined || !isOwnMachine(address)) return handshake();
      const plain = (): void =>
        onPlain({ channel: framedChannel(streamCarrier(socket), maxFrameBytes), address, proven });
      takePlainLink(socket, plain, handshake);
    };
    const original = isOwnMachine(address) ? this.#options.answerOriginal?.() : undefined;
    if (original === undefined) return begin();
    takeOriginalLine(socket, clock, original, begin);
  }

  #mayBegin(): boolean {
    const second = Math.floor(this.#options.clock.nowMs() / 1000);
    if (second !== this.#second) this.#begun = 0;
    this.#second = second;
    return ++this.#begun <= maxHandshakesPerSecond;
  }

  #makeRoom(): void {
    if (this.#unproven.size < maxUnproven) return;
    for (const oldest of this.#unproven) {
      this.#unproven.delete(oldest);
      return void oldest.destroy();
    }
  }
}

function isOwnMachine(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** Without the prefix that IPv4 has on a socket for both. */
export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.)/, '');
}

import * as crypto from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

import { DeviceHost, observed, scriptedEngine } from '@lfo/device-core';
import type { Engine, EngineRequest, ModelOpener, ScriptedAnswer } from '@lfo/device-core';
import {
  answerHandshake,
  dialHandshake,
  framedChannel,
  keyPair,
  keyText,
  maxFrameBytes,
  nodePrimitives,
  pairingCode,
  pairingKey,
  pairingUri,
  readPairingUri,
  runHandshake,
  streamCarrier,
} from '@lfo/protocol';
import type { HandshakeSide, HandshakeTarget } from '@lfo/protocol';
import { systemClock as clock } from '@lfo/router/src/core/clock.ts';

const primitives = nodePrimitives(crypto);

export interface TestDeviceOptions {
  readonly name?: string;
  readonly model?: string;
  readonly slots?: number;
  readonly answer?: (request: EngineRequest) => ScriptedAnswer;
  /** Instead of a scripted model. */
  readonly opened?: { readonly engine: Pick<Engine, 'name' | 'version'>; readonly openModel: ModelOpener };
}

/** One link of a test device. */
export interface TestLink {
  readonly socket: Socket;
  /** Resolves with the code of the router's `bye`, of the channel or of the handshake. */
  readonly ended: Promise<string>;
}

/** A test device that waits to be dialled. */
export interface ListeningDevice {
  readonly uri: string;
  readonly code: string;
  readonly port: number;
  readonly links: TestLink[];
}

/** A device host with a scripted engine and a key of its own, which dials over a real socket or waits to be dialled. */
export class TestDevice {
  readonly host: DeviceHost;
  keys = keyPair(primitives);
  /** Public key of its router. */
  routerKey: Uint8Array | undefined;

  constructor(
    t: Pick<TestContext, 'after'>,
    { name = 'Test phone', model = 'tiny', slots = 2, answer, opened }: TestDeviceOptions = {},
  ) {
    const engine = scriptedEngine({ clock, ...(answer === undefined ? {} : { answer }) });
    const openModel: ModelOpener = (onProgress, signal) =>
      engine.load(
        { id: model, path: `/${model}` },
        { contextTokens: 2048, slots, gpu: 'none' },
        (done, total) => onProgress({ phase: 'load', done, total }),
        signal,
      );
    this.host = new DeviceHost({
      identity: { boot: crypto.randomBytes(16).toString('base64url'), name, app: 'test 1', os: 'none' },
      ...(opened ?? { engine, openModel }),
      clock,
    });
    this.host.load();
    t.after(() => this.host.close());
  }

  /** As a copied data folder does. */
  copyKeyOf(other: TestDevice): void {
    this.keys = other.keys;
    this.routerKey = other.routerKey;
  }

  /** Dials the router of a pairing URI with its code. */
  async pair(uri: string, host = '127.0.0.1'): Promise<TestLink> {
    const shown = readPairingUri(uri);
    if (shown === undefined) throw new TypeError(`no pairing URI: ${uri}`);
    const psk = pairingKey(primitives, shown.secret);
    return await this.#dial(shown.port, host, { purpose: 'pair', psk, expectedKey: shown.key });
  }

  /** Dials the router it is paired with; once each has proven who it is, `beforeHello` comes first. */
  async dial(port: number, host = '127.0.0.1', beforeHello?: () => Promise<unknown>): Promise<TestLink> {
    if (this.routerKey === undefined) throw new TypeError('not paired');
    return await this.#dial(port, host, { purpose: 'known', peerKey: this.routerKey }, beforeHello);
  }

  /** Dials without handshake and encryption. */
  async dialPlainly(t: TestContext, port: number): Promise<TestLink> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    t.after(() => socket.destroy());
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    const ended = new Promise<string>((resolve) => {
      this.host.serve(observed(framedChannel(streamCarrier(socket), maxFrameBytes), clock, resolve));
    });
    return { socket, ended };
  }

  /** Waits to be dialled; the URI pairs with it. */
  async listen(t: TestContext): Promise<ListeningDevice> {
    const secret = primitives.random(16);
    const psk = pairingKey(primitives, secret);
    const links: TestLink[] = [];
    const server = createServer((socket) => {
      const side = answerHandshake({
        primitives,
        role: 'device',
        keys: this.keys,
        pairings: () => [{ id: 'one', psk }],
        isKnown: (key) => this.routerKey !== undefined && Buffer.compare(key, this.routerKey) === 0,
      });
      links.push({ socket, ended: this.#run(socket, side) });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      server.close();
      for (const { socket } of links) socket.destroy();
    });
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const key = this.keys.public;
    const uri = pairingUri({ role: 'device', hosts: ['127.0.0.1'], port, key, secret, name: 'x' });
    return { uri, code: pairingCode(secret), port, links };
  }

  async #dial(
    port: number,
    host: string,
    target: HandshakeTarget,
    beforeHello?: () => Promise<unknown>,
  ): Promise<TestLink> {
    const socket = connect({ host, port, noDelay: true });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    const side = dialHandshake({ primitives, role: 'device', keys: this.keys, target });
    return { socket, ended: this.#run(socket, side, beforeHello) };
  }

  /** Runs a handshake and then the host. */
  #run(socket: Socket, side: HandshakeSide, beforeHello?: () => Promise<unknown>): Promise<string> {
    return new Promise((resolve) => {
      runHandshake({
        channel: framedChannel(streamCarrier(socket)),
        primitives,
        clock,
        side,
        listener: {
          keepKey: async (key) => void (this.routerKey = key),
          onSecured: (channel, { peerKey }) => {
            this.routerKey = peerKey;
            const serve = (): void => this.host.serve(observed(channel, clock, resolve), keyText(peerKey));
            if (beforeHello === undefined) serve();
            else void beforeHello().then(serve);
          },
          onFailed: ({ code }) => resolve(code),
        },
      });
    });
  }
}

/** Looks again until the value is there; `what` may tell what was seen last. */
export async function eventually<T>(
  look: () => Promise<T | undefined> | T | undefined,
  what: string | (() => string),
): Promise<T> {
  for (let tries = 0; tries < 1_200; tries++) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`${typeof what === 'string' ? what : what()} did not come about`);
}

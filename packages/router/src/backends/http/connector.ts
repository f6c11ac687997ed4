import { connect as connectTcp, isIP, type LookupFunction, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import { DueTimer } from '../../core/due-timer.ts';
import { localAddressTest } from './local-address.ts';
import { ForeignAddressError, localLookup } from './local-lookup.ts';
import { asLookupFunction, sharedLookup, systemLookup } from './shared-lookup.ts';

/** Name resolution, TCP and TLS together took longer than allowed. */
export class ConnectTimeoutError extends Error {
  override readonly name = 'ConnectTimeoutError';
}

export interface ConnectorOptions {
  readonly clock: Clock;
  readonly connectMs: number;
  /** Connect only to addresses of the user's own network, however the name resolves. */
  readonly onlyLocal: boolean;
}

/** Hears of a connection; each call but `read` comes once at most, and none after `closed`. */
export interface SocketEvents {
  opened(): void;
  /** The bytes are overwritten after the call. */
  read(bytes: Buffer): void;
  /** The other side will send no more. */
  ended(): void;
  closed(error: Error | undefined): void;
}

/** Opens a connection. @throws ForeignAddressError for an address that it must not lead to */
export type Connector = (url: URL, to: SocketEvents) => Socket;

/** Of all connections: a read is used up in the turn in which it comes. */
const readBuffer = Buffer.allocUnsafeSlow(65_536);

/** Makes connections for HTTP/1.1: certificates always verified, one exact deadline over all steps. */
export function createConnector(options: ConnectorOptions): Connector {
  const isAllowed = options.onlyLocal ? localAddressTest() : undefined;
  const lookup = asLookupFunction(sharedLookup(options.onlyLocal ? localLookup() : systemLookup));
  /** Last TLS session of each host, so that reconnecting takes one round trip less; hosts are a closed set. */
  const sessions = new Map<string, Buffer>();

  return ({ hostname, protocol, port }, to) => {
    const host = hostname.replace(/^\[|\]$/g, '');
    if (isAllowed !== undefined && isIP(host) !== 0 && !isAllowed(host)) throw new ForeignAddressError();
    const isTls = protocol === 'https:';
    const target = { host, port: Number(port || (isTls ? 443 : 80)), lookup, onread: readInto(to) };
    const socket = isTls ? openTls(target, sessions) : connectTcp(target);
    socket.setNoDelay(true).setKeepAlive(true, 60_000);

    let failure: Error | undefined;
    const timer = new DueTimer(options.clock, () => socket.destroy(new ConnectTimeoutError()));
    timer.set(options.clock.nowMs() + options.connectMs);
    socket.once(isTls ? 'secureConnect' : 'connect', () => {
      timer.clear();
      to.opened();
    });
    socket.on('error', (error) => (failure ??= error));
    socket.once('end', () => to.ended());
    socket.once('close', () => {
      timer.clear();
      to.closed(failure);
    });
    return socket;
  };
}

function readInto(to: SocketEvents): OnReadOpts {
  return {
    buffer: readBuffer,
    callback(length) {
      to.read(readBuffer.subarray(0, length));
      return true;
    },
  };
}

interface Target {
  readonly host: string;
  readonly port: number;
  readonly lookup: LookupFunction;
  readonly onread: OnReadOpts;
}

function openTls(target: Target, sessions: Map<string, Buffer>): Socket {
  const session = sessions.get(target.host);
  const socket = connectTls({
    ...target,
    servername: isIP(target.host) === 0 ? target.host : '',
    ALPNProtocols: ['http/1.1'],
    // Said outright: an environment variable of Node could switch the default off.
    rejectUnauthorized: true,
    ...(session === undefined ? {} : { session }),
  });
  socket.on('session', (session) => sessions.set(target.host, session));
  return socket;
}

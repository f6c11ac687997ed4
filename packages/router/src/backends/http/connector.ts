import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { buildConnector } from 'undici';
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
  /** Called with each error of a socket, before anyone else hears of it. */
  readonly onSocketError: (socket: Socket, error: Error) => void;
}

/** Makes connections for undici: HTTP/1.1, certificates always verified, one exact deadline over all steps. */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  const isAllowed = options.onlyLocal ? localAddressTest() : undefined;
  const lookup = asLookupFunction(sharedLookup(options.onlyLocal ? localLookup() : systemLookup));
  /** Last TLS session of each host, so that reconnecting takes one round trip less; hosts are a closed set. */
  const sessions = new Map<string, Buffer>();

  return ({ hostname, protocol, port }, callback) => {
    if (isAllowed !== undefined && isIP(hostname) !== 0 && !isAllowed(hostname)) {
      return callback(new ForeignAddressError(), null);
    }
    const target = { host: hostname, lookup };
    const isTls = protocol === 'https:';
    const socket = isTls
      ? openTls({ ...target, port: Number(port || 443) }, sessions)
      : connectTcp({ ...target, port: Number(port || 80) });
    socket.setNoDelay(true).setKeepAlive(true, 60_000);

    let isSettled = false;
    const settle = (error: Error | undefined): void => {
      if (isSettled) return;
      isSettled = true;
      timer.clear();
      if (error === undefined) callback(null, socket);
      else callback(error, null);
    };
    const timer = new DueTimer(options.clock, () => socket.destroy(new ConnectTimeoutError()));
    timer.set(options.clock.nowMs() + options.connectMs);
    socket.once(isTls ? 'secureConnect' : 'connect', () => settle(undefined));
    socket.on('error', (error) => {
      options.onSocketError(socket, error);
      settle(error);
    });
    socket.once('close', () => settle(new Error('closed')));
  };
}

interface TlsTarget {
  readonly host: string;
  readonly port: number;
  readonly lookup: LookupFunction;
}

function openTls(target: TlsTarget, sessions: Map<string, Buffer>): Socket {
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

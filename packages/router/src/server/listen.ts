import { createServer, type Server } from 'node:net';

import type { FastifyInstance } from 'fastify';

import type { ServerConfig } from '../config/config.ts';
import { codeOf } from '../core/error-code.ts';

/** Codes of a machine without IPv6. */
const noIpv6: ReadonlySet<unknown> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']);

const inlets = new WeakMap<Server, readonly Server[]>();

/** All that take connections for a server that `listen` has opened. */
export function listenersOf(server: Server): readonly Server[] {
  return [server, ...(inlets.get(server) ?? [])];
}

/** A second port that is listened on where it can be had. */
export interface FurtherPort {
  readonly port: number;
  /** Told how that went, with the system's error where it was refused. */
  readonly done: (error?: unknown) => void;
}

/**
 * Listens and resolves with the server's base URL. On loopback both of its addresses are taken, since `localhost` is
 * either, by the machine: were the other one free, another program could take it and receive requests meant for us.
 * @throws the system's error where an address cannot be had; a further port that cannot be had ends nothing
 */
export async function listen(
  app: FastifyInstance,
  { host, port }: Pick<ServerConfig, 'host' | 'port'>,
  further?: FurtherPort,
): Promise<string> {
  const address = host.replace(/^\[(.*)\]$/, '$1');
  const isLoopback = address === '127.0.0.1' || address === 'localhost';
  const addresses = isLoopback ? ['127.0.0.1', '::1'] : [address];
  const openFurther = further === undefined ? undefined : furtherPort(app, further, addresses);
  const url = isLoopback ? await listenOnLoopback(app, port) : await app.listen({ host: address, port });
  await openFurther?.();
  return url;
}

async function listenOnLoopback(app: FastifyInstance, port: number): Promise<string> {
  const twin = inlet(app);
  const url = await app.listen({ host: '127.0.0.1', port });
  try {
    await listenAt(app, twin, '::1', Number(new URL(url).port || 80));
  } catch (error) {
    // A port the system chose may be taken there by chance.
    if (noIpv6.has(codeOf(error)) || port === 0) return url;
    await app.close();
    throw error;
  }
  return url;
}

/** Prepares a further port; what it returns opens it, at all of the addresses that this machine has or at none. */
function furtherPort(
  app: FastifyInstance,
  { port, done }: FurtherPort,
  addresses: readonly string[],
): () => Promise<void> {
  const inlets = addresses.map((address) => ({ address, server: inlet(app) }));
  return async () => {
    for (const { address, server } of inlets) {
      try {
        await listenAt(app, server, address, port);
      } catch (error) {
        if (address === '::1' && addresses.length > 1 && noIpv6.has(codeOf(error))) continue;
        for (const each of inlets) each.server.close();
        return done(error);
      }
    }
    done();
  };
}

/** A server whose connections go to the one HTTP server, with its limits and its draining; before that listens only. */
function inlet(app: FastifyInstance): Server {
  const server = createServer((socket) => app.server.emit('connection', socket));
  app.addHook('preClose', (done) => {
    server.close();
    done();
  });
  return server;
}

function listenAt(app: FastifyInstance, server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, ipv6Only: host === '::1' }, () => {
      server.off('error', reject);
      inlets.set(app.server, [...(inlets.get(app.server) ?? []), server]);
      resolve();
    });
  });
}

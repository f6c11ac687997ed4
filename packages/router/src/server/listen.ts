import { createServer, type Server } from 'node:net';

import type { FastifyInstance } from 'fastify';

import type { ServerConfig } from '../config/config.ts';

/** Codes of a machine without IPv6. */
const noIpv6: ReadonlySet<unknown> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']);

const twins = new WeakMap<Server, Server>();

/** All that take connections for a server that `listen` has opened. */
export function listenersOf(server: Server): readonly Server[] {
  const twin = twins.get(server);
  return twin === undefined ? [server] : [server, twin];
}

/**
 * Listens and resolves with the server's base URL. On loopback both of its addresses are taken, since `localhost` is
 * either, by the machine: were the other one free, another program could take it and receive requests meant for us.
 * @throws the system's error where an address cannot be had
 */
export async function listen(
  app: FastifyInstance,
  { host, port }: Pick<ServerConfig, 'host' | 'port'>,
): Promise<string> {
  const address = host.replace(/^\[(.*)\]$/, '$1');
  if (address !== '127.0.0.1' && address !== 'localhost') return await app.listen({ host: address, port });

  // Connections go to the one HTTP server, with its limits and its draining.
  const twin = createServer((socket) => app.server.emit('connection', socket));
  app.addHook('preClose', (done) => {
    twin.close();
    done();
  });
  const url = await app.listen({ host: '127.0.0.1', port });
  try {
    await listenTwin(twin, Number(new URL(url).port || 80));
    twins.set(app.server, twin);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    // A port the system chose may be taken there by chance.
    if (noIpv6.has(code) || port === 0) return url;
    await app.close();
    throw error;
  }
  return url;
}

function listenTwin(twin: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    twin.once('error', reject);
    twin.listen({ host: '::1', port, ipv6Only: true }, () => {
      twin.off('error', reject);
      resolve();
    });
  });
}

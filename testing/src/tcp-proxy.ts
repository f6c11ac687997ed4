import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** A cable between a client and a server on this machine, to be pulled. */
export interface TcpProxy {
  readonly port: number;
  /** Ends every connection at once, without a word to the protocol above. */
  cut(): void;
  /** While true, bytes are neither passed on nor refused: neither side hears anything. */
  setSilent(isSilent: boolean): void;
  /** Connections made so far. */
  readonly connections: () => number;
}

/** How a cable is: TCP shows a lost packet as a pause, after which everything comes at once and in order. */
export interface Cable {
  /** One way. */
  readonly delayMs: number;
  /** Of packets, 0..1. */
  readonly lost: number;
  /** Until a lost packet is sent again. */
  readonly resentAfterMs: number;
  /** 0..1, uniform. */
  readonly random: () => number;
}

export interface TcpProxyOptions {
  readonly cable?: Cable;
  /** Hears all bytes on their way, before they are passed on. */
  readonly onBytes?: (bytes: Buffer, isAnswer: boolean) => void;
}

/** Passes connections on to a port of this machine until the test is over. */
export async function tcpProxy(
  t: TestContext,
  toPort: number,
  { cable, onBytes }: TcpProxyOptions = {},
): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let connections = 0;
  let isSilent = false;
  const server = createServer({ noDelay: true }, (client) => {
    connections++;
    const upstream = connect({ port: toPort, host: '127.0.0.1', noDelay: true });
    const pair = [client, upstream] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [upstream, client] as const]) {
      from.on('error', () => {});
      from.on('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
      let freeAtMs = 0;
      const underWay: Buffer[] = [];
      from.on('data', (chunk: Buffer) => {
        if (isSilent) return;
        onBytes?.(chunk, from === upstream);
        if (cable === undefined) {
          to.write(chunk);
          return;
        }
        const resentMs = cable.random() < cable.lost ? cable.resentAfterMs : 0;
        freeAtMs = Math.max(freeAtMs, performance.now() + cable.delayMs + resentMs);
        underWay.push(chunk);
        // Timers of different lengths may change places; what they carry must not.
        setTimeout(() => to.write(underWay.shift() ?? ''), freeAtMs - performance.now());
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
  };
  t.after(() => {
    server.close();
    cut();
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    cut,
    setSilent: (next) => void (isSilent = next),
    connections: () => connections,
  };
}

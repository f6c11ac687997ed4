import type { Carrier, CarrierListener } from '@lfo/protocol';
import TcpSocket from 'react-native-tcp-socket';

type Socket = ReturnType<typeof TcpSocket.createConnection>;

/** Longest that connecting may take (device protocol 1, section 5). */
const connectMs = 2_000;

/**
 * A carrier over a socket of react-native-tcp-socket, whose `end()` drops what was written, whose `write()` throws once
 * the socket is closed, and which does not always tell of a close after an error.
 */
export function tcpCarrier(socket: Socket): Carrier {
  let state: 'open' | 'closing' | 'closed' = 'open';
  let unwritten = 0;
  let listener: CarrierListener | undefined;

  const closed = (): void => {
    if (state === 'closed') return;
    state = 'closed';
    socket.destroy();
    listener?.onClose();
  };
  const written = (): void => {
    unwritten--;
    if (state === 'closing' && unwritten === 0) closed();
  };
  socket.on('close', closed);
  socket.on('error', closed);
  return {
    write(bytes) {
      if (state !== 'open') return false;
      try {
        unwritten++;
        return socket.write(bytes, undefined, written);
      } catch {
        closed();
        return false;
      }
    },
    listen(to) {
      listener = to;
      socket.on('data', (data) => {
        if (state === 'open' && typeof data !== 'string') to.onData(data);
      });
      socket.on('drain', () => {
        if (state === 'open') to.onDrain();
      });
    },
    close(now = false) {
      if (state === 'closed') return;
      state = 'closing';
      if (now || unwritten === 0) closed();
    },
  };
}

/** Connects; undefined where nobody answers in time. */
export function connectTcp(host: string, port: number): Promise<Carrier | undefined> {
  return new Promise((resolve) => {
    let socket: Socket | undefined;
    const giveUp = (): void => {
      clearTimeout(timer);
      socket?.destroy();
      resolve(undefined);
    };
    // Android's own limit does not cover the look-up of a name.
    const timer = setTimeout(giveUp, connectMs);
    socket = TcpSocket.createConnection({ host, port, connectTimeout: connectMs }, () => {
      clearTimeout(timer);
      if (socket === undefined) return;
      socket.removeListener('error', giveUp).removeListener('close', giveUp);
      socket.setNoDelay(true);
      resolve(tcpCarrier(socket));
    });
    socket.on('error', giveUp);
    socket.on('close', giveUp);
  });
}

/** Accepts connections until the returned function is called. */
export function listenTcp(port: number, onCarrier: (carrier: Carrier) => void): () => void {
  const server = TcpSocket.createServer({ noDelay: true }, (socket) => onCarrier(tcpCarrier(socket)));
  // A port that is taken leaves the routers that this phone dials alone.
  server.on('error', () => server.close());
  server.listen({ port, host: '0.0.0.0', reuseAddress: true });
  return () => void server.close();
}

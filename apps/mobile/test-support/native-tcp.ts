/**
 * Backs react-native-tcp-socket's native module (TcpSockets) with Node's net, event for event, so that the library's own
 * JavaScript runs against real loopback sockets in tests.
 */
import * as net from 'node:net';
import { DeviceEventEmitter, NativeModules } from 'react-native';

const sockets = new Map<number, net.Socket>();
const servers = new Map<number, net.Server>();
const emit = (name: string, body: object): void => DeviceEventEmitter.emit(name, body);
const info = (socket: net.Socket): object => ({
  localAddress: socket.localAddress,
  localPort: socket.localPort,
  remoteAddress: socket.remoteAddress,
  remotePort: socket.remotePort,
  remoteFamily: socket.remoteFamily,
});

function wire(id: number, socket: net.Socket): void {
  sockets.set(id, socket);
  socket.on('data', (data) => emit('data', { id, data: data.toString('base64') }));
  socket.on('end', () => emit('end', { id }));
  socket.on('error', (error) => emit('error', { id, error: error.message }));
  socket.on('close', (hadError) => emit('close', { id, hadError }));
}

/** Android's end() is destroy(): it closes the socket at once. */
const destroy = (id: number): void => void sockets.get(id)?.destroy();

NativeModules['TcpSockets'] = {
  addListener() {},
  removeListeners() {},
  connect(id: number, host: string, port: number) {
    const socket = net.connect({ host, port, allowHalfOpen: true });
    wire(id, socket);
    socket.on('connect', () => emit('connect', { id, connection: info(socket) }));
  },
  write(id: number, base64: string, msgId: number) {
    sockets
      .get(id)
      ?.write(Buffer.from(base64, 'base64'), (error) => emit('written', { id, msgId, err: error?.message }));
  },
  end: destroy,
  destroy,
  pause: (id: number) => sockets.get(id)?.pause(),
  resume: (id: number) => sockets.get(id)?.resume(),
  setNoDelay: (id: number, on: boolean) => sockets.get(id)?.setNoDelay(on),
  setKeepAlive: (id: number, on: boolean) => sockets.get(id)?.setKeepAlive(on),
  startTLS() {},
  listen(id: number, { port, host }: { port: number; host: string }) {
    let next = (1 + id) * 1000;
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      const socketId = next++;
      // As TcpSocketServer.addClient: registered, announced, then read.
      sockets.set(socketId, socket);
      emit('connection', { id, info: { id: socketId, connection: info(socket) } });
      wire(socketId, socket);
    });
    servers.set(id, server);
    server.on('error', (error) => emit('error', { id, error: error.message }));
    server.listen(port, host, () =>
      emit('listening', { id, connection: { localAddress: host, localPort: port, localFamily: 'IPv4' } }),
    );
  },
  close: (id: number) => servers.get(id)?.close(),
};

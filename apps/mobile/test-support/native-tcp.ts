/**
 * Backs react-native-tcp-socket's native module (TcpSockets) with Node's net, event for event,
 * so that the library's own JavaScript runs against real loopback sockets in tests.
 */
import * as net from 'node:net';
import { DeviceEventEmitter, NativeModules } from 'react-native';

const sockets = new Map<number, net.Socket>();
const servers = new Map<number, net.Server>();
const emit = (name: string, body: object) => DeviceEventEmitter.emit(name, body);
const info = (s: net.Socket) => ({
  localAddress: s.localAddress,
  localPort: s.localPort,
  remoteAddress: s.remoteAddress,
  remotePort: s.remotePort,
  remoteFamily: s.remoteFamily,
});

function wire(id: number, s: net.Socket): void {
  sockets.set(id, s);
  s.on('data', (d) => emit('data', { id, data: d.toString('base64') }));
  s.on('end', () => emit('end', { id }));
  s.on('error', (e) => emit('error', { id, error: e.message }));
  s.on('close', (hadError) => emit('close', { id, hadError }));
}

NativeModules['TcpSockets'] = {
  addListener() {},
  removeListeners() {},
  connect(id: number, host: string, port: number) {
    const s = net.connect({ host, port, allowHalfOpen: true });
    wire(id, s);
    s.on('connect', () => emit('connect', { id, connection: info(s) }));
  },
  write(id: number, base64: string, msgId: number) {
    sockets.get(id)?.write(Buffer.from(base64, 'base64'), (e) => emit('written', { id, msgId, err: e?.message }));
  },
  // Android's end() is destroy(): it closes the socket at once.
  end: (id: number) => sockets.get(id)?.destroy(),
  destroy: (id: number) => sockets.get(id)?.destroy(),
  pause: (id: number) => sockets.get(id)?.pause(),
  resume: (id: number) => sockets.get(id)?.resume(),
  setNoDelay: (id: number, on: boolean) => sockets.get(id)?.setNoDelay(on),
  setKeepAlive: (id: number, on: boolean) => sockets.get(id)?.setKeepAlive(on),
  startTLS() {},
  listen(id: number, o: { port: number; host: string }) {
    let next = (1 + id) * 1000;
    const srv = net.createServer({ allowHalfOpen: true }, (s) => {
      const cid = next++;
      sockets.set(cid, s); // as TcpSocketServer.addClient: registered, announced, then read
      emit('connection', { id, info: { id: cid, connection: info(s) } });
      wire(cid, s);
    });
    servers.set(id, srv);
    srv.on('error', (e) => emit('error', { id, error: e.message }));
    srv.listen(o.port, o.host, () => {
      const a = srv.address() as net.AddressInfo;
      emit('listening', { id, connection: { localAddress: a.address, localPort: a.port, localFamily: a.family } });
    });
  },
  close: (id: number) => servers.get(id)?.close(),
};

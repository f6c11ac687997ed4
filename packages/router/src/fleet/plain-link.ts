import type { Socket } from 'node:net';

const headerBytes = 4;
/** A message begins so; a handshake begins with its version. */
const brace = 0x7b;

/** Looks at the first frame of a connection: one that carries a message has skipped the handshake. Goes on as it came. */
export function takePlainLink(socket: Socket, onPlain: () => void, otherwise: () => void): void {
  let first = Buffer.alloc(0);
  const look = (bytes: Buffer): void => {
    first = Buffer.concat([first, bytes]);
    if (first.length <= headerBytes) return;
    socket.removeListener('data', look);
    socket.pause();
    socket.unshift(first);
    if (first[headerBytes] === brace) onPlain();
    else otherwise();
    socket.resume();
  };
  socket.on('error', () => {});
  socket.on('data', look);
}

import type { Socket } from 'node:net';

/** Looks at the first bytes of a connection, `least` or more of them; it goes on as it came. */
export function takeFirstBytes(socket: Socket, least: number, look: (first: Buffer) => void): void {
  let first = Buffer.alloc(0);
  const take = (bytes: Buffer): void => {
    first = Buffer.concat([first, bytes]);
    if (first.length < least) return;
    socket.removeListener('data', take);
    socket.pause();
    socket.unshift(first);
    look(first);
    socket.resume();
  };
  socket.on('error', () => {});
  socket.on('data', take);
}

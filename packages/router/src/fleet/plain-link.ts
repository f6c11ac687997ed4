import type { Socket } from 'node:net';
import { takeFirstBytes } from './first-bytes.ts';

const headerBytes = 4;
/** A message begins so; a handshake begins with its version. */
const brace = 0x7b;

/** Looks at the first frame of a connection: one that carries a message has skipped the handshake. Goes on as it came. */
export function takePlainLink(socket: Socket, onPlain: () => void, otherwise: () => void): void {
  takeFirstBytes(socket, headerBytes + 1, (first) => (first[headerBytes] === brace ? onPlain() : otherwise()));
}

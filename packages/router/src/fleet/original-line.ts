import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { takeFirstBytes } from './first-bytes.ts';

const maxLineBytes = 1024 * 1024;
const sendMs = 10_000;
const lineEnd = 0x0a;
/** A frame of the device protocol begins with 00. */
const brace = 0x7b;

/** Answers one line of the original's wire with another, without its end. Never rejects. */
export type AnswerLine = (line: string) => Promise<string>;

/**
 * Looks at the first byte of a connection from this machine: `{` is a request of the original, answered with one line
 * and closed; anything else goes on as it came.
 */
export function takeOriginalLine(socket: Socket, clock: Clock, answer: AnswerLine, otherwise: () => void): void {
  takeFirstBytes(socket, 1, (first) => (first[0] === brace ? readLine(socket, clock, answer) : otherwise()));
}

function readLine(socket: Socket, clock: Clock, answer: AnswerLine): void {
  const cancel = clock.schedule(sendMs, () => socket.destroy());
  const parts: Buffer[] = [];
  let size = 0;
  const take = (bytes: Buffer): void => {
    const end = bytes.indexOf(lineEnd);
    parts.push(end === -1 ? bytes : bytes.subarray(0, end));
    size += bytes.length;
    if (size > maxLineBytes) return void socket.destroy();
    if (end === -1) return;
    socket.removeListener('data', take);
    cancel();
    socket.resume();
    void answer(Buffer.concat(parts).toString('utf8')).then((line) => socket.end(`${line}\n`));
  };
  socket.once('close', cancel);
  socket.on('data', take);
}

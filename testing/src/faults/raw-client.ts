import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

import type { TestRouter } from '../router.ts';
import { at } from '../sse.ts';

/** A socket to the router, closed when the test ends. */
export async function open(t: TestContext, router: TestRouter): Promise<Socket> {
  const socket = connect(Number(new URL(router.app.url).port), '127.0.0.1').on('error', () => undefined);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Everything the router says until it hangs up. */
export async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => (text += part));
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

/** A chat request as it looks on the wire. */
export function httpPost(body: string, headers = ''): string {
  return `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** Fails unless this is a whole response of that status with the error envelope. */
export function assertRefused(text: string, status: number): void {
  const [head = '', body = ''] = text.split('\r\n\r\n', 2);
  assert.equal(Number(head.split(' ')[1]), status, text.slice(0, 300));
  const answer: unknown = JSON.parse(body);
  for (const name of ['message', 'type', 'param', 'code']) assert.notEqual(at(answer, 'error', name), undefined, name);
}

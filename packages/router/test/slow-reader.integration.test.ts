import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { type ScriptedAnswer, scriptedRouter, someUsage } from '@lfo/testing/scripted-router.ts';

const piece = 'x'.repeat(1000);
const open: Socket[] = [];
after(() => open.forEach((socket) => socket.destroy()));

/** A backend that always has more, and counts what was taken from it. */
class EndlessBackend {
  taken = 0;
  readonly ended = Promise.withResolvers<unknown>();
  readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  answer: ScriptedAnswer = async function* (
    this: EndlessBackend,
    _request: unknown,
    { signal }: { signal: AbortSignal },
  ) {
    try {
      yield { type: 'start', model: 'tiny' } as const;
      for (; this.taken < this.limit; this.taken++) {
        signal.throwIfAborted();
        yield { type: 'text-delta', text: piece } as const;
      }
      yield { type: 'finish', reason: 'stop', usage: someUsage } as const;
    } finally {
      this.ended.resolve(signal.reason);
    }
  }.bind(this);

  /** Resolves once nothing more is taken for a while. */
  async stalled(): Promise<number> {
    for (let before = -1; before !== this.taken; await delay(50)) before = this.taken;
    return this.taken;
  }
}

async function ask(url: string, stream: boolean): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined);
  open.push(socket);
  await once(socket, 'connect');
  socket.pause();
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], stream });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n`;
  socket.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
  return socket;
}

async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => (text += part));
  socket.resume();
  await once(socket, 'close');
  return text;
}

test('a reader that stops pauses the backend, and is cut off when it stays away', async () => {
  const clock = new FakeClock();
  const backend = new EndlessBackend(1_000_000);
  const router = scriptedRouter({ answer: backend.answer, clock, server: { slowReaderMs: 60_000 } });
  await ask(await router.listen(), true);
  const taken = await backend.stalled();
  assert.ok(taken > 0 && taken < 10_000, `${taken} kB were taken for nobody`);
  clock.advance(59_000);
  assert.equal(await backend.stalled(), taken);
  clock.advance(2_000);
  const reason = await backend.ended.promise;
  assert.ok(reason instanceof Error && 'code' in reason && reason.code === 'client_closed_request');
  await router.app.close();
  assert.equal(router.deliveries[0]?.status, 499);
  assert.equal(clock.pendingTimers, 0);
});

test('a reader that comes back gets every piece', async () => {
  const clock = new FakeClock();
  const backend = new EndlessBackend(20_000);
  const router = scriptedRouter({ answer: backend.answer, clock });
  const socket = await ask(await router.listen(), true);
  const taken = await backend.stalled();
  assert.ok(taken < backend.limit);
  const text = await readAll(socket);
  assert.equal(text.split(piece).length - 1, backend.limit);
  assert.match(text, /data: \[DONE\]\n\n/);
  await router.app.close();
  assert.equal(clock.pendingTimers, 0);
});

test('a long answer whose reader stays away is cut off as well', async () => {
  const clock = new FakeClock();
  const backend = new EndlessBackend(12_000);
  const router = scriptedRouter({ answer: backend.answer, clock });
  const socket = await ask(await router.listen(), false);
  await backend.ended.promise;
  await delay(200);
  const closed = readAllLater(socket);
  clock.advance(60_001);
  assert.ok((await closed).length < 12_000_000);
  await router.app.close();
  assert.equal(router.deliveries[0]?.status, 499);
});

test('pieces that come together leave in one write', async () => {
  const backend = new EndlessBackend(5);
  const router = scriptedRouter({ answer: backend.answer });
  const url = await router.listen();
  const writes: number[] = [];
  const socket = await ask(url, true);
  socket.resume();
  socket.on('data', (part) => writes.push(part.length));
  await once(socket, 'close');
  assert.ok(writes.length <= 3, `${writes.length} writes for one batch`);
  await router.app.close();
});

/** Reads only after the server has been given its time. */
async function readAllLater(socket: Socket): Promise<string> {
  await delay(100);
  return readAll(socket);
}

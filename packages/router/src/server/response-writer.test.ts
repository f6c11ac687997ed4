import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';

import { FakeClock } from '@lfo/testing/fake-clock.ts';

import { ResponseWriter } from './response-writer.ts';

/** A response whose reader can be told to read. */
async function openResponse(t: TestContext): Promise<{ response: ServerResponse; read: () => void }> {
  const server = createServer();
  const responses = once(server, 'request');
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const client = connect(address.port, '127.0.0.1');
  t.after(() => {
    client.destroy();
    server.close();
  });
  client.pause();
  client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const response: ServerResponse = (await responses)[1];
  return { response, read: () => void client.resume() };
}

test('a reader that takes everything between two events is not waited for', { timeout: 20_000 }, async (t) => {
  const { response, read } = await openResponse(t);
  const clock = new FakeClock();
  const writer = new ResponseWriter(response, clock, 60_000);
  while (!writer.isBlocked) writer.write(Buffer.alloc(1_000_000));
  const drained = once(response, 'drain');
  read();
  await drained;
  assert.equal(writer.isBlocked, false);
  let isReleased = false;
  const released = writer.drained().then(() => (isReleased = true));
  await new Promise(setImmediate);
  assert.ok(isReleased, 'nothing is waited for');
  await released;
  assert.equal(clock.pendingTimers, 0);
  assert.equal(response.destroyed, false);
});

test('a reader that takes nothing is cut after its time', { timeout: 20_000 }, async (t) => {
  const { response } = await openResponse(t);
  const clock = new FakeClock();
  const writer = new ResponseWriter(response, clock, 60_000);
  while (!writer.isBlocked) writer.write(Buffer.alloc(1_000_000));
  const released = writer.drained();
  clock.advance(59_999);
  assert.equal(response.destroyed, false);
  clock.advance(1);
  assert.equal(response.destroyed, true);
  await released;
});

test('an answer that the system takes at once is not waited for', { timeout: 20_000 }, async (t) => {
  const { response } = await openResponse(t);
  const clock = new FakeClock();
  const ended = new ResponseWriter(response, clock, 60_000).end('{}');
  assert.equal(clock.pendingTimers, 0);
  await ended;
  assert.equal(response.writableEnded, true);
});

test('the end of an answer that nobody takes is waited for, and cut after its time', { timeout: 20_000 }, async (t) => {
  const { response } = await openResponse(t);
  const clock = new FakeClock();
  const ended = new ResponseWriter(response, clock, 60_000).end(Buffer.alloc(30_000_000));
  assert.equal(clock.pendingTimers, 1);
  clock.advance(60_000);
  await ended;
  assert.equal(response.destroyed, true);
});

import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { keyPair } from '@lfo/protocol';
import { systemClock as clock } from '../core/clock.ts';
import { FleetListener, maxHandshakesPerSecond, maxUnproven } from './listener.ts';
import { primitives } from './router-key.ts';

async function listening(t: TestContext, refused: string[] = []) {
  const listener = new FleetListener({
    clock,
    primitives,
    keys: keyPair(primitives),
    pairings: () => [],
    isKnown: () => false,
    onSecured: () => {},
    onRefused: (reason) => refused.push(reason),
    onGuess: () => {},
  });
  t.after(() => listener.stop());
  const { port } = await listener.listen('127.0.0.1', 0);
  return { listener, port };
}

function dial(t: TestContext, port: number): Promise<{ readonly socket: Socket; readonly closed: Promise<void> }> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    const closed = new Promise<void>((ended) => socket.on('error', () => {}).once('close', () => ended()));
    socket.resume().once('connect', () => resolve({ socket, closed }));
  });
}

test('the oldest of 64 silent links goes for a newer one', async (t) => {
  const { port } = await listening(t);
  const first = await dial(t, port);
  const others = [];
  for (let links = 1; links < maxUnproven; links++) others.push(await dial(t, port));
  assert.equal(first.socket.closed, false);
  await dial(t, port);
  await first.closed;
  assert.equal(others.at(-1)?.socket.closed, false);
});

test('more than 100 handshakes in a second are closed at once', async (t) => {
  const refused: string[] = [];
  const { port } = await listening(t, refused);
  const sockets = await Promise.all(Array.from({ length: maxHandshakesPerSecond * 3 }, () => dial(t, port)));
  await Promise.race(sockets.map(({ closed }) => closed));
  for (let tries = 0; tries < 200 && !refused.includes('rate_limited'); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok(refused.includes('rate_limited'));
});

test('a port that is taken gives way to a free one', async (t) => {
  const { port } = await listening(t);
  const second = new FleetListener({
    clock,
    primitives,
    keys: keyPair(primitives),
    pairings: () => [],
    isKnown: () => false,
    onSecured: () => {},
    onRefused: () => {},
    onGuess: () => {},
  });
  t.after(() => second.stop());
  const bound = await second.listen('127.0.0.1', port);
  assert.equal(bound.wasTaken, true);
  assert.notEqual(bound.port, port);
});

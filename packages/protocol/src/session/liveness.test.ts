import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { Liveness } from './liveness.ts';

function live(pingsIdle: boolean, periodMs = 20_000) {
  const clock = new FakeClock();
  const pings: { n: number; atMs: number }[] = [];
  const silent: number[] = [];
  const liveness = new Liveness({
    clock,
    periodMs,
    pingsIdle,
    ping: (n) => pings.push({ n, atMs: clock.nowMs() }),
    onSilent: () => silent.push(clock.nowMs()),
  });
  liveness.start();
  return { clock, liveness, pings, silent, times: () => pings.map(({ atMs }) => atMs) };
}

test('the router pings at once and after each period of silence; silent for 2.5 periods, the link is dead', () => {
  const { clock, times, silent } = live(true);
  clock.advance(49_999);
  assert.deepEqual(times(), [0, 20_000, 40_000]);
  assert.deepEqual(silent, []);
  clock.advance(1);
  assert.deepEqual(silent, [50_000]);
  assert.equal(clock.pendingTimers, 0);
});

test('any record is a sign of life, and a pong tells the round-trip time', () => {
  const { clock, liveness, pings, silent } = live(true);
  for (let at = 0; at < 100; at++) {
    clock.advance(10_000);
    liveness.heard();
  }
  assert.deepEqual(silent, []);
  assert.equal(pings.length, 1, 'no silence, no ping');
  liveness.pong(7);
  assert.equal(liveness.rttMs, undefined, 'not what was asked');
  clock.advance(20_000);
  clock.advance(50);
  liveness.heard();
  liveness.pong(2);
  assert.equal(liveness.rttMs, 50);
  clock.advance(20_000);
  clock.advance(100);
  liveness.pong(3);
  assert.equal(liveness.rttMs, 50 + 0.2 * 50);
});

test('with a request in flight either side pings after 5 s, and 15 s of silence end the link', () => {
  for (const pingsIdle of [true, false]) {
    const { clock, liveness, times, silent } = live(pingsIdle);
    clock.advance(19_000);
    liveness.setBusy(true);
    clock.advance(14_999);
    assert.deepEqual(
      times().filter((ms) => ms > 0),
      [24_000, 29_000],
    );
    assert.deepEqual(silent, []);
    clock.advance(1);
    assert.deepEqual(silent, [34_000]);
  }
});

test('an idle device does not ping, and is dead after 2.5 periods all the same', () => {
  const { clock, times, silent } = live(false, 60_000);
  clock.advance(150_000);
  assert.deepEqual([times(), silent], [[], [150_000]]);
});

test('a frozen child on a pipe is noticed within 2.5 of its periods', () => {
  const { clock, silent } = live(true, 6_000);
  clock.advance(15_000);
  assert.deepEqual(silent, [15_000]);
});

test('a link that has ended keeps no timer', () => {
  const { clock, liveness } = live(true);
  liveness.stop();
  liveness.setBusy(true);
  assert.equal(clock.pendingTimers, 0);
});

test('a side that stood still itself reads first what has come meanwhile', () => {
  let timer: (() => void) | undefined;
  let nowMs = 0;
  const silent: number[] = [];
  const liveness = new Liveness({
    clock: {
      nowMs: () => nowMs,
      schedule(_ms, run) {
        timer = run;
        return () => (timer = undefined);
      },
    },
    periodMs: 20_000,
    pingsIdle: true,
    ping() {},
    onSilent: () => silent.push(nowMs),
  });
  liveness.start();
  nowMs = 3_600_000;
  timer?.();
  assert.deepEqual(silent, []);
  liveness.heard();
  nowMs += 50;
  timer?.();
  assert.deepEqual(silent, []);
});

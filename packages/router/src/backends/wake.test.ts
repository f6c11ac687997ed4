import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { magicPacket, Wakes } from './wake.ts';

const target = { mac: '02:00:5e:10:00:ff', broadcast: '192.168.1.255', timeoutMs: 20_000 };

function scene() {
  const clock = new FakeClock();
  const sent: string[] = [];
  const wakes = new Wakes(clock, (packet, address, port) => {
    assert.deepEqual(packet, magicPacket(target.mac));
    sent.push(`${address}:${port} at ${clock.nowMs() - startMs}`);
  });
  const startMs = clock.nowMs();
  return { clock, sent, wakes, sleeper: wakes.sleeper(() => target) };
}

test('a magic packet is six ff and sixteen times the address', () => {
  const hex = Buffer.from(magicPacket(target.mac)).toString('hex');
  assert.equal(hex, `${'ff'.repeat(6)}${'02005e1000ff'.repeat(16)}`);
});

test('a machine is called at 0, 1 and 5 s, counts as coming until its time is over, and is called once a minute', () => {
  const { clock, sent, wakes, sleeper } = scene();
  sleeper.wake();
  sleeper.wake();
  assert.equal(sleeper.isWaking, true);
  clock.advance(10_000);
  assert.deepEqual(sent, ['192.168.1.255:9 at 0', '192.168.1.255:9 at 1000', '192.168.1.255:9 at 5000']);
  clock.advance(10_000);
  assert.equal(sleeper.isWaking, false);
  sleeper.wake();
  assert.equal(sent.length, 3);
  assert.deepEqual([...wakes.results], [['timeout', 1]]);
  clock.advance(40_000);
  sleeper.wake();
  assert.equal(sent.length, 4);
});

test('one that comes is called no more', () => {
  const { clock, sent, wakes, sleeper } = scene();
  sleeper.wake();
  clock.advance(500);
  sleeper.isUp();
  clock.advance(60_000);
  assert.equal(sent.length, 1);
  assert.deepEqual([...wakes.results], [['up', 1]]);
});

test('one whose address nobody knows is not called', () => {
  const { wakes, sent } = scene();
  const sleeper = wakes.sleeper(() => undefined);
  assert.equal(sleeper.canWake, false);
  sleeper.wake();
  assert.deepEqual([sent, sleeper.isWaking], [[], false]);
});

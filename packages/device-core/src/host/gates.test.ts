import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { defaultGateLimits, Gates } from './gates.ts';

function newGates() {
  const clock = new FakeClock();
  const under = new Gates(clock);
  const code = (machine: Parameters<Gates['update']>[0]) => {
    under.update(machine);
    return under.closed?.code;
  };
  return { clock, gates: under, code };
}

test('an unplugged battery rests below 20 %, and is back at 25 % or on power', () => {
  const { code } = newGates();
  const at = (pct: number, charging = false) => code({ battery: { pct, charging } });
  assert.deepEqual(
    [at(20), at(19), at(24), at(25), at(19), at(19, true)],
    [undefined, 'battery', 'battery', undefined, 'battery', undefined],
  );
});

test('a hot device is back only after half a minute of coolness', () => {
  const { clock, gates, code } = newGates();
  const at = (status: number) => code({ thermal: { status } });
  assert.deepEqual([at(2), at(3), at(2), at(1)], [undefined, 'thermal', 'thermal', 'thermal']);
  clock.advance(29_999);
  assert.equal(at(2), 'thermal');
  assert.equal(at(0), 'thermal');
  clock.advance(30_000);
  assert.equal(gates.closed, undefined);
  assert.equal(clock.pendingTimers, 0);
});

test('what runs must end from critical heat on', () => {
  const { gates, code } = newGates();
  code({ thermal: { status: 3 } });
  assert.equal(gates.isCritical, false);
  code({ thermal: { status: 4 } });
  assert.equal(gates.isCritical, true);
});

test('memory rests below 300 MB or a tenth, and is back at one and a half times that', () => {
  const { code } = newGates();
  const at = (mem_free_mb: number, memTotalMb = 2000) => code({ mem_free_mb, memTotalMb });
  assert.deepEqual([at(300), at(299), at(449), at(450)], [undefined, 'memory', 'memory', undefined]);
  assert.deepEqual([at(799, 8000), at(1199, 8000), at(1200, 8000)], ['memory', 'memory', undefined]);
});

test('saver, networks and the owner close it, each with its word', () => {
  const { gates, code } = newGates();
  assert.equal(code({ battery: { pct: 80, charging: true, saver: true } }), 'saver');
  assert.equal(code({ net: 'none' }), 'network');
  assert.equal(code({ net: 'cellular' }), undefined);
  gates.setLimits({ ...defaultGateLimits, nets: ['wifi', 'ethernet'] });
  assert.equal(code({ net: 'cellular' }), 'network');
  assert.equal(code({ net: 'wifi' }), undefined);
  gates.setPaused(true);
  assert.equal(gates.closed?.code, 'paused');
});

test('a router may ask for more care, never for less, and only while its link lives', () => {
  const { gates, code } = newGates();
  const [careful, careless] = [{}, {}];
  gates.setPolicy(careful, { min_battery: 50, max_thermal: 2 });
  gates.setPolicy(careless, { min_battery: 5, max_thermal: 6 });
  assert.equal(code({ battery: { pct: 49, charging: false } }), 'battery');
  gates.setPolicy(careful, undefined);
  assert.equal(gates.closed, undefined);
  assert.equal(code({ battery: { pct: 19, charging: false } }), 'battery');
});

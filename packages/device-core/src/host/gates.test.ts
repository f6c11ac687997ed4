import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { Gates } from './gates.ts';

function gates() {
  const clock = new FakeClock();
  let changes = 0;
  const made = new Gates(clock, () => changes++);
  return { clock, gates: made, changes: () => changes };
}

const onBattery = (pct: number, more = {}) => ({ battery: { pct, charging: false, ...more } });

test('a machine that says nothing of itself serves', () => {
  const { gates: made } = gates();
  assert.equal(made.code, undefined);
  made.read({});
  assert.equal(made.refusal, undefined);
});

test('an unplugged battery closes below 20 %, opens at 25 % or on power', () => {
  const { gates: made } = gates();
  made.read(onBattery(20));
  assert.equal(made.code, undefined);
  made.read(onBattery(19));
  assert.equal(made.code, 'battery');
  assert.match(made.refusal?.message ?? '', /19 %/);
  made.read(onBattery(24));
  assert.equal(made.code, 'battery');
  made.read(onBattery(25));
  assert.equal(made.code, undefined);
  made.read(onBattery(10));
  made.read({ battery: { pct: 10, charging: true } });
  assert.equal(made.code, undefined);
  made.read(onBattery(90, { saver: true }));
  assert.equal(made.code, 'saver');
});

test('heat closes at SEVERE and opens after 30 s at LIGHT or below; CRITICAL ends what runs', () => {
  const { gates: made, clock, changes } = gates();
  made.read({ thermal: { status: 2 } });
  assert.equal(made.code, undefined);
  made.read({ thermal: { status: 3 } });
  assert.equal(made.code, 'thermal');
  assert.equal(made.endsWhatRuns, false);
  made.read({ thermal: { status: 4 } });
  assert.equal(made.endsWhatRuns, true);
  made.read({ thermal: { status: 1 } });
  clock.advance(29_999);
  assert.equal(made.code, 'thermal');
  made.read({ thermal: { status: 2 } });
  clock.advance(60_000);
  assert.equal(made.code, 'thermal', 'warm again: the time begins anew');
  made.read({ thermal: { status: 0 } });
  clock.advance(30_000);
  assert.equal(made.code, undefined);
  assert.equal(changes(), 1);
});

test('memory closes below 300 MB or a tenth, and opens at half as much again', () => {
  const { gates: made } = gates();
  made.read({ mem_free_mb: 299 });
  assert.equal(made.code, 'memory');
  made.read({ mem_free_mb: 449 });
  assert.equal(made.code, 'memory');
  made.read({ mem_free_mb: 450 });
  assert.equal(made.code, undefined);
  made.read({ mem_free_mb: 799, memTotalMb: 8000 });
  assert.equal(made.code, 'memory');
  made.read({ mem_free_mb: 1200, memTotalMb: 8000 });
  assert.equal(made.code, undefined);
});

test('a router tightens the gates and never loosens them', () => {
  const { gates: made } = gates();
  made.tighten({ min_battery: 50, max_thermal: 1 });
  made.read(onBattery(49));
  assert.equal(made.code, 'battery');
  made.read({ thermal: { status: 2 } });
  assert.equal(made.code, 'thermal');
  const { gates: loose } = gates();
  loose.tighten({ min_battery: 5, max_thermal: 6 });
  loose.read(onBattery(19));
  assert.equal(loose.code, 'battery');
  loose.read({ thermal: { status: 3 } });
  assert.equal(loose.code, 'thermal');
});

test('the owner may pause it', () => {
  const { gates: made } = gates();
  made.read({ paused: true });
  assert.equal(made.code, 'paused');
  made.read({ paused: false });
  assert.equal(made.code, undefined);
});

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { fileReadings, linuxReadings, PolledVitals } from './vitals.ts';

function machine(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-vitals-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), `${text}\n`);
  }
  return folder;
}

const zone = (temp: number, type = 'x86_pkg_temp'): Readonly<Record<string, string>> => ({
  'class/thermal/thermal_zone0/type': type,
  'class/thermal/thermal_zone0/temp': String(temp),
  'class/thermal/thermal_zone0/trip_point_0_type': 'critical',
  'class/thermal/thermal_zone0/trip_point_0_temp': '105000',
  'class/thermal/thermal_zone0/trip_point_1_type': 'passive',
  'class/thermal/thermal_zone0/trip_point_1_temp': '90000',
  'class/thermal/thermal_zone0/trip_point_2_type': 'passive',
  'class/thermal/thermal_zone0/trip_point_2_temp': '-274000',
});

test('a laptop on battery: level, and whether it is charged', (t) => {
  const files = {
    'class/power_supply/AC/type': 'Mains',
    'class/power_supply/AC/online': '0',
    'class/power_supply/BAT0/type': 'Battery',
    'class/power_supply/BAT0/capacity': '37',
    'class/power_supply/BAT0/status': 'Discharging',
    'class/power_supply/mouse/type': 'Battery',
    'class/power_supply/mouse/scope': 'Device',
    'class/power_supply/mouse/capacity': '2',
  };
  assert.deepEqual(linuxReadings(machine(t, files), '/nowhere'), { battery: { pct: 37, charging: false } });
  const plugged = machine(t, { ...files, 'class/power_supply/AC/online': '1' });
  assert.deepEqual(linuxReadings(plugged, '/nowhere').battery, { pct: 37, charging: true });
});

test('heat is put on the scale of 0 to 6 by the points at which the kernel acts', (t) => {
  const status = (temp: number): number | undefined =>
    linuxReadings(machine(t, zone(temp)), '/nowhere').thermal?.status;
  assert.deepEqual([45_000, 78_000, 84_000, 90_000, 102_000].map(status), [0, 1, 2, 3, 4]);
  assert.equal(linuxReadings(machine(t, zone(99_000, 'iwlwifi_1')), '/nowhere').thermal, undefined);
});

test('a machine without sensors says nothing of them, and its memory by the megabyte', (t) => {
  const proc = machine(t, { meminfo: 'MemTotal:       16384000 kB\nMemFree: 1 kB\nMemAvailable:    8192000 kB' });
  assert.deepEqual(linuxReadings('/nowhere', proc), { mem_free_mb: 8000, memTotalMb: 16_000 });
  assert.deepEqual(linuxReadings('/nowhere', '/nowhere'), {});
});

test('a file is read each second; what does not fit is left out, and while it is unreadable the last word stands', (t) => {
  const file = join(
    machine(t, { 'vitals.json': '{"battery":{"pct":50,"charging":true},"thermal":{"status":9}}' }),
    'vitals.json',
  );
  const clock = new FakeClock();
  const vitals = new PolledVitals(() => fileReadings(file), clock);
  let changes = 0;
  vitals.onChange(() => changes++);
  assert.deepEqual(vitals.read(), { battery: { pct: 50, charging: true } });
  clock.advance(1_000);
  assert.equal(changes, 0);
  writeFileSync(file, '{"battery":{"pct":49,"charging":false},"paused":true}');
  clock.advance(1_000);
  assert.equal(changes, 1);
  assert.deepEqual(vitals.read(), { battery: { pct: 49, charging: false } });
  assert.equal(vitals.isPaused, true);
  writeFileSync(file, '{"battery":');
  clock.advance(1_000);
  assert.deepEqual(vitals.read().battery, { pct: 49, charging: false }, 'half written');
  vitals.stop();
  assert.equal(clock.pendingTimers, 0);
});

test("Termux's own words are taken as they are: charge, plug, and the heat of the battery", (t) => {
  const read = (text: string): ReturnType<typeof fileReadings> =>
    fileReadings(join(machine(t, { 'vitals.json': text }), 'vitals.json'));
  const told = (percentage: number, plugged: string, temperature: number): string =>
    JSON.stringify({ health: 'GOOD', percentage, plugged, status: 'DISCHARGING', temperature, current: -233_500 });
  assert.deepEqual(read(told(63, 'UNPLUGGED', 29.6)), {
    battery: { pct: 63, charging: false },
    thermal: { status: 0 },
  });
  assert.deepEqual(read(told(63, 'PLUGGED_AC', 29.6))?.battery, { pct: 63, charging: true });
  const heats = [37.9, 38, 40, 43, 46, 60].map((celsius) => read(told(50, 'UNPLUGGED', celsius))?.thermal?.status);
  assert.deepEqual(heats, [0, 1, 2, 3, 4, 4]);
  assert.deepEqual(read('{"percentage":20,"plugged":"UNPLUGGED"}'), { battery: { pct: 20, charging: false } });
  // termux-battery-status without the app Termux:API prints nothing.
  assert.equal(read(''), undefined);
});

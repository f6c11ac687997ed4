/**
 * What idle devices cost a router: `node bench/device/idle.ts [--devices 100] [--seconds 60]`, and `--devices 0` what it
 * costs without any. The router is a process of its own; the devices are here, each on a socket and a session of its own, and do nothing but live.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { isJsonObject } from '@lfo/router/src/core/json.ts';
import { listenTo } from '@lfo/testing/listen-to.ts';
import { checkout } from '@lfo/testing/npm-start.ts';
import { at } from '@lfo/testing/sse.ts';
import { TestDevice } from '@lfo/testing/test-device.ts';
import { residentMbOf, treeOf, wholeCpuMsOf } from '../overhead/process-tree.ts';
import { Closers } from './closers.ts';

const { values } = parseArgs({
  options: { devices: { type: 'string', default: '100' }, seconds: { type: 'string', default: '60' } },
});
const count = Number(values.devices);
const seconds = Number(values.seconds);
const folder = mkdtempSync(join(tmpdir(), 'lfo-idle-'));
const closers = new Closers();

const router = spawn(process.execPath, [join(checkout, 'packages/router/bin/lfo.js'), 'serve', '--json'], {
  cwd: folder,
  env: {
    PATH: process.env['PATH'],
    HOME: folder,
    LFO_DATA_DIR: join(folder, 'data'),
    LFO_LOCAL_MODEL: 'none',
    LFO_FLEET_LISTEN: '127.0.0.1:0',
    PORT: '0',
  },
  stdio: ['ignore', 'pipe', 'inherit'],
});

try {
  const [, url = ''] = await listenTo(router).until(/"url":"(http[^"]+)"/);
  // Past the launcher, where that has started another.
  const [launcher = 0, pid = launcher] = treeOf(router.pid ?? 0);
  const send = async (method: string, path: string): Promise<unknown> => {
    const response = await fetch(`${url}${path}`, {
      method,
      ...(method === 'POST' ? { headers: { 'content-type': 'application/json' }, body: '{}' } : {}),
    });
    return await response.json();
  };
  const first = await quiet(pid);
  for (let n = 0; n < count; n++) {
    let pairing = await send('POST', '/admin/devices/pairings');
    // A few may be open at once; the one before may not be through yet.
    for (; at(pairing, 'uri') === undefined; pairing = await send('POST', '/admin/devices/pairings')) await pause(50);
    const device = new TestDevice(closers, { name: `device ${n}` });
    await device.pair(String(at(pairing, 'uri')));
  }
  for (;;) {
    const list = await send('GET', '/admin/devices');
    const devices = isJsonObject(list) && Array.isArray(list['devices']) ? list['devices'] : [];
    if (devices.filter((each) => isJsonObject(each) && each['state'] === 'ready').length === count) break;
    await pause(200);
  }
  await pause(3_000);
  const before = await quiet(pid);
  const began = { cpuMs: wholeCpuMsOf(pid), ms: performance.now() };
  await pause(seconds * 1_000);
  const core = (wholeCpuMsOf(pid) - began.cpuMs) / (performance.now() - began.ms);
  const after = residentMbOf(pid);
  process.stdout.write(
    `${JSON.stringify({ devices: count, core_percent: round(100 * core), memory_mb: { without: first, with: before, after }, grown_mb: round(before - first) })}\n`,
  );
} finally {
  await closers.close();
  router.kill('SIGTERM');
  if (router.exitCode === null) await once(router, 'exit');
  rmSync(folder, { recursive: true, force: true });
}

/** The least of some moments: what was allocated for the moment goes with a collection. */
async function quiet(pid: number): Promise<number> {
  let least = Infinity;
  for (let n = 0; n < 20; n++) {
    least = Math.min(least, residentMbOf(pid));
    await pause(250);
  }
  return round(least);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { machineOnCable } from '@lfo/testing/machine-on-cable.ts';
import { namespaceProblem } from '@lfo/testing/network-namespace.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';
import { eventually } from '@lfo/testing/test-device.ts';

const skip = namespaceProblem() ?? false;
const scripted = ['device', '--engine', 'scripted', '--model', 'tiny', '--name', 'laptop', '--json'];

async function codeOf(router: TestRouter): Promise<string> {
  return String(at((await router.request('POST', '/admin/devices/pairings', {})).json, 'code'));
}

describe('routers that are found', { skip, timeout: 120_000 }, () => {
  test('a device with a code alone finds the router that has it open, and finds it again on another port', async (t) => {
    const { under } = machineOnCable(t, 7);
    const cwd = workingFolder(t);
    const first = await startRouter(t, { env: { LFO_FLEET_LISTEN: '0.0.0.0:0' }, yaml: 'fleet: { name: attic }\n' });
    const device = startLfo(t, [...scripted, '--pair', await codeOf(first)], { cwd, under });
    await device.output(/"event":"paired"[^]*"event":"connected"/);
    const answered = await eventually(async () => {
      const { status } = await first.chat(asking('Count.', { model: 'tiny@laptop' }));
      return status === 200 ? true : undefined;
    }, 'an answer');
    assert.equal(answered, true);

    // The same router after its address has changed, as DHCP does: the key is its own, the port another.
    await first.app.close();
    const env = { LFO_FLEET_LISTEN: '0.0.0.0:0', LFO_DATA_DIR: first.config.current().dataDir };
    const again = await startRouter(t, { env, yaml: 'fleet: { name: attic }\n' });
    await eventually(async () => {
      const { json } = await again.request('GET', '/admin/devices');
      return at(json, 'devices', 0, 'state') === 'ready' ? true : undefined;
    }, 'the device');
    device.child.kill('SIGTERM');
    assert.equal((await device.finished).code, 0);
  });

  test('where nobody has a code open, or nobody is announced, the device says what to add', async (t) => {
    const { under } = machineOnCable(t, 8);
    const router = await startRouter(t, {
      env: { LFO_FLEET_LISTEN: '0.0.0.0:0' },
      yaml: 'fleet: { advertise: false }\n',
    });
    const device = startLfo(t, [...scripted, '--pair', await codeOf(router)], { cwd: workingFolder(t), under });
    const { code, stderr } = await device.finished;
    assert.equal(code, 1);
    assert.match(stderr, /No router that has a code open was found on this network: add --router host:port/);
  });
});

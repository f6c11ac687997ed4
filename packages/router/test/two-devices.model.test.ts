import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { type LfoProcess, startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { type MachineOnCable, machineOnCable } from '@lfo/testing/machine-on-cable.ts';
import { modelsDir } from '@lfo/testing/npm-start.ts';
import { invited } from '@lfo/testing/pairing.ts';
import { type Answer, asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';

const model = 'smollm2-135m';

async function join(
  t: TestContext,
  router: TestRouter,
  name: string,
  { routerHost, under }: MachineOnCable,
): Promise<LfoProcess> {
  const { code, port } = await invited(router);
  const pair = ['--router', `${routerHost}:${port}`, '--pair', code];
  const device = startLfo(t, ['device', ...pair, '--model', model, '--context', '1024', '--name', name, '--json'], {
    cwd: workingFolder(t),
    under,
    env: { LFO_MODELS_DIR: modelsDir },
  });
  await device.output(/"event":"connected"/);
  for (;;) {
    const list: unknown = (await router.request('GET', '/admin/devices')).json;
    const devices: unknown = at(list, 'devices');
    assert.ok(Array.isArray(devices));
    if (devices.some((each: unknown) => at(each, 'name') === name && at(each, 'state') === 'ready')) return device;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

test('two devices on cables of their own both answer, and nothing is lost', async (t) => {
  const router = await startRouter(t, { env: { LFO_FLEET_LISTEN: '0.0.0.0:0' } });
  const machines = [machineOnCable(t, 1), machineOnCable(t, 2)] as const;
  const devices = [await join(t, router, 'one', machines[0]), await join(t, router, 'two', machines[1])];
  const ask = (at: number) => router.chat(asking(`Say ${at}.`, { model: 'lfo-local', max_tokens: 16 }));

  const answers: Answer[] = [];
  // As many at once as there are slots: how long a third would wait is another test's.
  for (let round = 0; round < 6; round++) answers.push(...(await Promise.all([ask(round), ask(-round)])));
  const served = answers.map(({ status, json, text }) => {
    assert.equal(status, 200, text);
    return String(at(json, 'lfo_metadata', 'device', 'name'));
  });
  assert.deepEqual([...new Set(served)].toSorted(), ['one', 'two'], 'both answer');

  for (const { child, finished } of devices) {
    child.kill('SIGTERM');
    await finished;
  }
});

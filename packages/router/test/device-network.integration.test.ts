import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { readAnswer } from '@lfo/testing/answer-reader.ts';
import { type LfoProcess, startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { type MachineOnCable, machineOnCable } from '@lfo/testing/machine-on-cable.ts';
import { namespaceProblem } from '@lfo/testing/network-namespace.ts';
import { invited } from '@lfo/testing/pairing.ts';
import { childrenOf } from '@lfo/testing/process-group.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { at, saidIn } from '@lfo/testing/sse.ts';
import { isFullRun } from '@lfo/testing/test-scale.ts';
import { eventually } from '@lfo/testing/test-device.ts';

const skip = namespaceProblem() ?? false;
const tokens = 12;
const words = Array.from({ length: tokens }, (_, at) => `${at} `).join('');
const counting = (model = 'lfo-local') => asking('Count.', { model, max_tokens: tokens });
const env = { LFO_FLEET_LISTEN: '0.0.0.0:0' };

interface Joined {
  readonly command: LfoProcess;
  readonly id: string;
}

async function joined(
  t: TestContext,
  router: TestRouter,
  { routerHost, under }: MachineOnCable,
  name: string,
  flags: readonly string[] = [],
): Promise<Joined> {
  const { code, port } = await invited(router);
  const pair = ['--router', `${routerHost}:${port}`, '--pair', code];
  const engine = ['--engine', 'scripted', '--model', 'tiny', '--name', name, ...flags];
  const command = startLfo(t, ['device', ...pair, ...engine, '--json'], { cwd: workingFolder(t), under });
  await command.output(/"event":"connected"/);
  const id = await eventually(async () => {
    const devices = at((await router.request('GET', '/admin/devices')).json, 'devices');
    if (!Array.isArray(devices)) return undefined;
    const device: unknown = devices.find((each: unknown) => at(each, 'name') === name);
    return at(device, 'state') === 'ready' ? String(at(device, 'id')) : undefined;
  }, 'the device');
  return { command, id };
}

describe('devices on cables of their own', { skip, timeout: 180_000, concurrency: 3 }, () => {
  test('a cable pulled for three seconds in the middle of an answer loses and doubles no token', async (t) => {
    const router = await startRouter(t, { env });
    const cable = machineOnCable(t, 3);
    await joined(t, router, cable, 'laptop', ['--tokens-per-second', '2']);
    const answer = readAnswer(t, router, counting());
    await answer.has('"2 "');
    cable.pull?.();
    await delay(3_000);
    cable.plug?.();
    const { chunks, isDone } = await answer.over;
    assert.deepEqual([saidIn(chunks), isDone], [words, true]);
  });

  // Takes 20 s; in every run the same is shown on the fake clock.
  if (isFullRun)
    test('fault 9: a cable pulled for good is noticed within 15 s, and the answer ends in an error frame', async (t) => {
      const router = await startRouter(t, { env, yaml: 'fleet: { grace_ms: 1000 }\n' });
      const cable = machineOnCable(t, 4);
      const { id } = await joined(t, router, cable, 'laptop', ['--tokens-per-second', '1']);
      const answer = readAnswer(t, router, counting());
      await answer.has('"2 "');
      cable.pull?.();
      const pulledMs = performance.now();
      const { chunks, isDone } = await answer.over;
      const tookMs = performance.now() - pulledMs;
      assert.ok(tookMs < 30_000, `${tookMs} ms`);
      assert.equal(isDone, false);
      assert.notEqual(at(chunks.at(-1), 'error', 'code'), undefined);
      await eventually(async () => {
        const { json } = await router.request('GET', `/admin/devices/${id}`);
        return at(json, 'state') === 'offline' ? true : undefined;
      }, 'its end');
    });

  test('fault 10: kill -9 in the middle of an answer is an error frame, and the next request goes elsewhere', async (t) => {
    const router = await startRouter(t, { env, yaml: 'fleet: { grace_ms: 500 }\n' });
    const slow = await joined(t, router, machineOnCable(t, 5), 'slow', ['--tokens-per-second', '5']);
    await joined(t, router, machineOnCable(t, 6), 'other', ['--tokens-per-second', '100']);
    const answer = readAnswer(t, router, counting('tiny@slow'));
    await answer.has('"2 "');
    // The device host itself; the command that runs it ends with it.
    const [host = 0, ...others] = childrenOf(slow.command.child.pid);
    assert.ok(host > 0 && others.length === 0);
    process.kill(host, 'SIGKILL');
    const { chunks, isDone } = await answer.over;
    assert.equal(isDone, false);
    assert.match(String(at(chunks.at(-1), 'error', 'message')), /went away in the middle/);
    const next = await router.chat(asking('Count.', { model: 'lfo-local' }));
    assert.deepEqual([next.status, at(next.json, 'lfo_metadata', 'device', 'name')], [200, 'other']);
  });
});

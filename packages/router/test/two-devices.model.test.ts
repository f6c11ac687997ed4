import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test, type TestContext } from 'node:test';

import { type LfoProcess, startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { namespaceProblem } from '@lfo/testing/network-namespace.ts';
import { modelsDir } from '@lfo/testing/npm-start.ts';
import { type Answer, asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';

const model = 'smollm2-135m';

/** A machine of its own on a cable to this one; without rights for that, this one. */
interface Machine {
  /** Of the router, as it is seen from there. */
  readonly routerHost: string;
  /** Becomes the command that runs there. */
  readonly under: readonly string[];
}

function machine(t: TestContext, index: number): Machine {
  if (namespaceProblem() !== undefined) return { routerHost: '127.0.0.1', under: [] };
  const name = `lfo-dev${index}-${process.pid}`;
  const here = `lfo${index}-${process.pid}`;
  const ip = (...args: readonly string[]): void => void execFileSync('ip', args, { stdio: 'ignore' });
  ip('netns', 'add', name);
  t.after(() => ip('netns', 'del', name));
  ip('link', 'add', here, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
  ip('addr', 'add', `10.77.${index}.1/24`, 'dev', here);
  ip('link', 'set', here, 'up');
  ip('-n', name, 'addr', 'add', `10.77.${index}.2/24`, 'dev', 'eth0');
  ip('-n', name, 'link', 'set', 'eth0', 'up');
  ip('-n', name, 'link', 'set', 'lo', 'up');
  return {
    routerHost: `10.77.${index}.1`,
    under: ['ip', 'netns', 'exec', name],
  };
}

async function join(
  t: TestContext,
  router: TestRouter,
  name: string,
  { routerHost, under }: Machine,
): Promise<LfoProcess> {
  const { json } = await router.request('POST', '/admin/devices/pairings', {});
  const port = /[?&]p=(\d+)/.exec(String(at(json, 'uri')))?.[1] ?? '';
  const pair = ['--router', `${routerHost}:${port}`, '--pair', String(at(json, 'code'))];
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
  const machines = [machine(t, 1), machine(t, 2)] as const;
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

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { assertWithin } from '@lfo/testing/figure.ts';
import { type LfoProcess, startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';
import { eventually } from '@lfo/testing/test-device.ts';

const postgres = postgresOfFile();
const options = { skip: withoutPostgres, timeout: 170_000 };

function startRouterOn(t: TestContext, url: string, name: string): Promise<TestRouter> {
  const env = { DATABASE_URL: url, LFO_ROUTER_NAME: name, LFO_FLEET_LISTEN: '127.0.0.1:0' };
  return startRouter(t, { env });
}

async function devices(router: TestRouter): Promise<readonly unknown[]> {
  const list = at((await router.request('GET', '/admin/devices')).json, 'devices');
  return Array.isArray(list) ? list : [];
}

async function ready(router: TestRouter, name: string): Promise<unknown> {
  return eventually(async () => {
    const device = (await devices(router)).find((each) => at(each, 'name') === name);
    return at(device, 'state') === 'ready' ? device : undefined;
  }, `${name} is ready`);
}

/** A machine that pairs with one router, by the command. */
async function pair(t: TestContext, router: TestRouter, name: string, pace: number): Promise<LfoProcess> {
  const { json } = await router.request('POST', '/admin/devices/pairings', {});
  const args = ['device', '--engine', 'scripted', '--model', 'tiny', '--name', name, '--json', '--slots', '2'];
  const more = ['--tokens-per-second', String(pace), '--pair', String(at(json, 'uri'))];
  const device = startLfo(t, [...args, ...more], { cwd: workingFolder(t) });
  await device.output(/"event":"connected"/);
  return device;
}

test(
  'a device paired once serves both routers, is renamed and drained at both, and removed once is gone twice',
  options,
  async (t) => {
    const url = await postgres().database();
    const [one, two] = await Promise.all([startRouterOn(t, url, 'one'), startRouterOn(t, url, 'two')]);
    const begun = await one.request('POST', '/admin/devices/pairings', {});
    const pairing = String(at(begun.json, 'id'));
    const stateAt = async (router: TestRouter): Promise<unknown> =>
      at((await router.request('GET', `/admin/devices/pairings/${pairing}`)).json, 'state');
    await eventually(
      async () => ((await stateAt(two)) === 'open' ? true : undefined),
      'the other router knows the pairing',
    );

    const args = ['device', '--engine', 'scripted', '--model', 'tiny', '--name', 'laptop', '--json'];
    const cwd = workingFolder(t);
    const laptop = startLfo(t, [...args, '--pair', String(at(begun.json, 'uri'))], { cwd });
    const paired = await ready(one, 'laptop');
    await eventually(async () => ((await stateAt(two)) === 'used' ? true : undefined), 'it is used at both');
    await ready(two, 'laptop');
    for (const router of [one, two]) {
      const answer = await router.chat(asking('Count.', { model: 'lfo-local' }));
      assert.equal(answer.status, 200, answer.text);
      assert.equal(at(answer.json, 'lfo_metadata', 'device', 'name'), 'laptop');
    }

    const id = String(at(paired, 'id'));
    const startMs = performance.now();
    await two.request('PATCH', `/admin/devices/${id}`, { name: 'desk' });
    await ready(one, 'desk');
    assertWithin(t, 'a name at the other router', performance.now() - startMs, 1_000);
    await one.request('POST', `/admin/devices/${id}/drain`);
    await eventually(async () => {
      const [device] = await devices(two);
      return at(device, 'state') === 'draining' ? true : undefined;
    }, 'it is drained at both');
    assert.equal((await two.chat(asking('Count.', { model: 'lfo-local' }))).status, 503);
    await two.request('POST', `/admin/devices/${id}/resume`);
    await ready(one, 'desk');

    // Both again after a restart, without a word of either.
    laptop.child.kill('SIGTERM');
    await laptop.finished;
    const again = startLfo(t, args, { cwd });
    await Promise.all([ready(one, 'desk'), ready(two, 'desk')]);

    const removedMs = performance.now();
    assert.equal((await two.request('DELETE', `/admin/devices/${id}`)).status, 204);
    await eventually(async () => ((await devices(one)).length === 0 ? true : undefined), 'it is gone at both');
    assertWithin(t, 'gone at the other router', performance.now() - removedMs, 1_000);
    assert.equal((await again.finished).code, 3);
    for (const router of [one, two]) {
      assert.deepEqual(await devices(router), []);
      assert.equal((await router.chat(asking('Count.', { model: 'lfo-local' }))).status, 503);
    }
  },
);

/** Share of the answers that the quicker of two devices gave. */
async function shareOf(routers: readonly TestRouter[], requests: number): Promise<number> {
  let quick = 0;
  let left = requests;
  const client = async (index: number): Promise<void> => {
    while (left-- > 0) {
      // Each is a conversation of its own: one stays where it was.
      const body = asking(`Count to ten, for time ${left}.`, { model: 'lfo-local' });
      const answer = await routers[index % routers.length]?.chat(body);
      assert.equal(answer?.status, 200, answer?.text);
      if (at(answer?.json, 'lfo_metadata', 'device', 'name') === 'quick') quick++;
    }
  };
  await Promise.all(Array.from({ length: 6 }, (_each, index) => client(index)));
  return quick / requests;
}

test('two unequal devices are given the same by two routers as by one', options, async (t) => {
  const url = await postgres().database();
  const [one, two] = await Promise.all([startRouterOn(t, url, 'one'), startRouterOn(t, url, 'two')]);
  const machines = [await pair(t, one, 'quick', 320), await pair(t, one, 'slow', 220)];
  for (const router of [one, two]) for (const name of ['quick', 'slow']) await ready(router, name);
  // Both routers learn how fast each device is.
  for (const router of [one, two]) await shareOf([router], 12);
  await delay(500);
  const alone = await shareOf([one], 60);
  const both = await shareOf([one, two], 60);
  t.diagnostic(`share of the quicker device: ${alone.toFixed(2)} by one router, ${both.toFixed(2)} by two`);
  for (const { child } of machines) child.kill('SIGTERM');
  await Promise.all(machines.map(({ finished }) => finished));
  assert.ok(Math.abs(both - alone) <= 0.15, `${both} by two routers, ${alone} by one`);
});

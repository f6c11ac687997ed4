import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { type ModelOpener, scriptedEngine } from '@lfo/device-core';
import { assertWithin } from '@lfo/testing/figure.ts';
import { runLfo } from '@lfo/testing/lfo-process.ts';
import { devicePort } from '@lfo/testing/pairing.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';
import { eventually, TestDevice, type TestLink } from '@lfo/testing/test-device.ts';
import { systemClock } from '../src/core/clock.ts';

const env = { LFO_FLEET_LISTEN: '127.0.0.1:0' };

async function invite(router: TestRouter, body: object = {}): Promise<{ id: string; uri: string; port: number }> {
  const { status, json } = await router.request('POST', '/admin/devices/pairings', body);
  assert.equal(status, 201);
  const uri = String(at(json, 'uri'));
  assert.match(String(at(json, 'qr')), /^<svg/);
  assert.match(String(at(json, 'code')), /^([0-9A-Z]{4}-){6}[0-9A-Z]{2}$/);
  return { id: String(at(json, 'id')), uri, port: Number(/p=(\d+)/.exec(uri)?.[1]) };
}

async function deviceOf(router: TestRouter, state: string, index = 0): Promise<{ id: string; name: string }> {
  return await eventually(async () => {
    const { json } = await router.request('GET', '/admin/devices');
    const device = at(json, 'devices', index);
    if (at(device, 'state') !== state) return undefined;
    return { id: String(at(device, 'id')), name: String(at(device, 'name')) };
  }, `a device that is ${state}`);
}

async function paired(
  router: TestRouter,
  device: TestDevice,
): Promise<{ id: string; name: string; port: number; link: TestLink }> {
  const before = await router.request('GET', '/admin/devices');
  const index = Number(at(before.json, 'devices', 'length'));
  const { uri, port } = await invite(router);
  const link = await device.pair(uri);
  return { ...(await deviceOf(router, 'ready', index)), port, link };
}

const listed = async (router: TestRouter): Promise<readonly string[]> => {
  const { json } = await router.request('GET', '/v1/models');
  const data = at(json, 'data');
  return Array.isArray(data) ? data.map((model: unknown) => String(at(model, 'id'))) : [];
};

describe('paired devices', { timeout: 180_000 }, () => {
  test('a device pairs by the URI, serves local and auto, is pinned by model@device, and says so', async (t) => {
    const router = await startRouter(t, { env });
    const device = new TestDevice(t, { name: 'Müllers Téléphone' });
    const { id, name } = await paired(router, device);
    assert.equal(name, 'mullers-telephone');
    assert.deepEqual(await listed(router), ['lfo-auto', 'lfo-local', 'lfo-cloud', `tiny@${name}`]);
    for (const model of ['lfo-local', 'lfo-auto', `tiny@${name}`]) {
      const answer = await router.chat(asking('Count to ten.', { model }));
      assert.equal(answer.status, 200, answer.text);
      assert.equal(
        at(answer.json, 'choices', 0, 'message', 'content'),
        'one two three four five six seven eight nine ten',
      );
      assert.equal(answer.headers['x-lfo-egress'], 'none');
      assert.deepEqual(at(answer.json, 'lfo_metadata', 'device'), { id, name, model: 'tiny', resumed: 0 });
      assert.equal(at(answer.json, 'lfo_metadata', 'backend'), id);
    }
    const streamed = await router.stream(asking('Count to ten.', { model: 'lfo-local' }));
    assert.equal(streamed.isDone, true);
    assert.equal((await router.chat(asking('x', { model: 'tiny' }))).status, 404);
    const key = statSync(join(router.folder, 'data', 'fleet', 'router.key'));
    const folder = statSync(join(router.folder, 'data', 'fleet'));
    assert.deepEqual([key.mode & 0o777, folder.mode & 0o777], [0o600, 0o700]);
    const metrics = await router.request('GET', '/metrics');
    assert.match(metrics.text, /lfo_device_up\{device="mullers-telephone"\} 1/);
    assert.match(metrics.text, /lfo_pairings_total\{result="used"\} 1/);
    assert.doesNotMatch(router.log(), /s=[0-9A-Z]{26}/);
  });

  test('a model is taken out of memory and brought back, by whom it concerns alone', async (t) => {
    const router = await startRouter(t, { env });
    const { id } = await paired(router, new TestDevice(t));
    const isResident = (wanted: boolean) =>
      eventually(
        async () => {
          const { json } = await router.request('GET', `/admin/devices/${id}`);
          return (at(json, 'models', 0, 'resident') ?? false) === wanted ? true : undefined;
        },
        `the model is ${wanted ? 'in' : 'out of'} memory`,
      );
    assert.equal((await router.request('POST', `/admin/devices/${id}/unload`)).status, 204);
    await isResident(false);
    assert.equal((await router.chat(asking('x', { model: 'lfo-local' }))).status, 503);
    assert.equal((await router.request('POST', `/admin/devices/${id}/load`)).status, 204);
    await isResident(true);
    await deviceOf(router, 'ready');
    assert.equal((await router.chat(asking('x', { model: 'lfo-local' }))).status, 200);
    assert.equal((await router.request('POST', '/admin/devices/nobody/unload')).status, 404);
  });

  test('a device whose model is loaded after it came is given as many requests as it takes at once', async (t) => {
    const router = await startRouter(t, { env });
    const engine = scriptedEngine({ clock: systemClock });
    const loaded = Promise.withResolvers<void>();
    const openModel: ModelOpener = async (_progress, signal) => {
      await loaded.promise;
      const options = { contextTokens: 2048, slots: 3, gpu: 'none' } as const;
      return await engine.load({ id: 'tiny', path: '/tiny' }, options, () => undefined, signal);
    };
    const device = new TestDevice(t, { opened: { engine, openModel } });
    const { uri } = await invite(router);
    await device.pair(uri);
    await deviceOf(router, 'loading');
    loaded.resolve();
    await deviceOf(router, 'ready');
    const { json } = await router.request('POST', '/v1/route', asking('x', { model: 'lfo-local' }));
    assert.equal(at(json, 'candidates', 0, 'max_in_flight'), 3);
  });

  test('a removed device hears revoked within a second, leaves the models, and is unknown from then on', async (t) => {
    const router = await startRouter(t, { env });
    const device = new TestDevice(t);
    const { id, port, link } = await paired(router, device);
    const asked = performance.now();
    assert.equal((await router.request('DELETE', `/admin/devices/${id}`)).status, 204);
    assert.equal(await link.ended, 'revoked');
    assertWithin(t, 'a removed device hears so', performance.now() - asked, 1_000);
    assert.deepEqual(await listed(router), ['lfo-auto', 'lfo-local', 'lfo-cloud']);
    assert.equal(await (await device.dial(port)).ended, 'unknown_key');
    assert.equal((await router.chat(asking('x', { model: 'lfo-local' }))).status, 503);
    assert.equal((await router.request('GET', `/admin/devices/${id}`)).status, 404);
    const metrics = await router.request('GET', '/metrics');
    assert.doesNotMatch(metrics.text, /device="test-phone"/);
    // The same key paired again keeps its name.
    assert.equal((await paired(router, device)).name, 'test-phone');
  });

  test('a device that is removed between its handshake and its first word hears revoked too', async (t) => {
    const router = await startRouter(t, { env });
    const device = new TestDevice(t);
    const { id, port, link } = await paired(router, device);
    link.socket.destroy();
    await link.ended;
    const again = await device.dial(port, '127.0.0.1', () => router.request('DELETE', `/admin/devices/${id}`));
    assert.equal(await again.ended, 'revoked');
    assert.equal(await (await device.dial(port)).ended, 'unknown_key');
  });

  test('a code serves once, five wrong ones end it, and it expires', async (t) => {
    const router = await startRouter(t, { env });
    const { uri } = await invite(router);
    await new TestDevice(t).pair(uri);
    await deviceOf(router, 'ready');
    assert.equal(await (await new TestDevice(t).pair(uri)).ended, 'pairing_refused');

    const second = await invite(router);
    const wrong = uri;
    for (let guess = 1; guess <= 5; guess++) {
      assert.equal(await (await new TestDevice(t).pair(wrong)).ended, 'pairing_refused');
    }
    const locked = await eventually(async () => {
      const { json } = await router.request('GET', `/admin/devices/pairings/${second.id}`);
      return at(json, 'state') === 'open' ? undefined : json;
    }, 'the lock');
    assert.deepEqual([at(locked, 'state'), at(locked, 'wrong')], ['locked', 5]);
    assert.equal(await (await new TestDevice(t).pair(second.uri)).ended, 'pairing_refused');

    const third = await invite(router, { expires_in_ms: 1000 });
    await eventually(async () => {
      const { json } = await router.request('GET', `/admin/devices/pairings/${third.id}`);
      return at(json, 'state') === 'expired' ? true : undefined;
    }, 'the expiry');
    assert.equal(await (await new TestDevice(t).pair(third.uri)).ended, 'pairing_refused');
  });

  test('a lost link fails over to another device before the first token; afterwards it is an error', async (t) => {
    const router = await startRouter(t, { env });
    const slow = new TestDevice(t, {
      name: 'slow',
      answer: () => ({ parts: [{ k: 'text', text: 'never' }], prefillMs: 30_000 }),
    });
    const first = await paired(router, slow);
    const pending = router.chat(asking('Hello?', { model: 'lfo-local' }));
    await eventually(async () => {
      const { json } = await router.request('GET', `/admin/devices/${first.id}`);
      return at(json, 'models', 0, 'active') === 1 ? true : undefined;
    }, 'the request on the slow device');
    const second = await paired(router, new TestDevice(t, { name: 'quick' }));
    first.link.socket.destroy();
    const answer = await pending;
    assert.equal(answer.status, 200, answer.text);
    assert.equal(at(answer.json, 'lfo_metadata', 'device', 'name'), second.name);
    assert.deepEqual(
      [
        at(answer.json, 'lfo_metadata', 'attempts', 0, 'device'),
        at(answer.json, 'lfo_metadata', 'attempts', 0, 'outcome'),
      ],
      ['slow', 'failed'],
    );
    await deviceOf(router, 'offline');
  });

  test('a device that the router dials is paired by its URI and dialled again when its link is lost', async (t) => {
    const router = await startRouter(t, { env: { LFO_FLEET_LISTEN: 'off' } });
    const device = new TestDevice(t);
    const { uri, links, port } = await device.listen(t);
    const { status, json } = await router.request('POST', '/admin/devices/pairings', { uri });
    assert.equal(status, 201);
    const { name } = await deviceOf(router, 'ready');
    assert.equal(at((await router.request('GET', `/admin/devices/pairings/${at(json, 'id')}`)).json, 'state'), 'used');
    assert.equal((await router.chat(asking('x', { model: `tiny@${name}` }))).status, 200);
    const { json: shown } = await router.request('GET', '/admin/devices');
    assert.deepEqual(at(shown, 'devices', 0, 'dial'), { host: '127.0.0.1', port });
    links[0]?.socket.destroy();
    await eventually(() => (links.length >= 2 ? true : undefined), 'the second dial');
    await deviceOf(router, 'ready');
    assert.equal((await router.request('POST', '/admin/devices/pairings', {})).status, 409);
  });

  test('plaintext: a program of this machine joins without a key, and answers', async (t) => {
    const router = await startRouter(t, { yaml: 'fleet: { listen: "127.0.0.1:0", plaintext: true }\n' });
    const port = await devicePort(router);
    const device = new TestDevice(t, { name: 'Debug it' });
    const link = await device.dialPlainly(t, port);
    const { id, name } = await deviceOf(router, 'ready');
    assert.deepEqual([id, name], ['plain-debug-it', 'debug-it']);
    assert.equal((await router.chat(asking('Count.', { model: 'tiny@debug-it' }))).status, 200);
    link.socket.destroy();
    await deviceOf(router, 'offline');
    // A device with a key goes on being served beside it.
    await paired(router, new TestDevice(t, { name: 'with a key' }));
  });

  test('what a route would take is told of each device, and the clients of a device are told apart by no name', async (t) => {
    const router = await startRouter(t, { env });
    const asked: (string | undefined)[] = [];
    const answer = ({ prefixKey }: { readonly prefixKey?: string }) => {
      asked.push(prefixKey);
      return { parts: [{ k: 'text', text: 'x' } as const] };
    };
    const one = await paired(router, new TestDevice(t, { name: 'one', answer }));
    const two = await paired(router, new TestDevice(t, { name: 'two' }));
    await router.request('POST', `/admin/devices/${two.id}/drain`, {});
    const { json } = await router.request('POST', '/v1/route', asking('x', { model: 'lfo-local' }));
    const candidates: unknown = at(json, 'candidates');
    assert.ok(Array.isArray(candidates));
    const found = candidates.map((each: unknown) => [
      at(each, 'backend'),
      typeof at(each, 'predicted_ms'),
      at(each, 'skipped'),
    ]);
    assert.deepEqual(found, [
      [one.id, 'number', undefined],
      [two.id, 'object', 'draining'],
    ]);
    await router.chat(asking('x', { model: 'lfo-local' }));
    assert.match(asked[0] ?? '0123456789abcdef', /^[0-9a-f]{16}$/);
  });

  test('what prompts begin with is read by a device that has just come, before it is asked', async (t) => {
    const router = await startRouter(t, { env });
    const instructions = 'You answer questions about the house. '.repeat(20);
    const messages = (question: string) => [
      { role: 'system', content: instructions },
      { role: 'user', content: question },
    ];
    await paired(router, new TestDevice(t, { name: 'one' }));
    for (const question of ['a', 'b', 'c'])
      assert.equal((await router.chat({ model: 'lfo-local', messages: messages(question) })).status, 200);
    const read: number[] = [];
    const answer = (request: { readonly messages: readonly unknown[] }) => {
      read.push(request.messages.length);
      return { parts: [{ k: 'text', text: 'x' } as const] };
    };
    await paired(router, new TestDevice(t, { name: 'two', answer }));
    await eventually(() => (read.length > 0 ? true : undefined), 'the prompt');
    assert.deepEqual(read, [1], 'the instructions alone, once');
  });

  test('how a device is woken is set by its owner, within his own network', async (t) => {
    const router = await startRouter(t, { env });
    const { id } = await paired(router, new TestDevice(t));
    const set = (wake: unknown) => router.request('PATCH', `/admin/devices/${id}`, { wake });
    for (const bad of [{ mac: 'x' }, { mac: '02:00:5e:10:00:ff', broadcast: '8.8.8.8' }, { timeout_ms: 1 }]) {
      assert.equal((await set(bad)).status, 400, JSON.stringify(bad));
    }
    const unknown = await set({});
    assert.deepEqual([unknown.status, at(unknown.json, 'error', 'param')], [400, 'wake.mac']);
    const known = await set({ mac: '02:00:5e:10:00:ff', broadcast: '127.0.0.1' });
    assert.deepEqual(at(known.json, 'wake'), { mac: '02:00:5e:10:00:ff', broadcast: '127.0.0.1', timeout_ms: 60_000 });
    assert.equal(at((await set(null)).json, 'wake'), null);
  });

  test('names are changed and kept unique', async (t) => {
    const router = await startRouter(t, { env });
    const one = new TestDevice(t);
    const { id } = await paired(router, one);
    const other = await paired(router, new TestDevice(t));
    assert.equal(other.name, 'test-phone-2');
    const change = (name: string) => router.request('PATCH', `/admin/devices/${id}`, { name });
    assert.equal((await change('test-phone-2')).status, 409);
    assert.equal((await change('Not A Name')).status, 400);
    assert.equal(at((await change('kitchen')).json, 'name'), 'kitchen');
    assert.ok((await listed(router)).includes('tiny@kitchen'));
  });

  test('pairing and name outlive a restart of the router, which listens again by itself', async (t) => {
    const data = mkdtempSync(join(tmpdir(), 'lfo-devices-'));
    t.after(() => rmSync(data, { recursive: true, force: true }));
    const kept = { ...env, LFO_DATA_DIR: data };
    const before = await startRouter(t, { env: kept });
    const device = new TestDevice(t);
    const { id, link } = await paired(before, device);
    await before.request('PATCH', `/admin/devices/${id}`, { name: 'kitchen' });
    await before.app.close();
    assert.equal(await link.ended, 'closing');

    const after = await startRouter(t, { env: kept });
    await deviceOf(after, 'offline');
    const line = await eventually(
      () => /"port":(\d+)[^\n]*Devices can dial/.exec(after.log()) ?? undefined,
      'the port',
    );
    await device.dial(Number(line[1]));
    assert.equal((await deviceOf(after, 'ready')).name, 'kitchen');
    assert.equal((await after.chat(asking('x', { model: 'tiny@kitchen' }))).status, 200);
  });

  test('a copied key: the later machine takes over, the third time both are told and nothing is sent', async (t) => {
    const router = await startRouter(t, { env });
    const [one, copy] = [new TestDevice(t), new TestDevice(t)];
    const { port, link } = await paired(router, one);
    copy.copyKeyOf(one);
    const second = await copy.dial(port);
    assert.equal(await link.ended, 'replaced');
    const third = await one.dial(port);
    assert.equal(await second.ended, 'replaced');
    const fourth = await copy.dial(port);
    assert.deepEqual([await third.ended, await fourth.ended], ['duplicate_identity', 'duplicate_identity']);
    await deviceOf(router, 'conflict');
    assert.equal((await router.chat(asking('x', { model: 'lfo-local' }))).status, 503);
  });

  test('the command line pairs, lists, renames, drains and removes; a mistake is a sentence and exit code 1', async (t) => {
    const router = await startRouter(t, { env });
    const cwd = mkdtempSync(join(tmpdir(), 'lfo-devices-cli-'));
    t.after(() => rmSync(cwd, { recursive: true, force: true }));
    const lfo = (...args: string[]) => runLfo(t, ['devices', ...args, '--url', router.app.url], { cwd, env: {} });
    assert.match((await lfo('list')).stdout, /No devices yet/);
    const { code, stdout } = await lfo('pair', '--json', '--expires', '2m');
    assert.equal(code, 0, stdout);
    const shown: unknown = JSON.parse(stdout);
    assert.match(String(at(shown, 'expires')), /^20\d\d-\d\d-\d\dT/);
    await new TestDevice(t, { name: 'pixel' }).pair(String(at(shown, 'uri')));
    const { id } = await deviceOf(router, 'ready');
    assert.match((await lfo('list')).stdout, new RegExp(`pixel +ready +tiny +0 .*127\\.0\\.0\\.1 +${id}`));
    const renamed = await lfo('rename', 'pix', 'kitchen');
    assert.equal(renamed.code, 0, renamed.stderr);
    assert.equal((await lfo('drain', 'kitchen')).code, 0);
    await deviceOf(router, 'draining');
    assert.equal((await lfo('resume', id)).code, 0);
    const wrong = await lfo('drain', 'pantry');
    assert.deepEqual([wrong.code, /No device is called "pantry"/.test(wrong.stderr)], [1, true]);
    assert.equal((await lfo('remove', 'kitchen')).code, 0);
    assert.equal((await lfo('list', '--json')).stdout, '[]\n');
    // Where a person looks, the code is drawn.
    assert.match((await lfo('pair')).stdout, /█[^]*lfo:\/\/pair\?v=1&r=router[^]*Code +([0-9A-Z]{4}-){6}/);
  });

  test('the command line pairs a device that waits to be dialled, and waits for it', async (t) => {
    const router = await startRouter(t, { env: { LFO_FLEET_LISTEN: 'off' } });
    const device = new TestDevice(t, { name: 'board' });
    const { port, code } = await device.listen(t);
    const args = ['devices', 'pair', '--dial', `127.0.0.1:${port}`, '--code', code, '--json', '--url', router.app.url];
    const paired = await runLfo(t, args, { cwd: router.folder, env: {} });
    assert.equal(paired.code, 0, paired.stderr);
    assert.equal(at(JSON.parse(paired.stdout), 'name'), 'board');
    const wrong = await runLfo(t, args.with(5, 'M2GT-58X4-MPKA-FA59-NANT-SBDE-NW'), { cwd: router.folder, env: {} });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /could not be paired/);
  });

  test('a drained device is given nothing new until it is resumed', async (t) => {
    const router = await startRouter(t, { env });
    const { id } = await paired(router, new TestDevice(t));
    assert.equal((await router.request('POST', `/admin/devices/${id}/drain`)).status, 204);
    await deviceOf(router, 'draining');
    assert.equal((await router.chat(asking('x', { model: 'lfo-local' }))).status, 503);
    assert.equal((await router.request('POST', `/admin/devices/${id}/resume`)).status, 204);
    assert.equal((await router.chat(asking('x', { model: 'lfo-local' }))).status, 200);
  });

  test('fault 9: a device whose cable is pulled is noticed by its silence, and told from one that closed', async (t) => {
    const router = await startRouter(t, { env, yaml: 'fleet: { heartbeat_ms: 1000 }\n' });
    const { link } = await paired(router, new TestDevice(t));
    link.socket.cork();
    link.socket.pause();
    await deviceOf(router, 'offline');
    assert.match(
      (await router.request('GET', '/metrics')).text,
      /lfo_device_links_total\{device="test-phone",end="silent"\} 1/,
    );
    assert.equal((await router.chat(asking('x', { model: 'lfo-local' }))).status, 503);
  });

  test('fault 49: garbage, lengths of 0 and of 4 GB are closed, and are no guesses', async (t) => {
    const router = await startRouter(t, { env });
    const { id, port, uri } = await invite(router);
    for (const bytes of [
      '00000000',
      'ffffffff',
      '00000401',
      `00000010${'41'.repeat(16)}`,
      '474554202f20485454502f312e310d0a0d0a',
    ]) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(Buffer.from(bytes, 'hex'));
      await new Promise((resolve) => socket.resume().once('close', resolve));
    }
    const { json } = await router.request('GET', `/admin/devices/pairings/${id}`);
    assert.deepEqual([at(json, 'state'), at(json, 'wrong')], ['open', 0]);
    await new TestDevice(t).pair(uri);
    await deviceOf(router, 'ready');
  });
});

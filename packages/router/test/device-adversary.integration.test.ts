import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import { encodeFrame, refusalPayload } from '@lfo/protocol';
import { startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { devicePort, invited, throughPort } from '@lfo/testing/pairing.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';
import { tcpProxy } from '@lfo/testing/tcp-proxy.ts';
import { eventually, TestDevice } from '@lfo/testing/test-device.ts';

const env = { LFO_FLEET_LISTEN: '127.0.0.1:0' };

function stateOf(router: TestRouter, state: string): Promise<unknown> {
  return eventually(async () => {
    const { json } = await router.request('GET', '/admin/devices');
    return at(json, 'devices', 0, 'state') === state ? at(json, 'devices', 0) : undefined;
  }, `a device that is ${state}`);
}

/** Somebody on the way, who hears what a device sends and may cut the cable after its first frame was answered. */
async function listenerOnTheWay(t: TestContext, toPort: number, cutsAfterAnswer = false) {
  const heard: Buffer[] = [];
  const proxy = await tcpProxy(t, toPort, {
    onBytes(bytes, isAnswer) {
      if (!isAnswer) heard.push(bytes);
      else if (cutsAfterAnswer) proxy.cut();
    },
  });
  return { port: proxy.port, heard };
}

describe('an adversary on the network of devices', { timeout: 120_000 }, () => {
  test('what a device has sent, sent again by another, changes nothing of its link', async (t) => {
    const router = await startRouter(t, { env });
    const { uri, port } = await invited(router);
    const device = new TestDevice(t);
    const first = await device.pair(uri);
    await stateOf(router, 'ready');
    first.socket.destroy();
    const { port: through, heard } = await listenerOnTheWay(t, port);
    await device.dial(through);
    const ready = await stateOf(router, 'ready');
    assert.equal((await router.chat(asking('Count.', { model: 'lfo-local' }))).status, 200);
    const recorded = Buffer.concat(heard);
    for (const bytes of [recorded, recorded.subarray(0, 106)]) {
      const replayed = connect(port, '127.0.0.1').on('error', () => undefined);
      t.after(() => replayed.destroy());
      replayed.write(bytes);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    const still = await stateOf(router, 'ready');
    assert.equal(at(still, 'session', 'id'), at(ready, 'session', 'id'));
    assert.equal((await router.chat(asking('Count.', { model: 'lfo-local' }))).status, 200);
    assert.doesNotMatch(router.log(), /device replaced/);
  });

  test('a code whose pairing was cut before its last message still pairs', async (t) => {
    const router = await startRouter(t, { env });
    const { uri, port } = await invited(router);
    const { port: through } = await listenerOnTheWay(t, port, true);
    const device = new TestDevice(t);
    await (
      await device.pair(throughPort(uri, through))
    ).ended;
    assert.equal(at((await router.request('GET', '/admin/devices')).json, 'devices', 'length'), 0);
    await device.pair(uri);
    await stateOf(router, 'ready');
  });

  test('a refusal that nobody has signed makes a device forget nothing', async (t) => {
    const router = await startRouter(t, { env });
    const { uri, port } = await invited(router);
    const cwd = workingFolder(t);
    const scripted = ['device', '--engine', 'scripted', '--model', 'tiny', '--json'];
    const { port: through } = await listenerOnTheWay(t, port);
    const first = startLfo(t, [...scripted, '--pair', throughPort(uri, through)], { cwd });
    await first.output(/"event":"connected"/);
    first.child.kill('SIGTERM');
    await first.finished;
    const file = join(cwd, 'data', 'device', 'router.json');
    const kept = readFileSync(file, 'utf8');

    const liar = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(encodeFrame(refusalPayload('unknown_key'))));
    });
    await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve));
    t.after(() => liar.close());
    const address = liar.address();
    const liarPort = typeof address === 'object' && address !== null ? address.port : 0;
    const again = startLfo(t, [...scripted, '--router', `127.0.0.1:${liarPort}`], { cwd });
    const said = await again.output(/"event":"lost"/);
    assert.match(said, /"code":"unknown_key"/);
    assert.equal(readFileSync(file, 'utf8'), kept);
    again.child.kill('SIGTERM');
    await again.finished;
  });

  test('a link whose first word is no hello is told so and closed, and a hello that does not fit too', async (t) => {
    const router = await startRouter(t, { yaml: 'fleet: { listen: "127.0.0.1:0", plaintext: true }\n' });
    const port = await devicePort(router);
    for (const [said, code] of [
      [{ t: 'ping', n: 1 }, 'no_hello'],
      [{ t: 'hello', v: [1], max_frame: 10 }, 'bad_hello'],
    ] as const) {
      const socket = connect(port, '127.0.0.1').on('error', () => undefined);
      t.after(() => socket.destroy());
      let answer = '';
      socket.on('data', (bytes) => (answer += bytes.toString('utf8')));
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.write(encodeFrame(Buffer.from(JSON.stringify(said))));
      await closed;
      assert.match(answer, new RegExp(`"code":"${code}"`));
    }
    assert.equal(at((await router.request('GET', '/admin/devices')).json, 'devices', 'length'), 0);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { ScriptedAnswer } from '@lfo/device-core';
import { readAnswer } from '@lfo/testing/answer-reader.ts';
import { assertWithin } from '@lfo/testing/figure.ts';
import { startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { invited, joined } from '@lfo/testing/pairing.ts';
import { asking, startRouter } from '@lfo/testing/router.ts';
import { at, saidIn } from '@lfo/testing/sse.ts';
import { tcpProxy } from '@lfo/testing/tcp-proxy.ts';
import { eventually, TestDevice } from '@lfo/testing/test-device.ts';

const env = { LFO_FLEET_LISTEN: '127.0.0.1:0' };
const words = Array.from({ length: 60 }, (_, n) => `w${n} `);
const slowly = (partMs: number) => (): ScriptedAnswer => ({
  parts: words.map((text) => ({ k: 'text', text })),
  partMs,
});
const whole = words.join('');
const question = asking('Count.', { model: 'lfo-local' });

describe('a link lost in the middle of an answer', { timeout: 180_000 }, () => {
  test('fault 69: the device is back within the grace, and no token is lost or doubled', async (t) => {
    const router = await startRouter(t, { env });
    const device = new TestDevice(t, { answer: slowly(20) });
    const { id, port, link } = await joined(router, device);
    const answer = readAnswer(t, router, question);
    await answer.has('w9 ');
    link.socket.resetAndDestroy();
    await new Promise((resolve) => setTimeout(resolve, 400));
    const second = await device.dial(port);
    await answer.has('w40 ');
    second.socket.destroy();
    await device.dial(port);
    const { chunks, isDone } = await answer.over;
    assert.equal(saidIn(chunks), whole);
    assert.equal(isDone, true);
    const metadata = at(
      chunks.findLast((chunk) => at(chunk, 'lfo_metadata') !== undefined),
      'lfo_metadata',
    );
    assert.equal(at(metadata, 'device', 'resumed'), 2);
    const shown = await router.request('GET', `/admin/devices/${id}`);
    assert.equal(at(shown.json, 'session', 'resumes'), 2);
    assert.match(router.log(), /device resumed/);
    const metrics = await router.request('GET', '/metrics');
    assert.match(metrics.text, /lfo_device_resumes_total\{device="test-phone",result="resumed"\} 2/);
  });

  test('an answer that is not streamed waits for the device too, where nobody else can answer', async (t) => {
    const router = await startRouter(t, { env });
    const device = new TestDevice(t, { answer: slowly(10) });
    const { id, port, link } = await joined(router, device);
    const pending = router.chat(asking('Count.', { model: 'lfo-local' }));
    await eventually(async () => {
      const shown = await router.request('GET', `/admin/devices/${id}`);
      return at(shown.json, 'models', 0, 'active') === 1 ? true : undefined;
    }, 'the request at the device');
    link.socket.destroy();
    // All of it has been written before the device returns: the end too is kept.
    await new Promise((resolve) => setTimeout(resolve, 800));
    await device.dial(port);
    const { status, json } = await pending;
    assert.equal(status, 200);
    assert.equal(at(json, 'choices', 0, 'message', 'content'), whole);
    assert.equal(at(json, 'lfo_metadata', 'device', 'resumed'), 1);
  });

  test('fault 69: a device that does not return within the grace leaves an error frame, and not before', async (t) => {
    const router = await startRouter(t, { env, yaml: 'fleet: { grace_ms: 1000 }\n' });
    const { link } = await joined(router, new TestDevice(t, { answer: slowly(20) }));
    const answer = readAnswer(t, router, question);
    await answer.has('w9 ');
    const cutMs = performance.now();
    link.socket.destroy();
    const { chunks, isDone } = await answer.over;
    assert.ok(performance.now() - cutMs >= 900);
    assert.equal(isDone, false);
    assert.match(String(at(chunks.at(-1), 'error', 'message')), /went away in the middle/);
    assert.ok(whole.startsWith(saidIn(chunks)));
    const metrics = await router.request('GET', '/metrics');
    assert.match(metrics.text, /lfo_device_resumes_total\{device="test-phone",result="expired"\} 1/);
  });

  test('with a grace of 0 the answer is given up at once', async (t) => {
    const router = await startRouter(t, { env, yaml: 'fleet: { grace_ms: 0 }\n' });
    const { link } = await joined(router, new TestDevice(t, { answer: slowly(20) }));
    const answer = readAnswer(t, router, question);
    await answer.has('w9 ');
    const cutMs = performance.now();
    link.socket.destroy();
    assert.equal((await answer.over).isDone, false);
    assertWithin(t, 'given up', performance.now() - cutMs, 900);
  });

  test('a request that the cable swallowed is sent again to the process of "lfo device" when that is back', async (t) => {
    const router = await startRouter(t, { env });
    const { uri, port } = await invited(router);
    const proxy = await tcpProxy(t, port);
    const flags = ['--engine', 'scripted', '--model', 'tiny', '--name', 'laptop', '--json'];
    const device = startLfo(t, ['device', ...flags, '--router', `127.0.0.1:${proxy.port}`, '--pair', uri], {
      cwd: workingFolder(t),
    });
    await device.output(/"event":"connected"/);
    await eventually(async () => {
      const shown = await router.request('GET', '/admin/devices');
      return at(shown.json, 'devices', 0, 'state') === 'ready' ? true : undefined;
    }, 'the device');
    proxy.setSilent(true);
    const pending = router.chat(asking('Count.', { model: 'lfo-local' }));
    await eventually(async () => {
      const shown = await router.request('GET', '/admin/devices');
      return at(shown.json, 'devices', 0, 'in_flight') === 1 ? true : undefined;
    }, 'the request on its way');
    await new Promise((resolve) => setTimeout(resolve, 300));
    proxy.cut();
    proxy.setSilent(false);
    const answer = await pending;
    const counted = Array.from({ length: 128 }, (_, index) => `${index} `).join('');
    assert.equal(at(answer.json, 'choices', 0, 'message', 'content'), counted);
    assert.equal(at(answer.json, 'lfo_metadata', 'device', 'resumed'), 1);
    assert.equal(proxy.connections(), 2);
    // Its program's child would outlive a kill.
    device.child.kill('SIGTERM');
    await device.finished;
  });
});

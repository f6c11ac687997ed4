import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { test, type TestContext } from 'node:test';

import { freePort } from '@lfo/testing/free-port.ts';
import { asking, startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { eventually } from '@lfo/testing/test-device.ts';

/** Listens where magic packets go. */
async function wakePort(t: TestContext): Promise<{ readonly heard: string[] }> {
  const heard: string[] = [];
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.on('message', (packet) => heard.push(packet.toString('hex')));
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(9, '127.0.0.1', resolve);
  });
  return { heard };
}

test('a sleeping server of the local tier is woken by a request that wants it, and answers when it has come', async (t) => {
  const { heard } = await wakePort(t);
  const port = await freePort();
  const router = await startRouter(t, {
    yaml: `backends:
  - { name: desk, kind: openai-compatible, tier: local, base_url: "http://127.0.0.1:${port}/v1", models: [m],
      wake: { mac: "02:00:5e:10:00:ff", broadcast: 127.0.0.1, timeout_ms: 20000 } }
`,
  });
  await router.ready;
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.deepEqual(heard, [], 'no wake by probes');
  const pending = router.chat(asking('Hello', { model: 'lfo-local' }));
  const packet = `${'ff'.repeat(6)}${'02005e1000ff'.repeat(16)}`;
  await eventually(() => (heard.length > 1 ? true : undefined), 'a second packet');
  for (const each of heard) assert.equal(each, packet);
  const server = await ScriptedUpstream.start(undefined, port);
  t.after(() => server.close());
  const { status, text, json } = await pending;
  assert.equal(status, 200, text);
  assert.equal(at(json, 'lfo_metadata', 'backend'), 'desk');
  const metrics = await router.request('GET', '/metrics');
  assert.match(metrics.text, /lfo_wakes_total\{result="up"\} 1/);
});

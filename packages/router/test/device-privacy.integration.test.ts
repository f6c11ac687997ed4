import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { namespaceProblem } from '@lfo/testing/network-namespace.ts';
import { type Asked, packetsOf, startPrivacyNetwork } from '@lfo/testing/privacy-network.ts';
import { asking } from '@lfo/testing/router.ts';

const skip = namespaceProblem() ?? false;

/** Of one kind each; every fault of every wire without devices is the privacy test's. */
const rows = [
  'Hello',
  'be unsure',
  'fault-500',
  'fault-401',
  'fault-429',
  'fault-reset-before-head',
  'fault-reset-mid-stream',
  'fault-hang-mid-stream',
].flatMap((text): readonly Asked[] => [
  { body: asking(text, { model: 'lfo-local' }) },
  { body: asking(text, { stream: true }), headers: { 'x-lfo-mode': 'local' } },
  { body: asking(text, { metadata: { mode: 'local' }, response_format: { type: 'json_object' } }) },
]);

test(
  'three devices answer over the LAN, fail, freeze and leave with a cloud key configured: local sends no packet beyond it',
  { skip, timeout: 180_000 },
  async (t) => {
    const scene = await startPrivacyNetwork(t);
    const { network, ask } = scene;
    const devices = [];
    for (const name of ['one', 'two', 'three']) devices.push(await scene.startDevice(name));
    assert.equal(await network.quiet(1_000), 0, 'pairing, announcing and idling');
    const lan = network.lanPackets();
    const answers = await Promise.all(
      devices.map(({ name }) => ask({ body: asking('Hello', { model: `tiny@${name}` }) })),
    );
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200],
    );
    assert.ok(network.lanPackets() > lan, 'they were asked over the LAN');
    assert.equal(network.packets(), 0, 'an answer of each');
    assert.equal(await packetsOf(scene, rows), 0, 'requests of all kinds');

    const amid = devices.map(({ name }) => ask({ body: asking('Hello', { model: `tiny@${name}`, stream: true }) }));
    await delay(100);
    const [one, two, three] = devices;
    one?.signal('SIGKILL');
    two?.signal('SIGSTOP');
    three?.signal('SIGTERM');
    assert.equal(await packetsOf(scene, rows), 0, 'with one dead, one frozen and one leaving');
    await Promise.all(amid);
    assert.equal(network.packets(), 0, 'answers that were lost');

    const cloud = await ask({ body: asking('Hello', { model: 'lfo-cloud' }) });
    assert.ok(cloud.status >= 500);
    assert.ok(network.packets() > 0, 'the cloud key is there, and is used where it may be');
  },
);

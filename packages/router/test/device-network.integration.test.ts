import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { type LfoProcess, startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { type MachineOnCable, machineOnCable } from '@lfo/testing/machine-on-cable.ts';
import { namespaceProblem } from '@lfo/testing/network-namespace.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { at, readSse } from '@lfo/testing/sse.ts';
import { isFullRun } from '@lfo/testing/test-scale.ts';
import { eventually } from '@lfo/testing/test-device.ts';

const skip = namespaceProblem() ?? false;
const tokens = 12;
const words = Array.from({ length: tokens }, (_, at) => `${at} `).join('');
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
  const { json } = await router.request('POST', '/admin/devices/pairings', {});
  const port = /[?&]p=(\d+)/.exec(String(at(json, 'uri')))?.[1] ?? '';
  const pair = ['--router', `${routerHost}:${port}`, '--pair', String(at(json, 'code'))];
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

/** A streamed answer that is read while it comes. */
function streamed(t: TestContext, router: TestRouter, model = 'lfo-local') {
  let text = '';
  const abort = new AbortController();
  t.after(() => abort.abort());
  const over = (async () => {
    const response = await fetch(`${router.app.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(asking('Count.', { model, stream: true, max_tokens: tokens })),
      signal: abort.signal,
    });
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
    return readSse(text);
  })();
  const has = (what: string): Promise<true> =>
    eventually(() => (text.includes(what) ? true : undefined), `${what} in the answer`);
  return { over, has };
}

function childOf(pid: number | undefined): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
}

function contentOf(chunks: readonly unknown[]): string {
  const texts = chunks.map((chunk) => at(chunk, 'choices', 0, 'delta', 'content'));
  return texts.filter((text) => typeof text === 'string').join('');
}

describe('devices on cables of their own', { skip, timeout: 180_000, concurrency: 3 }, () => {
  test('a cable pulled for three seconds in the middle of an answer loses and doubles no token', async (t) => {
    const router = await startRouter(t, { env });
    const cable = machineOnCable(t, 3);
    await joined(t, router, cable, 'laptop', ['--tokens-per-second', '2']);
    const answer = streamed(t, router);
    await answer.has('"2 "');
    cable.pull?.();
    await delay(3_000);
    cable.plug?.();
    const { chunks, isDone } = await answer.over;
    assert.deepEqual([contentOf(chunks), isDone], [words, true]);
  });

  // Takes 20 s; in every run the same is shown on the fake clock.
  const full = isFullRun ? test : () => undefined;
  void full(
    'fault 9: a cable pulled for good is noticed within 15 s, and the answer ends in an error frame',
    async (t: TestContext) => {
      const router = await startRouter(t, { env, yaml: 'fleet: { grace_ms: 1000 }\n' });
      const cable = machineOnCable(t, 4);
      const { id } = await joined(t, router, cable, 'laptop', ['--tokens-per-second', '1']);
      const answer = streamed(t, router);
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
    },
  );

  test('fault 10: kill -9 in the middle of an answer is an error frame, and the next request goes elsewhere', async (t) => {
    const router = await startRouter(t, { env, yaml: 'fleet: { grace_ms: 500 }\n' });
    const slow = await joined(t, router, machineOnCable(t, 5), 'slow', ['--tokens-per-second', '5']);
    await joined(t, router, machineOnCable(t, 6), 'other', ['--tokens-per-second', '100']);
    const answer = streamed(t, router, 'tiny@slow');
    await answer.has('"2 "');
    // The device host itself; the command that runs it ends with it.
    process.kill(childOf(slow.command.child.pid), 'SIGKILL');
    const { chunks, isDone } = await answer.over;
    assert.equal(isDone, false);
    assert.match(String(at(chunks.at(-1), 'error', 'message')), /went away in the middle/);
    const next = await router.chat(asking('Count.', { model: 'lfo-local' }));
    assert.deepEqual([next.status, at(next.json, 'lfo_metadata', 'device', 'name')], [200, 'other']);
  });
});

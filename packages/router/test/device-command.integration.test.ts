import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { freePort } from '@lfo/testing/free-port.ts';
import { runLfo, startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { invited } from '@lfo/testing/pairing.ts';
import { type Answer, asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { eventually } from '@lfo/testing/test-device.ts';

const scripted = ['device', '--engine', 'scripted', '--model', 'tiny', '--name', 'laptop', '--json'];

test('a machine joins by one command, answers, comes back by itself, and ends when it is removed', async (t) => {
  const router = await startRouter(t, { env: { LFO_FLEET_LISTEN: '127.0.0.1:0' } });
  const { json } = await router.request('POST', '/admin/devices/pairings', {});
  const cwd = workingFolder(t);

  const first = startLfo(t, [...scripted, '--pair', String(at(json, 'uri'))], { cwd });
  await first.output(/"event":"paired"[^]*"event":"connected"/);
  for (const file of ['device.key', 'router.json']) {
    assert.equal(statSync(join(cwd, 'data', 'device', file)).mode & 0o777, 0o600);
  }
  const answer = await untilAnswered(() => router.chat(asking('Count.', { model: 'lfo-local' })));
  assert.equal(answer.status, 200);
  assert.equal(at(answer.json, 'lfo_metadata', 'device', 'name'), 'laptop');
  assert.equal(answer.headers['x-lfo-egress'], 'none');
  first.child.kill('SIGTERM');
  assert.equal((await first.finished).code, 0);

  const again = startLfo(t, scripted, { cwd });
  await again.output(/"event":"connected"/);
  const id = String(at((await router.request('GET', '/admin/devices')).json, 'devices', 0, 'id'));
  assert.equal((await router.request('DELETE', `/admin/devices/${id}`)).status, 204);
  const { code, stdout } = await again.finished;
  assert.equal(code, 3);
  assert.match(stdout, /"event":"lost","code":"revoked"/);
});

test('a wrong code is refused with a sentence and exit code 3; no router and no code is wrong usage', async (t) => {
  const router = await startRouter(t, { env: { LFO_FLEET_LISTEN: '127.0.0.1:0' } });
  const { port } = await invited(router);
  const cwd = workingFolder(t);
  const wrong = 'M2GT-58X4-MPKA-FA59-NANT-SBDE-NW';
  const refused = startLfo(t, [...scripted, '--router', `127.0.0.1:${port}`, '--pair', wrong], { cwd });
  const { code, stdout } = await refused.finished;
  assert.equal(code, 3);
  assert.match(stdout, /"code":"pairing_refused"/);
  const alone = await startLfo(t, scripted, { cwd }).finished;
  assert.equal(alone.code, 2);
  assert.match(alone.stderr, /This device has no router yet/);
});

test('a model server of the machine answers in its place, by the name it has there', async (t) => {
  const router = await startRouter(t, { env: { LFO_FLEET_LISTEN: '127.0.0.1:0' } });
  const server = await ScriptedUpstream.start();
  t.after(() => server.close());
  const { json } = await router.request('POST', '/admin/devices/pairings', {});
  const args = ['device', '--engine', server.origin, '--model', 'scripted', '--name', 'laptop', '--json'];
  const device = startLfo(t, [...args, '--pair', String(at(json, 'uri'))], { cwd: workingFolder(t) });
  await device.output(/"event":"connected"/);
  const answer = await untilAnswered(() => router.chat(asking('What is 2+2?', { model: 'scripted@laptop' })));
  assert.equal(at(answer.json, 'choices', 0, 'message', 'content'), 'Hello from upstream.');
  const asked = server.requests.at(-1);
  assert.equal(at(asked?.json, 'model'), 'scripted');
  assert.equal(at(asked?.json, 'stream'), true);
  device.child.kill('SIGTERM');
  assert.equal((await device.finished).code, 0);
});

test('a device that waits to be dialled shows a link, is paired by it, and is dialled again after a restart', async (t) => {
  const router = await startRouter(t, { env: { LFO_FLEET_LISTEN: 'off' } });
  const cwd = workingFolder(t);
  const port = await freePort();
  const first = startLfo(t, [...scripted, '--listen', `127.0.0.1:${port}`], { cwd });
  const [, line = ''] = /^(\{"event":"listening".*)$/m.exec(await first.output(/"event":"listening".*\n/)) ?? [];
  const uri = String(at(JSON.parse(line), 'uri'));
  assert.match(uri, /^lfo:\/\/pair\?v=1&r=device&h=127\.0\.0\.1&/);
  const pair = await runLfo(t, ['devices', 'pair', uri, '--wait', '--json', '--url', router.app.url], {
    cwd: workingFolder(t),
  });
  assert.equal(pair.code, 0, pair.stderr);
  await first.output(/"event":"paired"[^]*"event":"connected"/);
  assert.equal((await untilAnswered(() => router.chat(asking('Count.', { model: 'tiny@laptop' })))).status, 200);
  first.child.kill('SIGTERM');
  assert.equal((await first.finished).code, 0);

  const again = startLfo(t, scripted, { cwd });
  await again.output(/"event":"listening","port":\d+/);
  await again.output(/"event":"connected"/);
  assert.equal((await untilAnswered(() => router.chat(asking('Count.', { model: 'tiny@laptop' })))).status, 200);
  const id = String(at((await router.request('GET', '/admin/devices')).json, 'devices', 0, 'id'));
  assert.equal((await router.request('DELETE', `/admin/devices/${id}`)).status, 204);
  assert.equal((await again.finished).code, 3);
});

test('an empty battery pauses the device with its reason, and power brings it back', async (t) => {
  const router = await startRouter(t, { env: { LFO_FLEET_LISTEN: '127.0.0.1:0' } });
  const { json } = await router.request('POST', '/admin/devices/pairings', {});
  const cwd = workingFolder(t);
  const file = join(cwd, 'vitals.json');
  const battery = (pct: number, charging: boolean): void =>
    writeFileSync(file, JSON.stringify({ battery: { pct, charging } }));
  battery(12, false);
  const device = startLfo(t, [...scripted, '--vitals-file', file, '--pair', String(at(json, 'uri'))], { cwd });
  await device.output(/"event":"connected"/);
  const paused = await untilListed(router, ['devices', 0, 'code'], 'battery');
  assert.equal(at(paused, 'devices', 0, 'state'), 'paused');
  assert.match(String(at(paused, 'devices', 0, 'why')), /battery is below 20 %/);
  assert.equal((await router.chat(asking('Count.', { model: 'tiny@laptop' }))).status, 503);
  battery(12, true);
  await untilListed(router, ['devices', 0, 'state'], 'ready');
  assert.equal((await router.chat(asking('Count.', { model: 'tiny@laptop' }))).status, 200);
  device.child.kill('SIGTERM');
  assert.equal((await device.finished).code, 0);
});

test('SIGTERM lets what runs end, takes nothing new and says goodbye', async (t) => {
  const router = await startRouter(t, { env: { LFO_FLEET_LISTEN: '127.0.0.1:0' } });
  const { json } = await router.request('POST', '/admin/devices/pairings', {});
  const slow = [...scripted, '--tokens-per-second', '20', '--pair', String(at(json, 'uri'))];
  const device = startLfo(t, slow, { cwd: workingFolder(t) });
  await device.output(/"event":"connected"/);
  await untilAnswered(() => router.chat(asking('Hi', { model: 'tiny@laptop', max_tokens: 1 })));
  const running = router.stream(asking('Count.', { model: 'tiny@laptop', max_tokens: 40 }));
  await untilListed(router, ['devices', 0, 'models', 0, 'active'], 1);
  device.child.kill('SIGTERM');
  await untilListed(router, ['devices', 0, 'code'], 'draining');
  const refused = await router.chat(asking('Count.', { model: 'tiny@laptop' }));
  assert.equal(refused.status, 503);
  const { status, text, isDone } = await running;
  assert.equal(status, 200);
  assert.ok(isDone);
  assert.match(text, /39 /);
  assert.equal((await device.finished).code, 0);
});

test('what starts the command with the machine is printed, without what serves but once', async (t) => {
  const cwd = workingFolder(t);
  const hint = await runLfo(t, ['device', '--install-hint', '--pair', 'lfo://pair?v=1', '--name', 'my "laptop" 100%'], {
    cwd,
  });
  assert.equal(hint.code, 0, hint.stderr);
  assert.match(hint.stdout, /^ExecStart=".*node" ".*lfo-device-host\.js" "device" "--name" "my \\"laptop\\" 100%%"$/m);
  assert.match(hint.stdout, /^Environment="LFO_DATA_DIR=.*data"$/m);
  assert.doesNotMatch(hint.stdout, /lfo:\/\/|install-hint"/);
});

/** Asks again until the device has told that its model is there. */
async function untilAnswered(ask: () => Promise<Answer>): Promise<Answer> {
  let last = '';
  return await eventually(
    async () => {
      const answer = await ask();
      last = `${answer.status} ${answer.text}`;
      return answer.status === 200 ? answer : undefined;
    },
    () => `an answer (last ${last})`,
  );
}

/** Looks again until `path` of what `/admin/devices` says is this; all that it says then. */
async function untilListed(router: TestRouter, path: readonly (string | number)[], value: unknown): Promise<unknown> {
  let last: unknown;
  return await eventually(
    async () => {
      last = (await router.request('GET', '/admin/devices')).json;
      return at(last, ...path) === value ? last : undefined;
    },
    () => `${path.join('.')} ${String(value)} (last ${JSON.stringify(last)})`,
  );
}

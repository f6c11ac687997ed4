import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { asking, startRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';

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
  const answer = await router.chat(asking('Count.', { model: 'lfo-local' }));
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
  const { json } = await router.request('POST', '/admin/devices/pairings', {});
  const port = /[?&]p=(\d+)/.exec(String(at(json, 'uri')))?.[1] ?? '';
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

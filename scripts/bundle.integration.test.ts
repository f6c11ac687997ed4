import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { runLfo, startLfo, workingFolder, type LfoProcess } from '@lfo/testing/lfo-process.ts';
import { asking } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { eventually } from '@lfo/testing/test-device.ts';

const checkout = fileURLToPath(new URL('..', import.meta.url));

describe('the bundle of a clone', () => {
  const clone = mkdtempSync(join(tmpdir(), 'lfo-bundle-'));
  const launcher = join(clone, 'packages/router/bin/lfo.js');
  const dist = join(clone, 'packages/router/dist');
  const source = join(clone, 'packages/router/src/core/id.ts');
  const longAgo = new Date('2020-01-01');
  before(() => {
    for (const name of ['router', 'device-host', 'device-core', 'protocol']) {
      const folder = join('packages', name);
      const filter = (path: string): boolean => !/node_modules|\.test\.ts$|\bdist\b/.test(path.slice(checkout.length));
      cpSync(join(checkout, folder), join(clone, folder), { recursive: true, filter });
    }
    mkdirSync(join(clone, 'scripts'));
    for (const file of ['scripts/bundle.ts', 'scripts/prepare.js', 'package.json', 'package-lock.json']) {
      cpSync(join(checkout, file), join(clone, file));
    }
    symlinkSync(join(checkout, 'node_modules'), join(clone, 'node_modules'));
    for (const name of ['router', 'device-host']) {
      symlinkSync(join(checkout, `packages/${name}/node_modules`), join(clone, `packages/${name}/node_modules`));
    }
    utimesSync(source, longAgo, longAgo);
    prepare();
  });
  after(() => rmSync(clone, { recursive: true, force: true }));

  /** What npm runs after it has installed. */
  function prepare(): void {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/prepare.js'], { cwd: clone, encoding: 'utf8' });
    assert.equal(stderr, '');
    assert.equal(status, 0);
    // No part of the stamp: whoever runs the bundle says so.
    const program = join(dist, 'lfo.js');
    writeFileSync(program, `process.stdout.write('bundled\\n');\n${readFileSync(program, 'utf8')}`);
  }

  const version = async (t: TestContext, env: Readonly<Record<string, string>> = {}): Promise<string> =>
    (await runLfo(t, ['--version'], { cwd: workingFolder(t), launcher, env })).stdout;

  test('answers, records and shows, with the device host as its child', async (t) => {
    const upstream = await ScriptedUpstream.start();
    t.after(() => upstream.close());
    const cwd = workingFolder(t);
    const backend = `{ name: near, kind: openai-compatible, tier: local, base_url: "${upstream.origin}/v1", models: [small], api_key: none }`;
    writeFileSync(join(cwd, 'lfo.yaml'), `backends: [${backend}]\n`);
    const env = { PORT: '0', LFO_FLEET_LISTEN: '127.0.0.1:0' };
    const router = startLfo(t, ['serve'], { cwd, launcher, env });
    const url = await urlOf(router);
    assert.match(await router.output(/bundled/), /^bundled\n/);

    const post = (path: string, body: unknown): Promise<Response> =>
      fetch(`${url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const answer = await post('/v1/chat/completions', asking('Hello', { model: 'lfo-local' }));
    assert.equal(answer.status, 200, await answer.text());
    assert.match(await (await fetch(`${url}/dashboard/login`)).text(), /<html/);
    assert.match(await (await fetch(`${url}/metrics`)).text(), /lfo_requests_total/);
    assert.equal((await fetch(`${url}/openapi.json`)).status, 200);

    const pairing: unknown = await (await post('/admin/devices/pairings', {})).json();
    const scripted = ['device', '--engine', 'scripted', '--model', 'tiny', '--name', 'laptop', '--json'];
    const device = startLfo(t, [...scripted, '--pair', String(at(pairing, 'uri'))], {
      cwd: workingFolder(t),
      launcher,
    });
    await device.output(/"event":"connected"/);
    await eventually(async () => {
      const listed = await (await fetch(`${url}/v1/models`)).text();
      return listed.includes('tiny@laptop') ? true : undefined;
    }, 'the model of the device');
    const far = await post('/v1/chat/completions', asking('Hello', { model: 'tiny@laptop' }));
    const text = await far.text();
    assert.equal(far.status, 200, text);
    assert.match(text, /"name":"laptop"/);

    device.child.kill('SIGTERM');
    await device.finished;
    router.child.kill('SIGTERM');
    assert.equal((await router.finished).code, 0);
    const records = await runLfo(t, ['requests', '--json'], { cwd, launcher, env });
    assert.equal(records.stdout.trim().split('\n').length, 3, records.stdout);
  });

  test('is not run once a source was edited, added or deleted, the packages changed, or somebody says so', async (t) => {
    assert.equal(await version(t), 'bundled\n0.1.0\n');
    assert.equal(await version(t, { LFO_BUNDLE: 'off' }), '0.1.0\n');

    writeFileSync(source, readFileSync(source));
    assert.equal(await version(t), '0.1.0\n', 'edited');
    utimesSync(source, longAgo, longAgo);

    const added = join(clone, 'packages/device-host/src/added.ts');
    writeFileSync(added, '');
    assert.equal(await version(t), '0.1.0\n', 'added');
    unlinkSync(added);

    const removed = join(clone, 'packages/router/src/confidence/estimator-contract.ts');
    renameSync(removed, `${clone}/elsewhere.ts`);
    assert.equal(await version(t), '0.1.0\n', 'deleted');
    renameSync(`${clone}/elsewhere.ts`, removed);
    assert.equal(await version(t), 'bundled\n0.1.0\n', 'as it was');

    const lockfile = join(clone, 'package-lock.json');
    writeFileSync(lockfile, `${readFileSync(lockfile, 'utf8')}\n`);
    assert.equal(await version(t), '0.1.0\n', 'other packages');
  });
});

async function urlOf(router: LfoProcess): Promise<string> {
  const [, url = ''] = /"url":"([^"]+)"/.exec(await router.output(/"url":"[^"]+"/)) ?? [];
  return url;
}

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import { runLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { asking, startRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';
import { eventually } from '@lfo/testing/test-device.ts';
import { request } from 'undici';

const token = 'token-of-the-operator';
const authorization = { authorization: `Bearer ${token}` };
/** Of Node 24, which the file's command and npm's run under. */
const path = `${dirname(process.execPath)}:${process.env['PATH']}`;

test('the device host is offered to the network while a pairing is open, and nothing else is', async (t) => {
  const env = { HOST: '0.0.0.0', LFO_AUTH_TOKEN: token, LFO_FLEET_LISTEN: '127.0.0.1:0' };
  const router = await startRouter(t, { env });
  const port = new URL(router.app.url).port;
  const own = Object.values(networkInterfaces())
    .flatMap((some) => some ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
  const get = async (where: string, host: string, headers = {}): Promise<number> => {
    const { statusCode, body } = await request(`http://127.0.0.1:${port}${where}`, {
      headers: { host: `${host}:${port}`, ...headers },
    });
    await body.dump();
    return statusCode;
  };
  const hosts = ['127.0.0.1', ...(own === undefined ? [] : [own])];

  assert.equal(await get('/device.tgz', '127.0.0.1'), 401);
  assert.equal(await get('/device.tgz', '127.0.0.1', authorization), 404);
  const { json } = await router.request('POST', '/admin/devices/pairings', {}, authorization);
  for (const host of hosts) assert.equal(await get('/device.tgz', host), 200, host);
  assert.equal(await get('/device.tgz', 'router.example'), 403, 'a name is what DNS rebinding sends');
  assert.equal(await get('/device.tgz', '198.51.100.7'), 403, "an address of somebody else's");
  assert.equal(await get('/device.tgz', '127.0.0.1', { authorization: 'Bearer wrong' }), 401);
  assert.equal(await get('/device.tgz', '127.0.0.1', { 'sec-fetch-site': 'cross-site' }), 403);
  for (const elsewhere of ['/v1/models', '/admin/devices', '/metrics', '/device', '/device.tgz/x']) {
    assert.equal(await get(elsewhere, '127.0.0.1'), 401, elsewhere);
    if (own !== undefined) assert.equal(await get(elsewhere, own, authorization), 403, elsewhere);
  }
  const pairing = `/admin/devices/pairings/${String(at(json, 'id'))}`;
  assert.equal((await router.request('DELETE', pairing, undefined, authorization)).status, 204);
  assert.equal(await get('/device.tgz', '127.0.0.1'), 401);
});

test('a router on its own machine alone offers nothing, and says how to copy the file', async (t) => {
  const router = await startRouter(t, { env: { LFO_FLEET_LISTEN: '127.0.0.1:0' } });
  await router.request('POST', '/admin/devices/pairings', {});
  assert.equal((await router.request('GET', '/device.tgz')).status, 404);
  const pair = await runLfo(t, ['devices', 'pair', '--url', router.app.url], { cwd: workingFolder(t) });
  assert.equal(pair.code, 0, pair.stderr);
  assert.match(pair.stdout, /lfo devices pack/);
  assert.doesNotMatch(pair.stdout, /curl/);
});

test('the line that "lfo devices pair" prints makes a device of a machine without LFO', async (t) => {
  const env = { HOST: '0.0.0.0', LFO_AUTH_TOKEN: token, LFO_FLEET_LISTEN: '0.0.0.0:0' };
  const router = await startRouter(t, { env });
  const url = `http://127.0.0.1:${new URL(router.app.url).port}`;
  const pair = await runLfo(t, ['devices', 'pair', '--url', url], {
    cwd: workingFolder(t),
    env: { LFO_AUTH_TOKEN: token },
  });
  const line = pair.stdout.split('\n').find((each) => each.includes('curl')) ?? '';
  assert.match(line, /\/device\.tgz && echo '[0-9a-f]{64} {2}lfo-device\.tgz' \| /, pair.stdout + pair.stderr);

  const home = workingFolder(t);
  const laptop = { ...process.env, ...npmOf(process.env['HOME'] ?? ''), PATH: path, HOME: home };
  const script = `set -e; ${line} --engine scripted --model tiny --name laptop --json`;
  const device = spawn('/bin/sh', ['-c', script], { cwd: home, env: laptop, stdio: 'pipe', detached: true });
  // Ended by a signal it has no exit code, and its group is gone.
  const isRunning = (): boolean => device.exitCode === null && device.signalCode === null;
  t.after(() => device.pid !== undefined && isRunning() && process.kill(-device.pid, 'SIGKILL'));
  let output = '';
  const connected = new Promise<void>((resolve, reject) => {
    device.stdout.on('data', (bytes: Buffer) => {
      output += bytes.toString();
      if (output.includes('"event":"connected"')) resolve();
    });
    device.stderr.on('data', (bytes: Buffer) => (output += bytes.toString()));
    device.on('close', () => reject(new Error(output)));
  });
  await connected;
  let refusal = '';
  const answer = await eventually(
    async () => {
      const asked = await router.chat(asking('Count.', { model: 'tiny@laptop' }), authorization);
      refusal = `${asked.status} ${asked.text}`;
      return asked.status === 200 ? asked : undefined;
    },
    () => `an answer of the device (last ${refusal}; the device: ${output}; the router: ${router.log()})`,
  );
  assert.equal(at(answer.json, 'lfo_metadata', 'device', 'name'), 'laptop');

  const installed = join(home, '.lfo-device/node_modules');
  const bytes = sizeOf(installed);
  t.diagnostic(`${(bytes / 1e6).toFixed(0)} MB installed`);
  assert.ok(bytes < 250e6, `${bytes} bytes`);
  assert.deepEqual(
    readdirSync(join(installed, '@node-llama-cpp')).filter((name) => name.includes('cuda')),
    [],
  );
  const ended = new Promise((resolve) => device.on('close', resolve));
  if (device.pid !== undefined) process.kill(-device.pid, 'SIGTERM');
  await ended;
});

test('"lfo devices pack" writes the file that the router offers', async (t) => {
  const cwd = workingFolder(t);
  const packed = await runLfo(t, ['devices', 'pack', '--out', 'stick.tgz', '--json'], { cwd });
  assert.equal(packed.code, 0, packed.stderr);
  const file = join(cwd, 'stick.tgz');
  assert.equal(at(JSON.parse(packed.stdout), 'bytes'), statSync(file).size);
  const manifest: unknown = JSON.parse(
    execFileSync('tar', ['-xzOf', file, 'package/package.json'], { encoding: 'utf8' }),
  );
  assert.equal(at(manifest, 'name'), '@lfo/device-host');
  assert.equal(at(manifest, 'bin', 'lfo-device'), 'bin/lfo-device.js');
  assert.doesNotMatch(JSON.stringify(manifest), /cuda/);
  assert.match(readFileSync(file).subarray(0, 2).toString('hex'), /^1f8b$/);
  const nowhere = await runLfo(t, ['devices', 'pack', '--out', 'no/such/folder.tgz'], { cwd });
  assert.equal(nowhere.code, 1);
  assert.match(nowhere.stderr, /cannot be written \(ENOENT\): name another with --out/);
});

/** Another home would hide how this machine's npm reaches its registry, and what it has fetched already. */
function npmOf(home: string): Readonly<Record<string, string>> {
  return { npm_config_userconfig: join(home, '.npmrc'), npm_config_cache: join(home, '.npm') };
}

function sizeOf(path: string): number {
  const stats = lstatSync(path);
  if (!stats.isDirectory()) return stats.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}

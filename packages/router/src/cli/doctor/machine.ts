import { spawn } from 'node:child_process';
import { accessSync, constants, statfsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import * as z from 'zod';
import type { LfoConfig } from '../../config/config.ts';
import { hostAndPort } from '../../config/addresses.ts';
import { isModelPath } from '../../config/environment.ts';
import { type JsonObject, parseJson } from '../../core/json.ts';
import { childEnvironment, deviceHostBinary } from '../device-host.ts';
import type { RouterClient } from '../router-client.ts';
import type { Terminal } from '../terminal.ts';
import { advised, broken, passed, type Check } from './check.ts';
import { answerOf } from './running.ts';

/** Whether this Node can run LFO. */
export function checkRuntime(version: string): Check {
  const major = Number(/^v(\d+)/.exec(version)?.[1]);
  if (major >= 24) return passed('runtime', `Node ${version}`);
  return broken('runtime', `Node ${version} is too old`, 'npm ci, then npm start or npm run lfo, which bring Node 24');
}

/** Names of the engine's prebuilt packages, by platform and processor. */
const enginePackages: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'linux-arm': 'linux-armv7l',
  'darwin-arm64': 'mac-arm64-metal',
  'darwin-x64': 'mac-x64',
  'win32-x64': 'win-x64',
  'win32-arm64': 'win-arm64',
};

/** Whether a prebuilt llama.cpp for this machine is installed. */
export function checkEngine(config: LfoConfig, machine: string): Check {
  const name = 'engine';
  if (!config.embedded.enabled) return passed(name, 'not needed: LFO_LOCAL_MODEL=none');
  const prebuilt = enginePackages[machine];
  if (prebuilt === undefined) {
    return broken(
      name,
      `no llama.cpp is prebuilt for ${machine}`,
      'use a model server as backend and set LFO_LOCAL_MODEL=none',
    );
  }
  try {
    createRequire(deviceHostBinary).resolve(`@node-llama-cpp/${prebuilt}`);
    return passed(name, `llama.cpp for ${prebuilt}`);
  } catch {
    return broken(name, `llama.cpp for ${prebuilt} is not installed`, 'npm ci (without --omit=optional)');
  }
}

const modelList = z.array(
  z.object({ id: z.string(), file: z.string().optional(), bytes: z.number(), state: z.string() }),
);

/** Whether the embedded model's file is here and verified. Asks the device host, which owns the files. */
export async function checkModel(config: LfoConfig, terminal: Terminal): Promise<Check> {
  const name = 'model';
  const { enabled, model, modelsDir } = config.embedded;
  if (!enabled) return passed(name, 'none wanted');
  if (isModelPath(model)) {
    return statSync(model, { throwIfNoEntry: false })?.isFile() === true
      ? passed(name, model)
      : broken(name, `${model} is not a file`, 'correct LFO_LOCAL_MODEL, or unset it for the default model');
  }
  const list = modelList.safeParse(parseJson(await deviceHostOutput(['models', 'list', '--json'], config, terminal)));
  if (!list.success) return broken(name, 'the device host does not answer', 'npm ci');
  const wanted = model.startsWith('hf:') ? model.slice(model.lastIndexOf('/') + 1) : model;
  const found = list.data.find(({ id, file }) => id === wanted || file === wanted);
  const fix = `lfo models pull ${model}`;
  switch (found?.state) {
    case undefined:
      return broken(name, `${model} is not known`, 'lfo models list shows what there is');
    case 'ready':
    case 'own':
      return passed(name, `${model}, ${(found.bytes / 1e6).toFixed(0)} MB in ${modelsDir}`);
    case 'unverified':
      return passed(name, `${model} is here and will be verified at the next start`);
    case 'partial':
      return broken(name, `${model} is only partly fetched`, fix);
    default:
      return broken(name, `${model} is not fetched yet (the first start does it)`, fix);
  }
}

async function deviceHostOutput(args: readonly string[], config: LfoConfig, terminal: Terminal): Promise<string> {
  const child = spawn(process.execPath, [deviceHostBinary, ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: childEnvironment(terminal, config),
  });
  child.on('error', () => {});
  let output = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) output += chunk;
  return output;
}

/** Whether the port is free, or LFO itself has it. */
export async function checkPort(config: LfoConfig, client: RouterClient): Promise<Check> {
  const { host, port } = config.server;
  const status = (await answerOf(client, '/health'))?.['status'];
  if (status === 'ok' || status === 'draining') return passed('port', `LFO is running at ${client.url}`);
  const error = await listenOnce(host, port);
  if (error === undefined) return passed('port', `${port} is free`);
  if (error === 'EADDRINUSE')
    return broken('port', `${port} is taken by another program`, `PORT=${port + 1} npm start`);
  if (error === 'EACCES') return broken('port', `${port} is reserved for root`, 'choose a PORT of 1024 or more');
  return broken('port', `${host} is not an address of this machine (${error})`, 'correct HOST');
}

/** Whether devices can dial this router: the port is free, or the LFO that answered `devices` has it. */
export async function checkFleetPort(config: LfoConfig, devices: JsonObject | undefined): Promise<Check> {
  const name = 'fleet';
  const { listen } = config.fleet;
  if (listen === 'off') return passed(name, 'devices cannot dial this router: fleet.listen is off');
  const { host, port } = hostAndPort(listen) ?? { host: '::', port: 4870 };
  const running = devices?.['port'];
  if (typeof running === 'number') return passed(name, `devices dial port ${running}`);
  const error = await listenOnce(host, port);
  if (error === undefined || (error === 'EAFNOSUPPORT' && (await listenOnce('0.0.0.0', port)) === undefined)) {
    return passed(name, listen === 'auto' ? `${port} is free; it opens when pairing begins` : `${port} is free`);
  }
  if (error === 'EADDRINUSE' && devices?.['error'] !== undefined) {
    const detail = `${port} is in use; LFO runs, and without its key it does not say whether it is the one`;
    return advised(name, detail, 'set LFO_AUTH_TOKEN to its key to be told');
  }
  if (error === 'EADDRINUSE') {
    return broken(name, `${port} is taken by another program`, 'set fleet.listen to another host:port');
  }
  return broken(name, `${host}:${port} cannot be listened on (${error ?? ''})`, 'correct fleet.listen');
}

function listenOnce(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', (error) => resolve('code' in error ? String(error.code) : error.name));
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}

/** Whether the data folder can be used and is closed to others. */
export function checkDataFolder(folder: string): Check {
  const name = 'data';
  const stats = statSync(folder, { throwIfNoEntry: false });
  if (stats === undefined) {
    const parent = existingParent(folder);
    return isWritable(parent)
      ? passed(name, `${folder} will be made at the first start`)
      : broken(name, `${folder} cannot be made: ${parent} is not writable`, 'set LFO_DATA_DIR to a folder of yours');
  }
  if (!stats.isDirectory()) return broken(name, `${folder} is not a folder`, 'move it away, or set LFO_DATA_DIR');
  if (!isWritable(folder)) return broken(name, `${folder} is not writable`, `chmod u+rwx ${folder}`);
  if ((stats.mode & 0o077) !== 0) return broken(name, `${folder} is open to other users`, `chmod 700 ${folder}`);
  return passed(name, folder);
}

/** Rows need little; below this the next download or a busy day fails. */
const enoughBytes = 500_000_000;
const hardlyAnyBytes = 100_000_000;

/** Whether there is room for records and for what is fetched. */
export function checkDisk(folder: string): Check {
  const name = 'disk';
  const there = statSync(folder, { throwIfNoEntry: false }) === undefined ? existingParent(folder) : folder;
  const { bavail, bsize } = statfsSync(there);
  const free = bavail * bsize;
  const said = `${free < 10e9 ? (free / 1e9).toFixed(1) : Math.round(free / 1e9)} GB free for ${folder}`;
  const fix = 'make room there, or set LFO_DATA_DIR to another disk; lfo db vacuum gives the room of deleted rows back';
  if (free < hardlyAnyBytes) return broken(name, said, fix);
  return free < enoughBytes ? advised(name, said, fix) : passed(name, said);
}

function existingParent(path: string): string {
  const parent = dirname(path);
  return parent === path || statSync(parent, { throwIfNoEntry: false }) !== undefined ? parent : existingParent(parent);
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

import { createHash } from 'node:crypto';
import { readPairingUri } from '@lfo/protocol';
import { renderUnicodeCompact } from 'uqr';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json.ts';
import type { RouterClient } from './router-client.ts';
import { CliError, coloursFor, exitCodes, plainText, printLine, type Terminal } from './terminal.ts';

export interface DevicesContext {
  readonly terminal: Terminal;
  readonly client: RouterClient;
  readonly json: boolean;
  /** Resolves after so many milliseconds. */
  readonly pause: (ms: number) => Promise<void>;
}

export interface PairOptions {
  /** `lfo://pair?…` of a device that waits to be dialled. */
  readonly uri?: string;
  readonly dial?: string;
  readonly code?: string;
  readonly expires?: string;
  readonly wait: boolean;
}

const lookMs = 500;

/** Shows a code for a device that dials, or dials one that shows a code; waits for it where a person looks. */
export async function pairDevice(options: PairOptions, context: DevicesContext): Promise<number> {
  const { terminal, client, json } = context;
  const wanted = wantedPairing(options);
  const pairing = await client.send('POST', '/admin/devices/pairings', wanted);
  const id = textAt(pairing, 'id');
  if (!('uri' in pairing)) return await waitForDevice(id, context);
  const [uri, code, expires] = [textAt(pairing, 'uri'), textAt(pairing, 'code'), textAt(pairing, 'expires')];
  if (json) printLine(terminal, JSON.stringify({ id, uri, code, expires }));
  else {
    printLine(terminal, renderUnicodeCompact(uri));
    printLine(terminal, uri);
    printLine(terminal, `Code     ${code}`);
    printLine(terminal, `Expires  ${expires}`);
    printLine(terminal, 'On a phone: scan the code. Where LFO is installed: lfo device --pair with the link.');
    for (const line of await howToInstall(uri, client)) printLine(terminal, line);
  }
  if (!options.wait && (json || !terminal.isInteractive)) return exitCodes.done;
  return await waitForDevice(id, context);
}

/** What a machine without LFO runs to become a device: one line to paste where it can fetch the file from here. */
async function howToInstall(uri: string, client: RouterClient): Promise<readonly string[]> {
  const run = `~/.lfo-device/node_modules/.bin/lfo-device --pair '${uri}'`;
  const port = new URL(client.url).port || '80';
  for (const host of readPairingUri(uri)?.hosts ?? []) {
    // HTTP may listen on fewer addresses than devices dial.
    const address = `http://${host.includes(':') ? `[${host}]` : host}:${port}/device.tgz`;
    const file = await client.openFile(address);
    if (file === undefined) continue;
    const hash = createHash('sha256').update(file).digest('hex');
    return [
      'Elsewhere, with Node 24 and npm, paste this one line:',
      `  mkdir -p ~/.lfo-device && cd ~/.lfo-device && curl -fsSo lfo-device.tgz ${address} && echo '${hash}  lfo-device.tgz' | (sha256sum -c - || shasum -a 256 -c -) && npm install --prefix . ./lfo-device.tgz && ${run}`,
    ];
  }
  return [
    'Elsewhere: HTTP listens on this machine alone, so make a file with lfo devices pack, copy it there, and run:',
    `  npm install --prefix ~/.lfo-device ./lfo-device.tgz && ${run}`,
  ];
}

function wantedPairing({ uri, dial, code, expires }: PairOptions): JsonObject {
  if (uri !== undefined) return { uri };
  if (dial !== undefined) {
    if (code === undefined) throw new CliError('--dial needs --code: the code that the device shows.', exitCodes.usage);
    return { ...dialAddress(dial), code };
  }
  return expires === undefined ? {} : { expires_in_ms: milliseconds(expires) };
}

async function waitForDevice(id: string, { terminal, client, json, pause }: DevicesContext): Promise<number> {
  for (;;) {
    const pairing = await client.send('GET', `/admin/devices/pairings/${id}`);
    const state = textAt(pairing, 'state');
    const device = pairing['device'];
    if (state === 'used' && isJsonObject(device) && device['state'] !== 'offline') {
      if (json) printLine(terminal, JSON.stringify(device));
      else {
        const { green } = coloursFor(terminal);
        printLine(
          terminal,
          `${green('✓')} ${shown(device['name'])} is paired. Its fingerprint: ${shown(device['fingerprint'])}`,
        );
      }
      return exitCodes.done;
    }
    if (state !== 'open' && state !== 'used') throw new CliError(endings[state] ?? `The pairing has ended: ${state}.`);
    await pause(lookMs);
  }
}

const endings: Readonly<Record<string, string>> = {
  expired: 'The code has expired: run lfo devices pair again.',
  locked: 'Too many wrong codes were tried, so the code has ended: run lfo devices pair again.',
  cancelled: 'The pairing was cancelled.',
  failed: 'The device could not be paired: is it there, and is the code the one it shows?',
};

/** Every paired device. */
export async function listDevices({ terminal, client, json }: DevicesContext): Promise<number> {
  const devices = await all(client);
  if (json) printLine(terminal, JSON.stringify(devices));
  else if (devices.length === 0) printLine(terminal, 'No devices yet: lfo devices pair');
  else {
    const rows = devices.map((device) => [
      shown(device['name']),
      shown(device['state']),
      modelsOf(device).join(', ') || '-',
      loadOf(device),
      speedOf(device),
      measured(device['rtt_ms'], 'ms'),
      conditionOf(device),
      shown(device['address']),
      shown(device['id']),
    ]);
    const head = ['name', 'state', 'models', 'load', 'speed', 'rtt', 'condition', 'address', 'id'];
    const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
    for (const row of [head, ...rows]) {
      printLine(
        terminal,
        row
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join('  ')
          .trimEnd(),
      );
    }
  }
  return exitCodes.done;
}

/** Requests given to it, and those in its own queue. */
function loadOf(device: JsonObject): string {
  const queued = modelObjects(device).reduce((sum, { queued: waiting }) => sum + Number(waiting ?? 0), 0);
  const given = Number(device['in_flight'] ?? 0);
  return queued > 0 ? `${given}+${queued}` : String(given);
}

/** Tokens a second, read and written, of its first model. */
function speedOf(device: JsonObject): string {
  const [model] = modelObjects(device);
  const [read, written] = [model?.['prefill_tps'], model?.['decode_tps']];
  return typeof written === 'number' ? `${typeof read === 'number' ? Math.round(read) : '?'}/${written} t/s` : '-';
}

/** Battery and heat, where it tells. */
function conditionOf({ battery, thermal }: JsonObject): string {
  const charge = isJsonObject(battery) ? `${Number(battery['pct'])} %${battery['charging'] === true ? '+' : ''}` : '';
  const heat = isJsonObject(thermal) && Number(thermal['status']) > 0 ? `heat ${Number(thermal['status'])}` : '';
  return [charge, heat].filter((part) => part !== '').join(' ') || '-';
}

function measured(value: JsonValue | undefined, unit: string): string {
  return typeof value === 'number' ? `${value} ${unit}` : '-';
}

function modelObjects({ models }: JsonObject): readonly JsonObject[] {
  return Array.isArray(models) ? models.filter(isJsonObject) : [];
}

/** Gives a device another name, or where it is dialled. */
export async function changeDevice(which: string, change: JsonObject, context: DevicesContext): Promise<number> {
  const { terminal, client, json } = context;
  const device = await client.send('PATCH', await pathOf(which, client), change);
  if (json) printLine(terminal, JSON.stringify(device));
  else printLine(terminal, `${coloursFor(terminal).green('✓')} ${shown(device['name'])} (${shown(device['id'])})`);
  return exitCodes.done;
}

/** Drains, resumes or removes a device, or has it load or unload its model. */
export async function actOnDevice(
  which: string,
  action: keyof typeof done,
  { terminal, client, json }: DevicesContext,
): Promise<number> {
  const path = await pathOf(which, client);
  if (action === 'remove') await client.send('DELETE', path);
  else await client.send('POST', `${path}/${action}`);
  if (!json) printLine(terminal, `${coloursFor(terminal).green('✓')} ${plainText(which)} is ${done[action]}.`);
  return exitCodes.done;
}

const done = {
  drain: 'given nothing new until lfo devices resume',
  resume: 'in use again',
  load: 'reading its model into memory',
  unload: 'giving the memory of its model back; lfo devices load brings it back',
  remove: 'removed; its key is no longer valid',
} as const;

/** Flags of `devices set`. */
export interface SetOptions {
  readonly dial?: string;
  readonly wakeMac?: string;
  readonly wakeBroadcast?: string;
}

/** What `devices set` is to change. */
export function settingsOf({ dial, wakeMac: mac, wakeBroadcast: broadcast }: SetOptions): JsonObject {
  if (dial === undefined && mac === undefined && broadcast === undefined)
    throw new CliError('Nothing to set: give --dial host:port, --wake-mac or --wake-broadcast.', exitCodes.usage);
  const wake =
    mac === 'off'
      ? null
      : { ...(mac === undefined || mac === 'auto' ? {} : { mac }), ...(broadcast === undefined ? {} : { broadcast }) };
  return {
    ...(dial === undefined ? {} : { dial: dialAddress(dial) }),
    ...(mac === undefined && broadcast === undefined ? {} : { wake }),
  };
}

/** `host:port` of a device. */
function dialAddress(text: string): JsonObject {
  const [, host = '', port = ''] = /^(\[[^\]]+\]|[^\s:]+):(\d{1,5})$/.exec(text) ?? [];
  if (host !== '') return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
  throw new CliError(`--dial: ${text} is no host:port.`, exitCodes.usage);
}

/** By name, id or a unique beginning of either. */
async function pathOf(which: string, client: RouterClient): Promise<string> {
  const devices = await all(client);
  const names = (device: JsonObject): readonly string[] => [shown(device['name']), shown(device['id'])];
  const exact = devices.filter((device) => names(device).includes(which));
  const found =
    exact.length > 0 ? exact : devices.filter((device) => names(device).some((name) => name.startsWith(which)));
  const [only, second] = found;
  if (only === undefined) throw new CliError(`No device is called "${plainText(which)}": see lfo devices list.`);
  if (second !== undefined) {
    throw new CliError(`"${plainText(which)}" may be ${found.map((device) => shown(device['name'])).join(' or ')}.`);
  }
  return `/admin/devices/${shown(only['id'])}`;
}

async function all(client: RouterClient): Promise<readonly JsonObject[]> {
  const { devices } = await client.send('GET', '/admin/devices');
  return Array.isArray(devices) ? devices.filter(isJsonObject) : [];
}

function modelsOf(device: JsonObject): readonly string[] {
  const models = device['models'];
  return Array.isArray(models) ? models.flatMap((model) => (isJsonObject(model) ? shown(model['id']) : [])) : [];
}

function textAt(body: JsonObject, key: string): string {
  const value = body[key];
  return typeof value === 'string' ? value : '';
}

/** What came from a device, as a terminal may show it. */
function shown(value: JsonValue | undefined): string {
  return typeof value === 'string' ? plainText(value).replace(/[\n\t]/g, ' ') : '-';
}

function milliseconds(text: string): number {
  const [, count = '', unit = ''] = /^(\d+)(s|m)$/.exec(text) ?? [];
  const ms = Number(count) * (unit === 'm' ? 60_000 : 1_000);
  if (ms >= 1_000 && ms <= 600_000) return ms;
  throw new CliError('--expires: give 1s to 10m, such as 5m.', exitCodes.usage);
}

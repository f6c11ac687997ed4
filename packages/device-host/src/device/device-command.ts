import { randomBytes } from 'node:crypto';
import { hostname, platform, release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { DeviceHost, Redialling } from '@lfo/device-core';
import { fingerprint, pairingKey, readPairingCode, readPairingUri, type HandshakeTarget } from '@lfo/protocol';
import { Command, Option } from 'commander';
import { engineOf, opener, type ChildOptions } from '../child-main.ts';
import { systemClock } from '../clock.ts';
import { dial } from './dial.ts';
import { DeviceFolder, type KnownRouter, primitives } from './device-folder.ts';

const defaultPort = 4870;
/** Running answers have this long after SIGTERM. */
const drainMs = 30_000;
const lookMs = 50;

/** What the command takes from the process it runs in. */
export interface DeviceCommandHost {
  readonly modelsDir: string;
  readonly deviceDir: string;
  readonly offline: boolean;
  readonly baseUrl?: string;
  /** Aborts when the process is asked to end. */
  readonly signal: () => AbortSignal;
  readonly print: (line: string) => void;
}

interface Flags {
  readonly router?: string;
  readonly pair?: string;
  readonly engine: 'llama' | 'scripted';
  readonly model: string;
  readonly name: string;
  readonly slots: string;
  readonly context: string;
  readonly dir: string;
  readonly json?: true;
}

/** `device`: serves a model of this machine to a router elsewhere, over an encrypted link. */
export function deviceCommand(host: DeviceCommandHost): Command {
  return new Command('device')
    .description('serve a model of this machine to a router on another')
    .option('--router <host[:port]>', 'address of the router; the link that pairs names it too')
    .option('--pair <link|code>', 'pair first, with what "lfo devices pair" shows there')
    .addOption(new Option('--engine <engine>', 'what answers').choices(['llama', 'scripted']).default('llama'))
    .option('--model <model>', 'a name of "lfo models list", or a path', 'qwen2.5-coder-0.5b')
    .option('--name <name>', 'how it is called there at first', hostname())
    .option('--slots <n>', 'answers at once', '1')
    .option('--context <tokens>', 'tokens of context', '8192')
    .option('--dir <folder>', 'where its key and its router are kept', host.deviceDir)
    .option('--json', 'one line of JSON an event')
    .addHelpText('after', "\nExample:\n  lfo device --pair 'lfo://pair?v=1&r=router&…'")
    .action(async (flags: Flags) => {
      process.exitCode = await runDevice(flags, host);
    });
}

/** The exit code: 0 ended as asked, 1 failed, 2 wrong usage, 3 refused or revoked. */
async function runDevice(flags: Flags, host: DeviceCommandHost): Promise<number> {
  const say = sayer(flags.json === true, host.print);
  const folder = new DeviceFolder(flags.dir);
  const first = flags.pair === undefined ? undefined : pairingOf(flags.pair, flags.router);
  if (typeof first === 'string') return usage(first);
  if (first === undefined && folder.router === undefined)
    return usage(
      'This device has no router yet: run "lfo devices pair" there, and this with --pair and what it shows.',
    );
  const signal = host.signal();
  const device = await openDevice(flags, host);
  device.load();
  const shown = fingerprint(primitives, folder.keys.public);
  say('fingerprint', `Fingerprint of this device: ${shown}`, { fingerprint: shown });
  const ended = serveUntil({ folder, first, device, say, signal });
  const code = await ended;
  await drained(device);
  await device.close();
  say('closed', 'Ended.', {});
  return code;
}

interface Serving {
  readonly folder: DeviceFolder;
  readonly first: Pairing | undefined;
  readonly device: DeviceHost;
  readonly say: Say;
  readonly signal: AbortSignal;
}

/** Pairs if it has to, then keeps a link to the router until it is told to end or the router ends it for good. */
async function serveUntil({ folder, first, device, say, signal }: Serving): Promise<number> {
  const redialling = new Redialling(Math.random);
  let pairing = first;
  while (!signal.aborted) {
    const at = pairing ?? folder.router;
    if (at === undefined) return 3;
    const startedMs = systemClock.nowMs();
    let isConnected = false;
    const dialled = dial({
      host: at.host,
      port: at.port,
      keys: folder.keys,
      target: targetOf(at),
      device,
      keepKey: (key) => folder.keep({ key, host: at.host, port: at.port }),
      onConnected() {
        isConnected = true;
        if (pairing !== undefined) say('paired', 'Paired.', {});
        pairing = undefined;
        say('connected', `Serving ${at.host}:${at.port}.`, { host: at.host, port: at.port });
      },
      signal,
    });
    const code = await Promise.race([dialled, aborted(signal)]);
    if (code === undefined) return 0;
    // A link names every address of the router; not each is reached from here.
    if (pairing !== undefined && code === 'unreachable' && pairing.others.length > 0) {
      const [host = '', ...others] = pairing.others;
      pairing = { ...pairing, host, others };
      continue;
    }
    if (code === 'revoked') folder.forget();
    const next = redialling.after(code, isConnected ? systemClock.nowMs() - startedMs : 0);
    say('lost', sentenceOf(code, at), { code });
    if (next.type === 'never') return 3;
    if (pairing !== undefined) return 3;
    await delay(next.afterMs, undefined, { signal }).catch(() => undefined);
  }
  return 0;
}

/** A router to be paired with. */
interface Pairing {
  readonly host: string;
  /** Tried after it. */
  readonly others: readonly string[];
  readonly port: number;
  readonly psk: Uint8Array;
  readonly expectedKey?: Uint8Array;
}

/** A pairing, or what is wrong with how it was asked for. */
function pairingOf(text: string, router: string | undefined): Pairing | string {
  const address = router === undefined ? undefined : addressOf(router);
  if (router !== undefined && address === undefined) return `--router ${router}: expected host or host:port.`;
  const uri = readPairingUri(text);
  if (uri !== undefined) {
    if (uri.role !== 'router') return 'This link was shown by a device: give --pair the one that the router shows.';
    const [host, ...others] = address === undefined ? uri.hosts : [address.host];
    if (host === undefined) return 'The link names no address: add --router host:port.';
    const port = address?.port ?? uri.port;
    return { host, others, port, psk: pairingKey(primitives, uri.secret), expectedKey: uri.key };
  }
  const secret = readPairingCode(text);
  if (secret === undefined) return '--pair: neither a link (lfo://pair?…) nor a code of 26 characters.';
  if (address === undefined) return 'A code alone does not say where the router is: add --router host:port.';
  return { host: address.host, others: [], port: address.port ?? defaultPort, psk: pairingKey(primitives, secret) };
}

function addressOf(text: string): { readonly host: string; readonly port?: number } | undefined {
  if (!URL.canParse(`tcp://${text}`)) return undefined;
  const { hostname: host, port } = new URL(`tcp://${text}`);
  if (host === '') return undefined;
  return { host: host.replace(/^\[|\]$/g, ''), ...(port === '' ? {} : { port: Number(port) }) };
}

function targetOf(at: Pairing | KnownRouter): HandshakeTarget {
  if ('key' in at) return { purpose: 'known', peerKey: at.key };
  const { psk, expectedKey } = at;
  return { purpose: 'pair', psk, ...(expectedKey === undefined ? {} : { expectedKey }) };
}

async function openDevice(flags: Flags, host: DeviceCommandHost): Promise<DeviceHost> {
  const options: ChildOptions = {
    model: flags.model,
    modelsDir: host.modelsDir,
    contextTokens: Number(flags.context),
    slots: Number(flags.slots),
    gpu: 'auto',
    offline: host.offline,
    ...(host.baseUrl === undefined ? {} : { modelBaseUrl: host.baseUrl }),
    engine: flags.engine,
    scripted: {},
  };
  const engine = await engineOf(options);
  return new DeviceHost({
    identity: {
      boot: randomBytes(16).toString('base64url'),
      name: flags.name,
      app: 'lfo-device-host/0.1.0',
      os: `${platform()} ${release()}`,
    },
    engine,
    openModel: opener(options, engine),
    clock: systemClock,
  });
}

/** Takes nothing new and lets what runs end, for a while. */
async function drained(device: DeviceHost): Promise<void> {
  device.unload();
  const untilMs = systemClock.nowMs() + drainMs;
  while (device.queue.active > 0 && systemClock.nowMs() < untilMs) await delay(lookMs);
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

function sentenceOf(code: string, { host, port }: { readonly host: string; readonly port: number }): string {
  switch (code) {
    case 'unreachable':
      return `${host}:${port} cannot be reached: is TCP ${port} open there? Tried again.`;
    case 'pairing_refused':
      return 'The router refused: the code is wrong, used or expired. Run "lfo devices pair" there again.';
    case 'revoked':
      return 'The router has removed this device. Pair it again to go on.';
    case 'wrong_key':
      return 'The router at this address is not the one that showed the link.';
    default:
      return `The link has ended (${code}).`;
  }
}

type Say = (event: string, sentence: string, fields: Readonly<Record<string, string | number>>) => void;

function sayer(isJson: boolean, print: (line: string) => void): Say {
  return (event, sentence, fields) => print(isJson ? JSON.stringify({ event, ...fields }) : sentence);
}

function usage(sentence: string): number {
  process.stderr.write(`${sentence}\n`);
  return 2;
}

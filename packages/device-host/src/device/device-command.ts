import { randomBytes } from 'node:crypto';
import { hostname, platform, release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { DeviceHost, Gates, Redialling } from '@lfo/device-core';
import {
  fingerprint,
  pairingKey,
  readPairingCode,
  readPairingUri,
  routerId,
  type HandshakeTarget,
} from '@lfo/protocol';
import { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { dial } from './dial.ts';
import { findRouters, type FoundRouter, hardwareAddress } from './discovery.ts';
import { DeviceFolder, type KnownRouter, primitives } from './device-folder.ts';
import { FurtherRouters } from './further-routers.ts';
import { chooseEngine, serverAddress, type EngineWanted } from './engine-choice.ts';
import { installHint, startedAs } from './install-hint.ts';
import { RouterListener } from './listen.ts';
import { type Say, sayer } from './say.ts';
import { fileReadings, linuxReadings, PolledVitals } from './vitals.ts';

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
  readonly listen?: string;
  readonly engine: string;
  readonly model?: string;
  readonly name: string;
  readonly slots: string;
  readonly context: string;
  readonly tokensPerSecond: string;
  readonly dir: string;
  readonly vitalsFile?: string;
  readonly installHint?: true;
  readonly json?: true;
}

/** `device`: serves a model of this machine to a router elsewhere, over an encrypted link. */
export function deviceCommand(host: DeviceCommandHost): Command {
  return new Command('device')
    .description('serve a model of this machine to a router on another')
    .option(
      '--router <host[:port]>',
      'address of the router; a link names it, with a code alone it is looked for by mDNS',
    )
    .option('--pair <link|code>', 'pair first, with what "lfo devices pair" shows there')
    .option('--listen <host:port>', 'wait to be dialled by the router instead, and show it a link')
    .option('--engine <engine>', 'what answers: llama, scripted, or the address of a server here', 'llama')
    .option('--model <model>', 'a name of "lfo models list", a path, or a model of that server')
    .option('--name <name>', 'how it is called there at first', hostname())
    .option('--slots <n>', 'answers at once', '1')
    .option('--context <tokens>', 'tokens of context; of a server what it was started with', '8192')
    .option('--tokens-per-second <n>', 'pace of the scripted engine', '100')
    .option('--dir <folder>', 'where its key and its router are kept', host.deviceDir)
    .option('--vitals-file <file>', 'battery, heat and memory from a file, instead of /sys')
    .option('--install-hint', 'print what starts this command with the machine, and end')
    .option('--json', 'one line of JSON an event')
    .addHelpText(
      'after',
      "\nExamples:\n  lfo device --pair 'lfo://pair?v=1&r=router&…'\n  lfo device --engine http://127.0.0.1:11434/v1 --model llama3.2",
    )
    .action(async (flags: Flags) => {
      if (flags.installHint === true) process.stdout.write(installHint(startedAs(process)));
      else process.exitCode = await runDevice(flags, host);
    });
}

/** The exit code: 0 ended as asked, 1 failed, 2 wrong usage, 3 refused or revoked. */
async function runDevice(flags: Flags, host: DeviceCommandHost): Promise<number> {
  const say = sayer(flags.json === true, host.print);
  const wanted = engineWanted(flags, host);
  if (typeof wanted === 'string') return usage(wanted);
  const folder = new DeviceFolder(flags.dir);
  const wanting = flags.pair === undefined ? undefined : pairingOf(flags.pair, flags.router);
  if (typeof wanting === 'string') return usage(wanting);
  const listen = flags.listen ?? (wanting === undefined ? folder.router?.listen : undefined);
  const listenAt = listen === undefined ? undefined : addressOf(listen);
  if (listen !== undefined && listenAt?.port === undefined) return usage(`--listen ${listen}: expected host:port.`);
  const known = folder.router;
  const signal = host.signal();
  const pairing = wanting === undefined || wanting.host !== '' ? wanting : await pairingNearby(wanting, signal);
  if (typeof pairing === 'string') return failed(pairing);
  const moved = pairing === undefined && flags.router !== undefined ? addressOf(flags.router) : undefined;
  if (flags.router !== undefined && pairing === undefined && moved === undefined)
    return usage(`--router ${flags.router}: expected host or host:port.`);
  const first = pairing ?? (known === undefined ? undefined : routerAt({ ...known, ...moved }));
  if (first === undefined && listenAt === undefined)
    return usage(
      'This device has no router yet: run "lfo devices pair" there, and this with --pair and what it shows.',
    );
  const gates = new Gates(systemClock);
  const vitals = vitalsOf(flags.vitalsFile, (isPaused) => gates.setPaused(isPaused));
  const { engine, openModel } = await chooseEngine(wanted);
  const mac = hardwareAddress();
  const device = new DeviceHost({
    identity: {
      boot: randomBytes(16).toString('base64url'),
      name: flags.name,
      app: 'lfo-device-host/0.1.0',
      os: `${platform()} ${release()}`,
      ...(mac === undefined ? {} : { wake: { mac } }),
    },
    engine,
    openModel,
    clock: systemClock,
    gates,
    ...(vitals === undefined ? {} : { vitals }),
  });
  device.load();
  const shown = fingerprint(primitives, folder.keys.public);
  say('fingerprint', `Fingerprint of this device: ${shown}`, { fingerprint: shown });
  const further = new FurtherRouters({ folder, device, say, signal });
  const serving: Serving = { folder, device, say, signal, further };
  further.start();
  const code =
    first === undefined
      ? await listenUntil({ host: listenAt?.host ?? '', port: listenAt?.port ?? 0, name: flags.name }, serving)
      : await dialUntil(first, serving);
  device.drain();
  await drained(device);
  await device.close();
  vitals?.stop();
  say('closed', 'Ended.', {});
  return code;
}

interface Serving {
  readonly folder: DeviceFolder;
  readonly device: DeviceHost;
  readonly say: Say;
  readonly signal: AbortSignal;
  readonly further: FurtherRouters;
}

/** Pairs if it has to, then keeps a link to the router until it is told to end or the router ends it for good. */
async function dialUntil(first: RouterAt, { folder, device, say, signal, further }: Serving): Promise<number> {
  const redialling = new Redialling(Math.random);
  let at = first;
  while (!signal.aborted) {
    const startedMs = systemClock.nowMs();
    const { host, port } = at;
    let isConnected = false;
    const dialled = dial({
      host,
      port,
      keys: folder.keys,
      target: at.target,
      device,
      keepKey: (key) => folder.keep({ key, host, port }),
      onConnected(key) {
        isConnected = true;
        if (at.target.purpose === 'pair') say('paired', 'Paired.', {});
        at = { host, port, others: [], target: { purpose: 'known', peerKey: key } };
        const kept = folder.router;
        if (kept?.host !== host || kept.port !== port) folder.keep({ key, host, port });
        say('connected', `Serving ${host}:${port}.`, { host, port });
      },
      onRouters: (routers) => further.told(routers),
      signal,
    });
    const code = await Promise.race([dialled, aborted(signal)]);
    if (code === undefined) return 0;
    // A link names every address of the router; not each is reached from here.
    const [next, ...others] = at.others;
    if (code === 'unreachable' && next !== undefined) {
      at = { host: next, others, port, target: at.target };
      continue;
    }
    if (code === 'revoked') {
      folder.forget();
      further.forget();
    }
    const moved = mayHaveMoved.has(code) ? await elsewhere(at, signal) : undefined;
    if (moved !== undefined) {
      at = moved;
      continue;
    }
    const again = redialling.after(code, isConnected ? systemClock.nowMs() - startedMs : 0);
    say('lost', sentenceOf(code, at), { code });
    if (again.type === 'never' || at.target.purpose === 'pair') return 3;
    await delay(again.afterMs, undefined, { signal }).catch(() => undefined);
  }
  return 0;
}

/** How a dial ends where another machine, or none, has the address now. */
const mayHaveMoved: ReadonlySet<string> = new Set(['unreachable', 'handshake_failed']);

/** Where a known router is announced now, if that is another address; who it is its key proves. */
async function elsewhere({ host, port, target }: RouterAt, signal: AbortSignal): Promise<RouterAt | undefined> {
  if (target.purpose !== 'known') return undefined;
  const id = routerId(primitives, target.peerKey);
  const found = await findRouters(signal, (router) => router.id === id);
  const router = found.find((each) => each.id === id);
  if (router === undefined || (router.port === port && router.hosts.includes(host))) return undefined;
  return foundAt(router, target);
}

/** The one router nearby that has a code open; what is wrong where there is not one. */
async function pairingNearby(wanting: RouterAt, signal: AbortSignal): Promise<RouterAt | string> {
  const found = (await findRouters(signal, () => false)).filter(({ isPairing }) => isPairing);
  const [router, second] = found;
  if (router === undefined)
    return 'No router that has a code open was found on this network: add --router host:port, as "lfo devices pair" shows it there.';
  if (second !== undefined)
    return `Several routers on this network have a code open: add --router with one of ${found.map(shownRouter).join(', ')}.`;
  return foundAt(router, wanting.target);
}

function foundAt({ hosts: [host, ...others], port }: FoundRouter, target: HandshakeTarget): RouterAt {
  return { host, others, port, target };
}

function shownRouter({ name, hosts: [host], port }: FoundRouter): string {
  return `${bracketed(host)}:${port} (${name})`;
}

/** Waits to be dialled, invites a router while there is none, and ends when it is told to or its router removes it. */
async function listenUntil(
  at: { readonly host: string; readonly port: number; readonly name: string },
  { folder, device, say, signal }: Serving,
): Promise<number> {
  const { promise: revoked, resolve: onRevoked } = Promise.withResolvers<'revoked'>();
  const listener = new RouterListener({
    ...at,
    keys: folder.keys,
    device,
    routerKey: () => folder.router?.key,
    keepKey: (key) => folder.keep({ key, listen: `${bracketed(at.host)}:${listener.port}` }),
    onInvited(uri, code) {
      say('listening', `Waiting for a router. There: lfo devices pair '${uri}'\nCode: ${code}`, { uri, code });
    },
    onConnected(wasPaired) {
      if (wasPaired) say('paired', 'Paired.', {});
      say('connected', 'Serving a router that has dialled.', {});
    },
    onLost(code) {
      if (signal.aborted) return;
      say('lost', code === 'revoked' ? revokedSentence : `The link has ended (${code}). The router dials again.`, {
        code,
      });
      if (code !== 'revoked') return;
      folder.forget();
      onRevoked('revoked');
    },
  });
  try {
    await listener.listen();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    process.stderr.write(`${at.host}:${at.port} cannot be listened on (${code}): give --listen another address.\n`);
    return 1;
  }
  if (folder.router !== undefined) {
    say('listening', `Waiting for its router on port ${listener.port}.`, { port: listener.port });
  }
  const end = await Promise.race([revoked, aborted(signal)]);
  listener.close();
  return end === undefined ? 0 : 3;
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** A router to be dialled. */
interface RouterAt {
  readonly host: string;
  /** Tried after it. */
  readonly others: readonly string[];
  readonly port: number;
  readonly target: HandshakeTarget;
}

function routerAt({ key, host, port = defaultPort }: KnownRouter): RouterAt | undefined {
  if (host === undefined) return undefined;
  return { host, others: [], port, target: { purpose: 'known', peerKey: key } };
}

/** The router to pair with, or what is wrong with how it was asked for. */
function pairingOf(text: string, router: string | undefined): RouterAt | string {
  const address = router === undefined ? undefined : addressOf(router);
  if (router !== undefined && address === undefined) return `--router ${router}: expected host or host:port.`;
  const uri = readPairingUri(text);
  if (uri !== undefined) {
    if (uri.role !== 'router') return 'This link was shown by a device: give --pair the one that the router shows.';
    const [host, ...others] = address === undefined ? uri.hosts : [address.host];
    if (host === undefined) return 'The link names no address: add --router host:port.';
    const target = { purpose: 'pair', psk: pairingKey(primitives, uri.secret), expectedKey: uri.key } as const;
    return { host, others, port: address?.port ?? uri.port, target };
  }
  const secret = readPairingCode(text);
  if (secret === undefined) return '--pair: neither a link (lfo://pair?…) nor a code of 26 characters.';
  const target = { purpose: 'pair', psk: pairingKey(primitives, secret) } as const;
  // Looked for nearby.
  if (address === undefined) return { host: '', others: [], port: defaultPort, target };
  return { host: address.host, others: [], port: address.port ?? defaultPort, target };
}

function addressOf(text: string): { readonly host: string; readonly port?: number } | undefined {
  if (!URL.canParse(`tcp://${text}`)) return undefined;
  const { hostname: host, port } = new URL(`tcp://${text}`);
  if (host === '') return undefined;
  return { host: host.replace(/^\[|\]$/g, ''), ...(port === '' ? {} : { port: Number(port) }) };
}

/** What the flags say of the engine, or what is wrong with them. */
function engineWanted(
  { engine, model, slots, context, tokensPerSecond }: Flags,
  { modelsDir, offline, baseUrl }: DeviceCommandHost,
): EngineWanted | string {
  if (engine !== 'llama' && engine !== 'scripted' && serverAddress(engine) === undefined) {
    return `--engine ${engine}: llama, scripted, or an address such as http://127.0.0.1:11434/v1.`;
  }
  const count = Number(slots);
  if (!Number.isInteger(count) || count < 1 || count > 64) return `--slots ${slots}: a whole number from 1 to 64.`;
  const contextTokens = Number(context);
  if (!Number.isInteger(contextTokens) || contextTokens < 256) return `--context ${context}: a whole number from 256.`;
  const pace = Number(tokensPerSecond);
  if (!(pace > 0)) return `--tokens-per-second ${tokensPerSecond}: a number above 0.`;
  return {
    engine,
    slots: count,
    contextTokens,
    tokensPerSecond: pace,
    modelsDir,
    offline,
    ...(model === undefined ? {} : { model }),
    ...(baseUrl === undefined ? {} : { modelBaseUrl: baseUrl }),
  };
}

/** What the machine says of itself; on macOS and Windows nothing, and no gate closes there. */
function vitalsOf(file: string | undefined, onPaused: (isPaused: boolean) => void): PolledVitals | undefined {
  if (file !== undefined) return new PolledVitals(() => fileReadings(file), systemClock, onPaused);
  return platform() === 'linux' ? new PolledVitals(() => linuxReadings(), systemClock) : undefined;
}

/** Lets what runs end, for a while. */
async function drained(device: DeviceHost): Promise<void> {
  const untilMs = systemClock.nowMs() + drainMs;
  while (device.queue.active > 0 && systemClock.nowMs() < untilMs) await delay(lookMs);
  // The last words of an answer are on their way.
  await delay(lookMs);
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

const revokedSentence = 'The router has removed this device. Pair it again to go on.';

function sentenceOf(code: string, { host, port }: RouterAt): string {
  switch (code) {
    case 'unreachable':
      return `${host}:${port} cannot be reached: is TCP ${port} open there? Tried again.`;
    case 'pairing_refused':
      return 'The router refused: the code is wrong, used or expired. Run "lfo devices pair" there again.';
    case 'revoked':
      return revokedSentence;
    case 'wrong_key':
      return 'The router at this address is not the one that showed the link.';
    default:
      return `The link has ended (${code}).`;
  }
}

function failed(sentence: string): number {
  process.stderr.write(`${sentence}\n`);
  return 1;
}

function usage(sentence: string): number {
  process.stderr.write(`${sentence}\n`);
  return 2;
}

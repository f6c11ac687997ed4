import { createHmac } from 'node:crypto';
import { shippedModels } from '@lfo/device-core';
import { deviceId, keyText, maxRouters, routerId, routerLink } from '@lfo/protocol';
import type { Channel, KeyPair } from '@lfo/protocol';
import type { FleetConfig } from '../config/config.ts';
import type { Backend, BackendView, FleetView } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { Wakes } from '../backends/wake.ts';
import type {
  DeviceRecord,
  DeviceRegistry,
  DeviceWake,
  DialAddress,
  FleetFigures,
  FleetPeers,
  FleetRouter,
  PairingRegistry,
} from '../core/devices.ts';
import { codeOf } from '../core/error-code.ts';
import { LfoError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { deviceNamePattern, firstName } from './device-name.ts';
import type { DeviceView } from '../core/device-view.ts';
import { deviceView, figuresOf } from './device-view.ts';
import { Diallers } from './diallers.ts';
import { afterHello, type Hello } from './first-message.ts';
import { FleetPort } from './fleet-port.ts';
import { Invitations } from './invitations.ts';
import { FleetListener, type SecuredLink } from './listener.ts';
import type { AnswerLine } from './original-line.ts';
import { PairedDevice } from './paired-device.ts';
import { PrefixBook } from '../backends/engines/device/prefix-book.ts';
import type { GreetingKind } from '../backends/engines/device/session-keeper.ts';
import { RefusedLinks } from './refused-links.ts';
import { primitives } from './router-key.ts';
import { Registrar } from './registrar.ts';

/** Where devices become members of the local tier. */
export interface FleetMembers {
  /**
   * Takes one in, or changes how many requests it is given at once. One that `isFresh` has to prove itself first.
   */
  add(backend: Backend, concurrency: number, isFresh?: boolean): void;
  /** As the pool sees them. */
  view(): FleetView;
  /** Calls whenever one is left alone for its failures or its slowness. */
  onEjected(run: (id: string, why: string) => void): void;
  remove(id: string): void;
  setDraining(id: string, isDraining: boolean): boolean;
}

export interface DevicesOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: DeviceRegistry;
  /** Read or made when they are first needed. */
  readonly keys: () => KeyPair;
  readonly config: FleetConfig;
  readonly members: FleetMembers;
  /** 0..1, uniform. */
  readonly random: () => number;
  readonly wakes: Wakes;
  /** Of LFO. */
  readonly version: string;
  /** Absent: no other router has this registry. */
  readonly peers?: FleetPeers;
  /** Where other routers read how pairings stand; absent: there are none. */
  readonly pairingRegistry?: PairingRegistry;
}

/** The devices of this router: who is paired and who is connected. */
export class Devices {
  readonly invitations: Invitations;
  readonly #options: DevicesOptions;
  readonly #devices = new Map<string, PairedDevice>();
  readonly #registrar: Registrar;
  readonly #port: FleetPort;
  readonly #refused: RefusedLinks;
  readonly #diallers: Diallers;
  readonly #prefixes = new PrefixBook();
  #isClosed = false;
  #answerOriginal: AnswerLine | undefined;

  constructor(options: DevicesOptions) {
    this.#options = options;
    const { clock, log, random, members } = options;
    members.onEjected((id, why) => this.#devices.get(id)?.ejected(why));
    this.#registrar = new Registrar(options.registry, clock, log);
    this.#refused = new RefusedLinks(clock, (reasons, addresses) =>
      log.warn({ reasons, addresses }, 'Links to the fleet port came to nothing.'),
    );
    this.invitations = new Invitations({
      clock,
      log,
      keys: options.keys,
      config: options.config,
      port: () => this.#port,
      ...(options.pairingRegistry === undefined ? {} : { registry: options.pairingRegistry }),
      keep: async (key, address) => await this.#registrar.saved(this.#register(key, address)),
      onDialled: (channel, key, address) => {
        this.#diallers.set(deviceId(primitives, key), key, address, true);
        this.#greet(channel, key, address.host, () => {});
      },
    });
    const { pairings } = this.invitations;
    const listener = new FleetListener({
      clock,
      primitives,
      get keys() {
        return options.keys();
      },
      pairings: () => pairings.keys(),
      isKnown: (key) => this.#known(key) !== undefined,
      onSecured: ({ channel, secured, address, proven }) => {
        const { peerKey, pairing } = secured;
        if (pairing !== undefined) {
          if (!pairings.use(pairing, deviceId(primitives, peerKey))) return channel.close('pairing_refused');
          this.#register(peerKey);
        }
        this.#greet(channel, peerKey, address, proven);
      },
      ...(options.config.plaintext ? { onPlain: (link) => this.#greetPlain(link) } : {}),
      onRefused: (reason, address) => this.#refused.add(reason, address),
      answerOriginal: () => this.#answerOriginal,
      onGuess: () => pairings.guessed(),
    });
    this.#port = new FleetPort({ ...options, listener });
    this.#diallers = new Diallers({
      clock,
      random,
      get keys() {
        return options.keys();
      },
      onSecured: (channel, key, address) => this.#greet(channel, key, address.host, () => {}),
    });
  }

  /** Reads who is paired, and listens and dials for them; waits for a database that is away. Never rejects. */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      const code = codeOf(error) ?? 'internal';
      this.#options.log.error({ code }, 'Devices cannot dial this router: see fleet.listen and lfo doctor.');
    }
  }

  async #start(): Promise<void> {
    const records = await this.#registrar.load();
    if (this.#isClosed) return;
    for (const record of records) if (record.publicKey !== undefined) this.#admit(record);
    this.#options.peers?.onDevices(() => void this.#readAgain());
    this.#options.peers?.onOthers(() => this.#tellOthers());
    await this.#listenIfWanted();
    for (const address of this.#options.config.dial) this.#tellHowToPair(address);
  }

  async #listenIfWanted(): Promise<void> {
    const { listen } = this.#options.config;
    const isWanted = this.#devices.size > 0 || this.#answerOriginal !== undefined || this.#options.config.plaintext;
    if (listen !== 'off' && (listen !== 'auto' || isWanted)) await this.#port.open();
  }

  /** Another router, or this one, has changed the registry. A database that is away is read when it says so again. */
  async #readAgain(): Promise<void> {
    if (this.#isClosed) return;
    const records = await this.#registrar.read().catch(() => []);
    if (this.#isClosed) return;
    for (const record of records) this.#follow(record);
    await this.#listenIfWanted().catch(() => undefined);
  }

  #follow(stored: DeviceRecord): void {
    const device = this.#devices.get(stored.id);
    if (stored.publicKey === undefined) {
      if (device !== undefined) this.#leave(device, 'revoked');
      return;
    }
    if (device === undefined) return this.#admit(stored);
    const { isDraining: wasDraining } = device;
    const { dial: before, lastSeenMs, lastAddress } = device.record;
    const seen = {
      ...(lastSeenMs === undefined ? {} : { lastSeenMs }),
      ...(lastAddress === undefined ? {} : { lastAddress }),
    };
    device.record = { ...stored, ...seen };
    const { dial: after } = stored;
    if (before?.host !== after?.host || before?.port !== after?.port)
      this.#diallers.set(device.id, keyOf(device.record), after, device.link !== undefined);
    if (device.isDraining !== wasDraining) this.#tellDraining(device);
  }

  /** Where devices can dial this router; undefined while they cannot. */
  get address(): FleetRouter | undefined {
    return this.#port.address;
  }

  #tellOthers(): void {
    const others = this.#others;
    for (const device of this.#devices.values()) device.backend.sayRouters(others);
  }

  get #others(): readonly FleetRouter[] {
    return this.#options.peers?.others().slice(0, maxRouters - 1) ?? [];
  }

  /** Answers requests of the original's wire that come from this machine, from the next `start` on. */
  serveOriginal(answer: AnswerLine): void {
    this.#answerOriginal = answer;
  }

  list(): readonly DeviceView[] {
    const pooled = this.#pooled();
    return Array.from(this.#devices.values(), (device) =>
      deviceView(device, this.#options.clock, pooled.get(device.id)),
    );
  }

  /** Counters and gauges of each device, and of links and pairings as such. */
  figures(): FleetFigures {
    const pooled = this.#pooled();
    return {
      devices: Array.from(this.#devices.values(), (device) => figuresOf(device, pooled.get(device.id))),
      refused: this.#refused.totals,
      pairings: this.invitations.results,
      wakes: this.#options.wakes.results,
    };
  }

  /** @throws LfoError unknown_device */
  view(id: string): DeviceView {
    return deviceView(this.#find(id), this.#options.clock, this.#pooled().get(id));
  }

  /** Port it listens on; absent while it does not. */
  get port(): number | undefined {
    return this.#port.number;
  }

  /** Changes name, dial address and how it is woken; its own hardware address is used where none is given. @throws LfoError */
  change(
    id: string,
    {
      name,
      dial: address,
      wake,
    }: { readonly name?: string; readonly dial?: DialAddress | null; readonly wake?: Partial<DeviceWake> | null },
  ): DeviceView {
    const device = this.#find(id);
    if (name !== undefined && name !== device.record.name) {
      if (!deviceNamePattern.test(name)) {
        throw new LfoError(`"${name.slice(0, 40)}" is no name for a device: use up to 32 of a-z, 0-9 and hyphens.`, {
          code: 'invalid_request',
          status: 400,
          param: 'name',
        });
      }
      if (this.#isTaken(name)) {
        throw new LfoError(`Another device is called ${name}.`, { code: 'name_taken', status: 409, param: 'name' });
      }
      device.record = { ...device.record, name };
    }
    if (address !== undefined) {
      const { dial: _dial, ...rest } = device.record;
      device.record = address === null ? rest : { ...rest, dial: address };
      this.#diallers.set(device.id, keyOf(device.record), address ?? undefined, device.link !== undefined);
    }
    if (wake !== undefined) {
      const { wake: known, ...rest } = device.record;
      device.record = wake === null ? rest : { ...rest, wake: this.#wakeOf(device, { ...known, ...wake }) };
    }
    this.#save(device.record);
    return deviceView(device, this.#options.clock, this.#pooled().get(id));
  }

  /** Gives it nothing new, or does so again. @throws LfoError unknown_device */
  setDraining(id: string, isDraining: boolean): void {
    const device = this.#find(id);
    const { isDraining: was = false, ...rest } = device.record;
    device.record = isDraining ? { ...rest, isDraining } : rest;
    if (isDraining !== was) this.#tellDraining(device);
    this.#save(device.record);
  }

  /**
   * Has its model brought into memory, or out of it to give the memory back.
   * @throws LfoError unknown_device, model_not_loadable; BackendError where the device is away or refuses
   */
  async setLoaded(id: string, isLoaded: boolean): Promise<void> {
    const { backend, record } = this.#find(id);
    const [offer] = backend.offers;
    if (backend.hello !== undefined && !backend.takesLoads) {
      throw new LfoError(`${record.name} keeps its model as it is: its app loads and unloads nothing when asked.`, {
        code: 'model_not_loadable',
        status: 409,
      });
    }
    await backend.setLoaded(offer?.id ?? '', isLoaded);
  }

  #tellDraining({ id, isDraining, backend }: PairedDevice): void {
    this.#options.members.setDraining(id, isDraining);
    backend.sayDrain(isDraining);
  }

  /** Revokes its key: its links end at once and it must pair again. @throws LfoError unknown_device */
  remove(id: string): void {
    const device = this.#find(id);
    this.#forget(device, 'revoked');
    this.#options.log.info({ device: id, name: device.record.name }, 'device revoked');
  }

  /** Takes nobody new and dials nobody; links that are up stay until their backends close. */
  stop(): void {
    this.#isClosed = true;
    this.#port.stop();
    this.#diallers.close();
    this.invitations.pairings.close();
    this.#refused.flush();
    this.#registrar.close();
  }

  #wakeOf({ hello }: PairedDevice, { mac = hello?.wake?.mac, ...more }: Partial<DeviceWake>): DeviceWake {
    if (mac !== undefined) return { ...more, mac };
    throw new LfoError('The device does not say its hardware address: give wake.mac.', {
      code: 'invalid_request',
      status: 400,
      param: 'wake.mac',
    });
  }

  #pooled(): ReadonlyMap<string, BackendView> {
    return new Map(this.#options.members.view().backends.map((view) => [view.id, view]));
  }

  #find(id: string): PairedDevice {
    const device = this.#devices.get(id);
    if (device !== undefined) return device;
    throw new LfoError('No device with this id is paired: see lfo devices list.', {
      code: 'unknown_device',
      status: 404,
    });
  }

  #known(key: Uint8Array): PairedDevice | undefined {
    const device = this.#devices.get(deviceId(primitives, key));
    return device?.record.publicKey === keyText(key) ? device : undefined;
  }

  #isTaken(name: string): boolean {
    return Array.from(this.#devices.values()).some(({ record }) => record.name === name);
  }

  /** A key that has just been proven by a pairing. */
  #register(key: Uint8Array, address?: DialAddress): DeviceRecord {
    const id = deviceId(primitives, key);
    const known = this.#devices.get(id)?.record ?? this.#registrar.removed(id);
    const name = known?.name;
    const record: DeviceRecord = {
      // Until it says hello.
      name: name === undefined || (this.#devices.has(id) ? false : this.#isTaken(name)) ? id : name,
      createdMs: this.#options.clock.wallMs(),
      ...known,
      id,
      publicKey: keyText(key),
      ...(address === undefined ? {} : { dial: address }),
    };
    const device = this.#devices.get(id);
    if (device === undefined) this.#admit(record);
    else device.record = record;
    this.#save(record);
    return record;
  }

  #admit(record: DeviceRecord): void {
    const { clock, log, members, config, keys, version } = this.#options;
    const router = { id: routerId(primitives, keys().public), name: this.#port.name, version };
    const plainModels = [...shippedModels, ...config.models];
    const device: PairedDevice = new PairedDevice({
      clock,
      record,
      backend: {
        heartbeatMs: config.heartbeatMs,
        graceMs: config.graceMs,
        policy: {
          ...(config.minBattery === undefined ? {} : { min_battery: config.minBattery }),
          ...(config.maxThermal === undefined ? {} : { max_thermal: config.maxThermal }),
        },
        names: { router, device: () => device.record.name, routers: () => this.#others },
        label: () => ({ name: device.record.name, plainModels }),
        sleeper: this.#options.wakes.sleeper(() => device.wake),
        prefixes: this.#prefixes,
        prefixKey: (clientKey) => prefixKeyOf(keys().secret, clientKey),
        lost: { state: 'down', detail: 'The device is not connected.' },
        onOffers: () => this.#givePlaces(device, false),
        onBye: (code) => {
          if (code !== 'unpaired') return;
          this.#forget(device, 'closing');
          log.info({ device: device.id, name: device.record.name }, 'device unpaired itself');
        },
      },
      onGreeted: (_device, how) => this.#greeted(device, how),
      onLost: (_device, code, livedMs) => {
        log.info({ device: device.id, name: device.record.name, end: code }, 'device lost');
        device.record = { ...device.record, lastSeenMs: clock.wallMs() };
        this.#seen(device.record);
        this.#diallers.lost(device.id, code, livedMs);
      },
    });
    this.#devices.set(record.id, device);
    members.add(device.backend, 1);
    if (device.isDraining) this.#tellDraining(device);
    this.#diallers.set(record.id, keyOf(record), record.dial, false);
  }

  #forget(device: PairedDevice, code: 'revoked' | 'closing'): void {
    const { publicKey: _key, dial: _dial, isDraining: _draining, ...record } = device.record;
    this.#save(record);
    this.#leave(device, code);
  }

  #leave(device: PairedDevice, code: 'revoked' | 'closing'): void {
    this.#devices.delete(device.id);
    this.#diallers.set(device.id, undefined, undefined, false);
    this.#options.members.remove(device.id);
    device.end(code);
  }

  /** A proven peer: nothing is touched before it has introduced itself. */
  #greet(channel: Channel, key: Uint8Array, address: string, proven: () => void): void {
    const { clock } = this.#options;
    const none = (code: string): void => {
      this.#refused.add(code, address);
      this.#diallers.lost(deviceId(primitives, key), code, 0);
    };
    afterHello(
      channel,
      clock,
      (taken, hello) => {
        proven();
        const device = this.#known(key);
        if (device === undefined) sayRevoked(taken, clock);
        else this.#connect(device, taken, hello, address);
      },
      none,
    );
  }

  /** For debugging, from this machine alone: the device is who it says it is, and nothing of it is kept. */
  #greetPlain({ channel, address, proven }: Omit<SecuredLink, 'secured'>): void {
    const { clock } = this.#options;
    afterHello(
      channel,
      clock,
      (taken, hello) => {
        proven();
        const said = firstName(hello.name, () => false);
        const id = `${plainPrefix}${said}`;
        const name = firstName(hello.name, (wanted) => this.#isTaken(wanted));
        if (!this.#devices.has(id)) this.#admit({ id, name, createdMs: clock.wallMs() });
        const device = this.#find(id);
        this.#connect(device, taken, hello, address);
      },
      (code) => this.#refused.add(code, address),
    );
  }

  #save(record: DeviceRecord): void {
    if (!isPlain(record)) this.#registrar.save(record);
  }

  #seen(record: DeviceRecord): void {
    if (!isPlain(record)) this.#registrar.seen(record);
  }

  #connect(device: PairedDevice, channel: Channel, hello: Hello, address: string): void {
    const { clock, log } = this.#options;
    const isNew = device.record.name === device.id;
    const name = isNew ? firstName(hello.name, (wanted) => this.#isTaken(wanted)) : device.record.name;
    device.record = { ...device.record, name, lastSeenMs: clock.wallMs(), lastAddress: address };
    if (isNew) this.#save(device.record);
    else this.#seen(device.record);
    if (isNew) log.info({ device: device.id, name }, 'device paired');
    device.take(channel, address);
  }

  #greeted(device: PairedDevice, how: GreetingKind | 'conflict'): void {
    const { log, members } = this.#options;
    const { name } = device.record;
    log.info({ device: device.id, name }, greetings[how]);
    if (how === 'conflict') return;
    this.#givePlaces(device, how === 'new' || how === 'replaced');
    if (device.isDraining) members.setDraining(device.id, true);
  }

  /** As many requests at once as the model with the most slots takes; one while none is loaded. */
  #givePlaces({ backend }: PairedDevice, isFresh: boolean): void {
    const slots = backend.offers.map((offer) => offer.slots);
    this.#options.members.add(backend, Math.max(1, ...slots), isFresh);
  }

  /** Tells how to pair an address of the configuration that no paired device has. */
  #tellHowToPair(address: DialAddress): void {
    const isPaired = Array.from(this.#devices.values()).some(
      ({ record }) => record.dial?.host === address.host && record.dial.port === address.port,
    );
    if (isPaired) return;
    const command = `lfo devices pair --dial ${address.host}:${address.port} --code CODE`;
    this.#options.log.warn({ command }, 'A device to dial is configured but not paired: the command pairs it.');
  }
}

/** To a device that was removed between its handshake and its first word: otherwise it would call again for ever. */
function sayRevoked(channel: Channel, clock: Clock): void {
  const link = routerLink(channel, clock);
  link.listen({ onMessage() {}, onClose() {} });
  link.close('revoked');
}

const greetings: Readonly<Record<GreetingKind | 'conflict', string>> = {
  new: 'device connected',
  resumed: 'device resumed',
  roamed: 'device resumed',
  replaced: 'device replaced',
  conflict: 'device in conflict',
};

/** Of ids of devices without a key. */
const plainPrefix = 'plain-';
function keyOf({ publicKey }: DeviceRecord): Uint8Array | undefined {
  return publicKey === undefined ? undefined : new Uint8Array(Buffer.from(publicKey, 'base64url'));
}

function isPlain({ id }: DeviceRecord): boolean {
  return id.startsWith(plainPrefix);
}

/** What a device may share its prefix cache by: it tells clients apart without knowing who they are. */
function prefixKeyOf(secret: Uint8Array, clientKey: string): string {
  return createHmac('sha256', secret).update(clientKey).digest('hex').slice(0, 16);
}

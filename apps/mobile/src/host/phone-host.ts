import {
  DeviceHost,
  EngineError,
  Gates,
  type ClosedGate,
  type Engine,
  type GateLimits,
  type LoadProgress,
  type LoadedModel,
} from '@lfo/device-core';
import type { MachineState, ModelFile } from '@lfo/device-core';
import {
  base64url,
  fingerprint,
  pairingKey,
  readPairingCode,
  readPairingUri,
  type Carrier,
  type Clock,
  type Primitives,
} from '@lfo/protocol';
import { observedModel, type AnswerNote } from '../engines/observed-model';
import { DeviceStore, type KnownRouter, type SecretStore, type Settings } from './device-store';
import { RouterLinks, type Pairing, type RouterView } from './router-links';
import { RouterListener, type ShownPairing } from './router-listener';

const defaultPort = 4870;
const notesKept = 20;

/** Battery, heat, memory and network as the phone tells them. */
export interface Machine {
  read(): MachineState;
  /** `network`: another network, or one again. Returned: no more. */
  subscribe(onChange: (what: 'machine' | 'network') => void): () => void;
}

/** What keeps the phone serving with its screen off. */
export interface ForegroundService {
  /** Shows the notification; the text changes with each call. */
  show(text: string): void;
  hide(): void;
  /** The owner pressed Stop in the notification. */
  onStop(run: () => void): void;
  setStartsOnBoot(isOn: boolean): void;
}

/** A model on this phone and the engine that runs it. */
export interface ReadyModel {
  readonly engine: Engine;
  readonly file: ModelFile;
  /** What people call it. */
  readonly title: string;
}

export interface PhoneHostPorts {
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly random: () => number;
  readonly primitives: Primitives;
  readonly secrets: SecretStore;
  readonly machine: Machine;
  readonly service: ForegroundService;
  readonly connect: (host: string, port: number) => Promise<Carrier | undefined>;
  readonly listen: (port: number, onCarrier: (carrier: Carrier) => void) => () => void;
  /** The model of this id, where it is on the phone. */
  readonly modelOf: (id: string) => ReadyModel | undefined;
  /** What the phone is called at first, its program and its system. */
  readonly about: { readonly name: string; readonly app: string; readonly os: string };
}

export type ModelLoad =
  /** Not in memory, nor on its way there. */
  | { readonly kind: 'none' }
  | { readonly kind: 'loading'; readonly fraction: number }
  | { readonly kind: 'ready' }
  /** The message is for the owner. */
  | { readonly kind: 'failed'; readonly message: string };

/** Everything the screens show. */
export interface PhoneView {
  readonly settings: Settings;
  readonly fingerprint: string;
  readonly model: { readonly title: string; readonly load: ModelLoad };
  readonly routers: readonly RouterView[];
  readonly shown: ShownPairing | undefined;
  readonly gate: ClosedGate | undefined;
  readonly machine: MachineState;
  readonly active: number;
  readonly queued: number;
  /** Tokens per second, while measured. */
  readonly decodeRate: number | undefined;
  /** The last ones, newest first. */
  readonly notes: readonly AnswerNote[];
  readonly answered: number;
  /** Name of a router that has removed this phone since it was last paired. */
  readonly removedBy: string | undefined;
}

/** The phone as a device of its routers: one model, its gates, its links, and what its owner sees and decides. */
export class PhoneHost {
  readonly #ports: PhoneHostPorts;
  readonly #store: DeviceStore;
  readonly #gates: Gates;
  readonly #device: DeviceHost;
  readonly #links: RouterLinks;
  readonly #listener: RouterListener;
  readonly #listeners = new Set<() => void>();
  readonly #unsubscribe: () => void;
  #model: LoadedModel | undefined;
  #load: ModelLoad = { kind: 'none' };
  /** The latest attempt to load it; what older ones still tell is of no concern. */
  #opening: AbortSignal | undefined;
  /** What goes comes back at once. */
  #isReloading = false;
  /** Loaded once memory is there again. */
  #waitsForMemory = false;
  #notes: readonly AnswerNote[] = [];
  #answered = 0;
  #removedBy: string | undefined;
  #view: PhoneView | undefined;
  #notice = '';

  private constructor(ports: PhoneHostPorts, store: DeviceStore) {
    this.#ports = ports;
    this.#store = store;
    const { clock, primitives, machine, service, connect, listen, random, about, modelOf } = ports;
    this.#gates = new Gates(clock, this.#limits());
    this.#device = new DeviceHost({
      identity: {
        boot: base64url(primitives.random(16)),
        get name() {
          return store.settings.name;
        },
        app: about.app,
        os: about.os,
      },
      engine: {
        get name() {
          return modelOf(store.settings.model)?.engine.name ?? 'none';
        },
        get version() {
          return modelOf(store.settings.model)?.engine.version ?? '0';
        },
      },
      openModel: (onProgress, signal) => this.#open(onProgress, signal),
      clock,
      vitals: {
        read: () => machine.read(),
        onChange: (run) => void machine.subscribe(run),
      },
      gates: this.#gates,
    });
    const onChange = (): void => this.#changed();
    const onRemoved = ({ name }: KnownRouter): void => void (this.#removedBy = name === '' ? 'The router' : name);
    const shared = { clock, primitives, store, device: this.#device, onChange, onRemoved };
    this.#links = new RouterLinks({ ...shared, connect, random });
    this.#listener = new RouterListener({ ...shared, listen });
    // The device host listens first, and has judged the machine by then.
    this.#gates.onChange(() => this.#gateChanged());
    this.#unsubscribe = machine.subscribe((what) => this.#machineChanged(what));
    service.onStop(() => void this.stop());
  }

  static async open(ports: PhoneHostPorts): Promise<PhoneHost> {
    const host = new PhoneHost(ports, await DeviceStore.open(ports.secrets, ports.primitives, ports.about.name));
    if (host.#store.settings.isOn) await host.start();
    return host;
  }

  get view(): PhoneView {
    this.#view ??= {
      settings: this.#store.settings,
      fingerprint: fingerprint(this.#ports.primitives, this.#store.keys.public),
      model: { title: this.#ports.modelOf(this.#store.settings.model)?.title ?? '', load: this.#load },
      routers: this.#links.views.map((view) => this.#seen(view)),
      shown: this.#listener.pairing,
      gate: this.#gates.closed,
      machine: this.#ports.machine.read(),
      active: this.#device.queue.active,
      queued: this.#device.queue.queued,
      decodeRate: this.#model?.rates().decode,
      notes: this.#notes,
      answered: this.#answered,
      removedBy: this.#removedBy,
    };
    return this.#view;
  }

  /** Called after each change; the returned function ends it. */
  subscribe(run: () => void): () => void {
    this.#listeners.add(run);
    return () => this.#listeners.delete(run);
  }

  /** Serves from now on, also after the app was closed. */
  async start(): Promise<void> {
    await this.#store.choose({ isOn: true });
    this.#links.start();
    if (this.#store.settings.listens) this.#listener.start();
    this.#bring();
    this.#changed();
  }

  /** Ends what runs, every link, and gives the memory back. */
  async stop(): Promise<void> {
    await this.#store.choose({ isOn: false });
    // Started again meanwhile.
    if (this.#store.settings.isOn) return;
    await Promise.all([this.#links.stop(), this.#listener.stop()]);
    if (this.#store.settings.isOn) return;
    this.#waitsForMemory = false;
    this.#release();
    this.#ports.service.hide();
    this.#notice = '';
    this.#changed();
  }

  /** Ends for good. */
  async close(): Promise<void> {
    this.#unsubscribe();
    await Promise.all([this.#links.stop(), this.#listener.stop()]);
    await this.#device.close();
  }

  /** Pairs by a link, or by a code and the router's address. Resolves with `paired`, or a code of what stopped it. */
  async pair(text: string, address?: string): Promise<string> {
    const pairing = this.#pairingOf(text, address);
    if (typeof pairing === 'string') return pairing;
    const code = await this.#links.pair(pairing);
    if (code === 'paired') this.#removedBy = undefined;
    if (code === 'paired' && !this.#store.settings.isOn) await this.start();
    this.#changed();
    return code;
  }

  /** Both sides forget each other, where the router can be told. */
  async unpair(id: string): Promise<void> {
    await this.#listener.unpair(id);
    await this.#links.unpair(id);
  }

  /** Shows a link for a router that dials this phone at `host`. */
  async showPairing(host: string): Promise<void> {
    await this.choose({ listens: true });
    this.#listener.start();
    this.#listener.beginPairing(host);
  }

  endPairing(): void {
    this.#listener.endPairing();
  }

  /** The app is in front again, or its owner is impatient. */
  lookAgain(): void {
    this.#links.lookAgain(false);
  }

  async choose(changes: Partial<Settings>): Promise<void> {
    const before = this.#store.settings;
    await this.#store.choose(changes);
    const { model, listens, isOn, startsOnBoot } = this.#store.settings;
    this.#gates.setLimits(this.#limits());
    if (startsOnBoot !== before.startsOnBoot) this.#ports.service.setStartsOnBoot(startsOnBoot);
    if (!listens && before.listens) await this.#listener.stop();
    if (isOn && listens && !before.listens) this.#listener.start();
    const mustReload = model !== before.model || ['slots', 'contextTokens'].some((name) => name in changes);
    if (mustReload) this.reload();
    this.#changed();
  }

  /** Pauses or goes on, without giving the links up. */
  setPaused(isPaused: boolean): void {
    this.#gates.setPaused(isPaused);
    this.#changed();
  }

  /** The chosen model anew: it is another, or has just been fetched. */
  reload(): void {
    const { isOn } = this.#store.settings;
    const isTight = this.#gates.closed?.code === 'memory';
    this.#waitsForMemory = isOn && isTight;
    this.#isReloading = isOn && !isTight;
    if (this.#isReloading && this.#load.kind !== 'ready') this.#load = { kind: 'loading', fraction: 0 };
    if (this.#isReloading) this.#device.reload();
    else this.#release();
    this.#changed();
  }

  /** A router that has dialled this phone is connected too. */
  #seen(view: RouterView): RouterView {
    const deviceName = this.#listener.nameAt(view.router.id);
    return deviceName === undefined ? view : { ...view, state: { kind: 'connected' }, deviceName };
  }

  #limits(): GateLimits {
    const { minBattery, restsInSaver, maxThermal, servesOnCellular } = this.#store.settings;
    return {
      minBattery,
      restsInSaver,
      maxThermal,
      ...(servesOnCellular ? {} : { nets: ['wifi', 'ethernet', 'vpn'] }),
    };
  }

  async #open(onProgress: (progress: LoadProgress) => void, signal: AbortSignal): Promise<LoadedModel> {
    const { model: id, contextTokens, slots } = this.#store.settings;
    const { clock, now, modelOf } = this.#ports;
    this.#opening = signal;
    this.#isReloading = false;
    try {
      const ready = modelOf(id);
      if (ready === undefined)
        throw new EngineError(
          'no_model',
          id === '' ? 'No model is chosen yet.' : 'The chosen model is not on this phone.',
          false,
        );
      this.#loading(0);
      const model = await ready.engine.load(
        ready.file,
        { contextTokens, slots, gpu: 'auto' },
        (done, total) => {
          // An engine that was called off may still tell of its progress.
          if (signal.aborted) return;
          this.#loading(total > 0 ? done / total : 0);
          onProgress({ phase: 'load', done, total, what: id });
        },
        signal,
      );
      const observed = observedModel(model, clock, now, {
        onBegin: () => this.#changed(),
        onEnd: (note) => this.#noted(note),
        onClose: () => this.#left(observed),
      });
      this.#model = observed;
      if (!signal.aborted) this.#load = { kind: 'ready' };
      this.#changed();
      return observed;
    } catch (error) {
      if (!signal.aborted)
        this.#load = {
          kind: 'failed',
          message: error instanceof EngineError ? error.message : 'The model could not be loaded.',
        };
      else if (this.#opening === signal && !this.#isReloading) this.#load = { kind: 'none' };
      this.#changed();
      throw error;
    }
  }

  /** Into memory, now or as soon as there is some. */
  #bring(): void {
    this.#waitsForMemory = this.#gates.closed?.code === 'memory';
    if (this.#waitsForMemory) return;
    if (this.#load.kind !== 'ready') this.#load = { kind: 'loading', fraction: 0 };
    this.#device.load();
  }

  /** Out of memory, once what runs has ended. */
  #release(): void {
    this.#isReloading = false;
    this.#device.unload();
    if (this.#load.kind === 'failed') this.#load = { kind: 'none' };
  }

  /** It has gone, whoever wanted that: its owner, a gate or a router. */
  #left(model: LoadedModel): void {
    if (this.#model !== model) return;
    this.#model = undefined;
    this.#load = this.#isReloading ? { kind: 'loading', fraction: 0 } : { kind: 'none' };
    this.#changed();
  }

  #loading(fraction: number): void {
    this.#load = { kind: 'loading', fraction };
    this.#changed();
  }

  #noted(note: AnswerNote): void {
    this.#notes = [note, ...this.#notes].slice(0, notesKept);
    if (note.outcome === 'answered') this.#answered += 1;
    this.#changed();
  }

  #machineChanged(what: 'machine' | 'network'): void {
    if (what === 'network') this.#links.lookAgain(this.#gates.closed?.code !== 'network');
    this.#changed();
  }

  #gateChanged(): void {
    const isTight = this.#gates.closed?.code === 'memory';
    if (isTight && this.#load.kind !== 'none') {
      this.#waitsForMemory = this.#store.settings.isOn;
      this.#release();
    } else if (!isTight && this.#waitsForMemory) this.#bring();
    this.#changed();
  }

  #changed(): void {
    this.#view = undefined;
    this.#notify();
    for (const run of this.#listeners) run();
  }

  /** The notification says what the Serve screen says, and no more often. */
  #notify(): void {
    if (!this.#store.settings.isOn) return;
    const text = noticeOf(this.view);
    if (text === this.#notice) return;
    this.#notice = text;
    this.#ports.service.show(text);
  }

  #pairingOf(text: string, address: string | undefined): Pairing | string {
    const { primitives } = this.#ports;
    const at = address === undefined || address.trim() === '' ? undefined : readAddress(address);
    if (at === null) return 'bad_address';
    const uri = readPairingUri(text);
    if (uri !== undefined) {
      if (uri.role !== 'router') return 'shown_by_device';
      return {
        hosts: at === undefined ? uri.hosts : [at.host],
        port: at?.port ?? uri.port,
        psk: pairingKey(primitives, uri.secret),
        expectedKey: uri.key,
        name: uri.name,
      };
    }
    const secret = readPairingCode(text);
    if (secret === undefined) return 'no_code';
    if (at === undefined) return 'no_address';
    return { hosts: [at.host], port: at.port ?? defaultPort, psk: pairingKey(primitives, secret), name: at.host };
  }
}

/** Null where it is none. */
function readAddress(text: string): { readonly host: string; readonly port?: number } | null {
  const found = /^(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text.trim());
  const host = found?.[1] ?? found?.[2];
  const port = found?.[3] === undefined ? undefined : Number(found[3]);
  if (host === undefined || (port !== undefined && (port < 1 || port > 65_535))) return null;
  return { host, ...(port === undefined ? {} : { port }) };
}

/** One line for the notification. */
export function noticeOf({ gate, model, routers }: PhoneView): string {
  if (gate !== undefined) return `Paused: ${gate.why}`;
  if (model.load.kind === 'failed') return model.load.message;
  if (model.load.kind === 'none') return `${model.title} is not in memory`;
  if (model.load.kind !== 'ready') return `Loading ${model.title}`;
  return routers.some(({ state }) => state.kind === 'connected') ? `Serving ${model.title}` : 'Waiting for a router';
}

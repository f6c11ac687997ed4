import { protocolVersions, maxFrameBytes } from '@lfo/protocol';
import type {
  Clock,
  DeviceErrorCode,
  DeviceMessage,
  Link,
  MessageOf,
  ModelOffer,
  PauseCode,
  RouterMessage,
} from '@lfo/protocol';
import { EngineError, type Engine, type LoadedModel } from '../engine/engine.ts';
import { EngineHeartbeat } from './answer.ts';
import type { Gates, MachineState } from './gates.ts';
import { HostedModel, type LoadProgress, type ModelOpener } from './hosted-model.ts';
import { type HostState, Session, type SessionHost } from './session.ts';
import { SlotQueue } from './slot-queue.ts';

/** Requests that may wait; more are the router's to queue, where they can still go elsewhere. */
export const queueMax = 4;
/** After a load failed for a reason that may pass, such as an unreachable source. */
export const reloadMs = 60_000;

/** Who this host is to its router. */
export interface DeviceIdentity {
  /** 16 random bytes of this process as base64url. */
  readonly boot: string;
  readonly name: string;
  /** Program and version. */
  readonly app: string;
  readonly os: string;
  /** By which it can be woken, where it sleeps at all. */
  readonly wake?: { readonly mac: string };
}

export interface HostOptions {
  readonly identity: DeviceIdentity;
  readonly engine: Pick<Engine, 'name' | 'version'>;
  readonly openModel: ModelOpener;
  readonly clock: Clock;
  /** Absent: the state says nothing of the machine. */
  readonly vitals?: Vitals;
  /** Whether it takes requests, by what the vitals say; absent: always. */
  readonly gates?: Gates;
}

/** What the machine itself says: read for each state, which is sent again when it changes. */
export interface Vitals {
  read(): MachineState;
  /** Called once, with what is to run after each change. */
  onChange(run: () => void): void;
}

/** One model behind the device protocol. It outlives the links it serves; requests of all links share its slots. */
export class DeviceHost implements SessionHost {
  readonly clock: Clock;
  readonly heartbeat: EngineHeartbeat;
  readonly queue: SlotQueue;
  readonly #options: HostOptions;
  readonly #model: HostedModel;
  readonly #sessions = new Set<Session>();
  /** Of routers that dial or are dialled, by their keys. */
  readonly #byRouter = new Map<string, Session>();
  #progress: LoadProgress | undefined;
  #isDraining = false;
  #unloadWhenIdle = false;
  /** What is unloaded then is loaded anew. */
  #loadsAgain = false;
  #cancelReload: (() => void) | undefined;

  constructor(options: HostOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.heartbeat = new EngineHeartbeat(options.clock);
    this.queue = new SlotQueue(queueMax, () => this.#changed());
    this.#model = new HostedModel(
      options.openModel,
      () => this.#modelChanged(),
      (progress) => this.#progressed(progress),
    );
    const { vitals, gates } = options;
    gates?.onChange(() => this.#gateChanged());
    vitals?.onChange(() => (gates === undefined ? this.#changed() : gates.update(vitals.read())));
    if (vitals !== undefined) gates?.update(vitals.read());
  }

  /**
   * Serves one router on this link. With the router's key, answers go on when its link is lost and the next one comes
   * within the grace that the router allows; without, as on a pipe, they end with the link.
   */
  serve(link: Link<RouterMessage, DeviceMessage>, router?: string): void {
    const known = router === undefined ? undefined : this.#byRouter.get(router);
    if (known !== undefined) return known.attach(link);
    const session: Session = new Session(this, router !== undefined, () => {
      this.#sessions.delete(session);
      if (router !== undefined && this.#byRouter.get(router) === session) this.#byRouter.delete(router);
    });
    this.#sessions.add(session);
    if (router !== undefined) this.#byRouter.set(router, session);
    session.attach(link);
  }

  /** Begins to load the model; routers see it in the state. */
  load(): void {
    if (this.#loadsAgain) return;
    this.#unloadWhenIdle = false;
    this.#model.load();
    // Only called off: the model never left.
    this.queue.setSlots(this.#model.loaded?.slots ?? 0);
    this.#changed();
  }

  /** Lets what runs end, then frees the memory. */
  unload(): void {
    this.#loadsAgain = false;
    this.#leave();
  }

  /** Lets what runs end, then opens the model anew: it is another now, or is to be loaded otherwise. */
  reload(): void {
    this.#loadsAgain = true;
    this.#leave();
  }

  /** Takes nothing new from now on, of any router; what runs goes on. */
  drain(): void {
    this.#isDraining = true;
    this.queue.failWaiting(drainingError());
    this.#changed();
  }

  /** Ends all links and frees the model. */
  async close(): Promise<void> {
    for (const session of this.#sessions) session.close('closing');
    await this.#model.unload();
  }

  /** The download or load under way, while one is. */
  get progress(): LoadProgress | undefined {
    return this.#progress;
  }

  /** @throws EngineError `no_model` when the name is not that of a model in memory. */
  modelFor(name: string): LoadedModel {
    const { loaded } = this.#model;
    if (loaded === undefined || this.#unloadWhenIdle) throw this.refusal ?? loadingError();
    if (loaded.info.id !== name) throw new EngineError('no_model', `This device serves ${loaded.info.id}.`, false);
    return loaded;
  }

  /** Why nothing can be answered, now or after waiting. */
  get refusal(): EngineError | undefined {
    if (this.#isDraining) return drainingError();
    const { state } = this.#model;
    if (state.kind === 'failed') return state.error;
    const closed = this.#options.gates?.closed;
    if (closed !== undefined) return new EngineError(refusalCodes[closed.code], closed.why, true);
    return state.kind === 'unloaded' || this.#unloadWhenIdle ? unloadedError() : undefined;
  }

  hello(): MessageOf<DeviceMessage, 'hello'> {
    const { identity, engine } = this.#options;
    const { boot, name, app, os, wake } = identity;
    return {
      t: 'hello',
      v: [...protocolVersions],
      name,
      app,
      os,
      engine: { name: engine.name, version: engine.version },
      models: this.offers(),
      queue_max: queueMax,
      max_frame: maxFrameBytes,
      features: ['lanes', 'count', 'prefill', 'load', 'embed'],
      boot,
      ...(wake === undefined ? {} : { wake }),
    };
  }

  state(): HostState {
    const { loaded, state } = this.#model;
    const refusal = this.refusal;
    const closed = state.kind === 'failed' ? undefined : this.#options.gates?.closed;
    const { memTotalMb: _, ...machine } = this.#options.vitals?.read() ?? {};
    return {
      accepting: refusal === undefined && loaded !== undefined,
      ...(refusal === undefined
        ? {}
        : { code: this.#isDraining ? 'draining' : (closed?.code ?? 'no_model'), why: refusal.message }),
      ...(refusal === undefined && loaded === undefined ? { code: 'loading' } : {}),
      models: loaded === undefined ? [] : [modelState(loaded, this.queue)],
      ...machine,
    };
  }

  /** What it serves now. */
  offers(): ModelOffer[] {
    const { loaded } = this.#model;
    return loaded === undefined ? [] : [{ ...loaded.info, resident: true, slots: loaded.slots }];
  }

  #leave(): void {
    this.#unloadWhenIdle = true;
    this.queue.setSlots(0);
    this.queue.failWaiting(unloadedError());
    this.#changed();
  }

  #modelChanged(): void {
    const { state } = this.#model;
    this.heartbeat.record();
    if (state.kind !== 'loading') this.#progress = undefined;
    this.queue.setSlots(state.kind === 'loaded' ? state.model.slots : 0);
    this.#cancelReload?.();
    if (state.kind === 'failed') {
      this.queue.failWaiting(state.error);
      if (state.error.retryable) this.#cancelReload = this.clock.schedule(reloadMs, () => this.load());
    }
    this.#changed();
  }

  #progressed(progress: LoadProgress): void {
    this.heartbeat.record();
    this.#progress = progress;
    for (const session of this.#sessions) session.loadProgressed();
  }

  /** A router's wish for care, while its link lives. */
  setPolicy(session: Session, policy: Parameters<Gates['setPolicy']>[1]): void {
    this.#options.gates?.setPolicy(session, policy);
  }

  #gateChanged(): void {
    if (this.#options.gates?.isCritical === true) {
      const error = new EngineError('thermal', 'The device is too hot to go on.', true);
      for (const session of this.#sessions) session.endAnswers(error);
    }
    this.#changed();
  }

  #changed(): void {
    for (const session of this.#sessions) session.stateChanged();
    if (!this.#unloadWhenIdle || this.queue.active > 0) return;
    this.#unloadWhenIdle = false;
    const loadsAgain = this.#loadsAgain;
    this.#loadsAgain = false;
    void this.#model.unload();
    if (loadsAgain) this.load();
  }
}

/** What a request refused by a gate ends with. */
const refusalCodes = {
  battery: 'battery',
  saver: 'battery',
  thermal: 'thermal',
  memory: 'memory',
  paused: 'paused',
  network: 'paused',
  draining: 'draining',
  loading: 'loading',
  no_model: 'no_model',
} as const satisfies Readonly<Record<PauseCode, DeviceErrorCode>>;

function modelState(model: LoadedModel, { active, queued }: SlotQueue): HostState['models'][number] {
  return { id: model.info.id, resident: true, slots: model.slots, active, queued, tps: model.rates() };
}

function drainingError(): EngineError {
  return new EngineError('draining', 'The device is draining.', true);
}

function unloadedError(): EngineError {
  return new EngineError('no_model', 'The model has been unloaded. Load it again first.', true);
}

function loadingError(): EngineError {
  return new EngineError('no_model', 'The model is still loading.', true);
}

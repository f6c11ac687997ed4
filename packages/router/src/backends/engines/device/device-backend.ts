import type { Cancellation } from '../../../core/abort.ts';
import { randomBytes } from 'node:crypto';
import { routerLink, type ByeCode, type Channel, type ModelOffer } from '@lfo/protocol';
import type {
  Backend,
  BackendLoad,
  BackendStatus,
  CallContext,
  Capabilities,
  DeviceLabel,
  PromptCount,
} from '../../../core/backend.ts';
import type { Clock } from '../../../core/clock.ts';
import type { FleetRouter } from '../../../core/devices.ts';
import { BackendError, preemptedCode } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import type { ChatRequest } from '../../../core/request.ts';
import type { Embedder } from '../../../core/embedding.ts';
import { embedderOf } from './device-embedder.ts';
import type { Sleeper } from '../../wake.ts';
import { linkFault } from './device-fault.ts';
import { DeviceLink, type LinkNames, type Policy } from './device-link.ts';
import type { PrefixBook } from './prefix-book.ts';
import { type GreetingKind, SessionKeeper } from './session-keeper.ts';

export interface DeviceBackendOptions {
  readonly id: string;
  readonly clock: Clock;
  /** What is assumed until the device has a model loaded and says so itself. */
  readonly expected: {
    readonly models: readonly string[];
    readonly capabilities: Capabilities;
    readonly embeddingModels?: readonly string[];
  };
  /** What to show from the end of a link until more is known; default: down. */
  readonly lost?: BackendStatus;
  /** How often the device is to repeat its state; it is taken for dead after 2.5 of these. */
  readonly heartbeatMs?: number;
  /** The device has hung: ends it by other means than its link, if there are any. */
  readonly onSilent?: () => void;
  /** Who the router is to the device, and what the device is called; absent on a pipe. */
  readonly names?: LinkNames;
  /** What its gates are asked to keep to. */
  readonly policy?: Policy;
  /** What stands for a client's key where the device tells prefix caches apart; absent on a pipe: the key's id itself. */
  readonly prefixKey?: (clientKey: string) => string;
  /** What prompts usually begin with, of all devices; absent on a pipe. */
  readonly prefixes?: PrefixBook;
  /** How clients name it; absent for the embedded model. */
  readonly label?: () => DeviceLabel;
  /** How long a session outlives its link; default 0, as on a pipe. */
  readonly graceMs?: number;
  /** The device has introduced itself on a new link; not called on a conflict of two devices with one key. */
  readonly onGreeted?: (hello: NonNullable<DeviceLink['hello']>, how: GreetingKind) => void;
  /** It offers other models than when it introduced itself, as once its model is loaded. */
  readonly onOffers?: () => void;
  /** Two devices call with one key: both links have been told so. */
  readonly onConflict?: () => void;
  /** A session ended because the device did not return within the grace. */
  readonly onExpired?: () => void;
  /** The device said `bye` with this code. */
  readonly onBye?: (code: string) => void;
  /** A link of its own has ended, by code; not one that another took the place of. */
  readonly onLost?: (code: string) => void;
  /** Fields of its messages were cut or left out. */
  readonly onClipped?: (fields: readonly string[]) => void;
  /** Its machine, which may sleep; absent: it does not. */
  readonly sleeper?: Sleeper;
  /** Frees what keeps the device connected; called once, by `close`. */
  readonly release?: () => Promise<void>;
}

/** One device, whichever link it comes and goes on. */
export class DeviceBackend implements Backend {
  readonly id: string;
  readonly tier = 'local';
  readonly goesOnWithTexts = true;
  readonly #options: DeviceBackendOptions;
  readonly #keeper: SessionKeeper;
  /** The link of the device that has introduced itself last, or that is to do so. */
  #link: DeviceLink | undefined;
  #down: BackendStatus = { state: 'down', detail: 'The device has not connected yet.' };
  #closing: Promise<void> | undefined;
  #lastError: DeviceBackend['lastError'];

  constructor(options: DeviceBackendOptions) {
    this.id = options.id;
    this.#options = options;
    this.#keeper = new SessionKeeper({
      clock: options.clock,
      graceMs: options.graceMs ?? 0,
      newSessionId: () => randomBytes(16).toString('base64url'),
      onSessionOver: (_session, hasExpired) => {
        if (hasExpired) options.onExpired?.();
      },
    });
  }

  /** Serves from now on over this channel, once the device has introduced itself there; it goes on where it was. */
  attach(channel: Channel): void {
    const { clock, heartbeatMs, graceMs = 0, names, policy, prefixKey, prefixes, onBye, onClipped } = this.#options;
    const link: DeviceLink = new DeviceLink({
      backend: this.id,
      link: routerLink(channel, clock),
      clock,
      graceMs,
      cut: () => channel.close('roamed', true),
      ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
      ...(names === undefined ? {} : { names }),
      ...(policy === undefined ? {} : { policy }),
      ...(prefixKey === undefined ? {} : { prefixKey }),
      ...(prefixes === undefined ? {} : { prefixes }),
      ...(onBye === undefined ? {} : { onBye }),
      ...(onClipped === undefined ? {} : { onClipped }),
      greet: (hello, greeted) => {
        this.#link = link;
        const greeting = this.#keeper.greet(hello, greeted);
        if (greeting.kind === 'conflict') {
          this.#link = undefined;
          this.#options.onConflict?.();
        } else {
          this.#options.sleeper?.isUp();
          this.#options.onGreeted?.(hello, greeting.older ?? greeting.kind);
        }
        return greeting;
      },
      onOffers: () => {
        if (this.#link === link) this.#options.onOffers?.();
      },
      onClosed: (greeted, isForGood) => this.#keeper.closed(greeted, isForGood),
      onEnd: (code) => this.#lost(link, code),
    });
    this.#link ??= link;
    this.#down = this.#options.lost ?? { state: 'down', detail: 'The device has disconnected.' };
  }

  #lost(link: DeviceLink, code: string): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    if (code === 'silent' || code === 'no_hello') {
      this.#down = { state: this.#down.state, detail: 'The device fell silent and was given up.' };
      this.#options.onSilent?.();
    }
    this.#options.onLost?.(code);
  }

  /** Ends the link with a word to the device; what runs on it fails over. */
  detach(code: ByeCode): void {
    const link = this.#link;
    this.#link = undefined;
    link?.close(code);
    this.#keeper.end();
  }

  /** Two devices call with one key. */
  get isInConflict(): boolean {
    return this.#keeper.isConflict;
  }

  /** The session that its calls belong to, the time after the end of its link included. */
  get session(): { readonly id: string; readonly resumes: number; readonly running: number } | undefined {
    return this.#keeper.session;
  }

  /** Whether the device loads and unloads its model when it is asked to. */
  get takesLoads(): boolean {
    return this.#link?.takesLoads === true;
  }

  /** As `DeviceLink` has it. @throws BackendError */
  async setLoaded(model: string, isLoaded: boolean): Promise<void> {
    if (this.#link === undefined) throw linkFault('unreachable', this.id);
    await this.#link.setLoaded(model, isLoaded);
  }

  /** Tells a connected device of the other routers of its owner. */
  sayRouters(routers: readonly FleetRouter[]): void {
    this.#link?.sayRouters(routers);
  }

  /** Tells the device that its router gives it nothing new, or does so again. */
  sayDrain(on: boolean): void {
    this.#link?.sayDrain(on);
  }

  label(): DeviceLabel | undefined {
    return this.#options.label?.();
  }

  /** What the device has said of itself on this link. */
  get hello(): DeviceLink['hello'] {
    return this.#link?.hello;
  }

  get state(): DeviceLink['state'] {
    return this.#link?.state;
  }

  /** Smoothed round trip to it; absent until measured. */
  get rttMs(): number | undefined {
    return this.#link?.rttMs;
  }

  /** Each text is read by itself, so a long list is sent in pieces. */
  readonly embedder: Embedder = embedderOf({
    id: () => this.id,
    models: () => {
      const infos = this.#infos();
      return infos.length === 0
        ? (this.#options.expected.embeddingModels ?? [])
        : infos.filter((info) => !isChat(info)).map(({ id }) => id);
    },
    contextTokens: (model) => this.#infos().find(({ id }) => id === model)?.ctx,
    link: () => this.#link,
  });

  get offers(): readonly ModelOffer[] {
    return this.#infos();
  }

  get preempts(): boolean {
    return this.#link?.hello?.features.includes('lanes') === true;
  }

  /** Where it is away and its hardware address is known. */
  get wake(): (() => void) | undefined {
    const { sleeper } = this.#options;
    return sleeper?.canWake === true && this.#link === undefined ? () => sleeper.wake() : undefined;
  }

  /** What to show while no device is connected. */
  describe(status: BackendStatus): void {
    this.#down = status;
  }

  get models(): readonly string[] {
    const infos = this.#infos();
    return infos.length === 0 ? this.#options.expected.models : infos.filter(isChat).map(({ id }) => id);
  }

  get chats(): boolean {
    return this.models.length > 0 || this.embedder.models.length === 0;
  }

  get capabilities(): Capabilities {
    const info = this.#infos().find(isChat);
    return info === undefined ? this.#options.expected.capabilities : capabilitiesOf(info);
  }

  capabilitiesOf(model: string): Capabilities {
    const info = this.#infos().find(({ id }) => id === model);
    return info === undefined ? this.capabilities : capabilitiesOf(info);
  }

  weightsOf(model: string): number | undefined {
    return this.#infos().find(({ id }) => id === model)?.params;
  }

  load(model: string): BackendLoad {
    const link = this.#link;
    const state = link?.state;
    const now = state?.models.find(({ id }) => id === model);
    const offer = this.#infos().find(({ id }) => id === model);
    const { battery, thermal } = state ?? {};
    return {
      rttMs: link?.rttMs ?? 0,
      slots: now?.slots ?? offer?.slots ?? 1,
      foreign: link?.foreign(model) ?? 0,
      isResident: now?.resident ?? offer?.resident ?? true,
      loadMs: offer?.load_ms ?? 0,
      ...(thermal === undefined ? {} : { thermal: thermal.status }),
      ...(battery === undefined ? {} : { batteryPct: battery.pct, isCharging: battery.charging }),
      ...(battery?.saver === undefined ? {} : { isSaving: battery.saver }),
      warm(prefixes) {
        const known = now?.warm ?? [];
        if (known.length === 0) return 0;
        const asked = prefixes();
        return Math.max(0, ...known.filter(({ h }) => asked.includes(h)).map(({ tokens }) => tokens));
      },
    };
  }

  /** Download or load under way; `total` 0 is unknown. */
  get progress(): DeviceLink['progress'] {
    return this.#link?.progress;
  }

  /** What runs its models, once it has said so. */
  get engine(): string | undefined {
    return this.#link?.hello?.engine?.name;
  }

  status(): BackendStatus {
    if (this.#link === undefined) return this.#options.sleeper?.isWaking === true ? waking : this.#down;
    const { hello, state, progress } = this.#link;
    if (hello === undefined || state === undefined) return { state: 'loading', detail: 'The device is starting.' };
    const [model] = state.models;
    const numbers = {
      ...(model === undefined ? {} : { active: model.active, queued: model.queued, slots: model.slots }),
      ...(model?.tps?.prefill === undefined ? {} : { prefillRate: model.tps.prefill }),
      ...(model?.tps?.decode === undefined ? {} : { decodeRate: model.tps.decode }),
    };
    if (!state.accepting && state.code !== 'loading')
      return { state: 'down', detail: state.why ?? 'The device takes no requests now.', ...numbers };
    if (state.accepting) return { state: 'ready', ...numbers };
    if (progress === undefined) return { state: 'loading', detail: 'The model is being loaded.', ...numbers };
    return { state: 'loading', ...progressOf(progress), ...numbers };
  }

  async *infer(request: ChatRequest, call: CallContext): AsyncGenerator<readonly InferenceEvent[], void> {
    call.signal.throwIfAborted();
    try {
      if (this.#link === undefined) throw linkFault('unreachable', this.id);
      if (request.continuation === undefined) this.#options.prefixes?.note(request, call.model, call.avoid);
      yield* this.#link.complete(request, call, this.capabilitiesOf(call.model)).events();
    } catch (error) {
      if (error instanceof BackendError && error.fault !== 'rejected' && error.code !== preemptedCode)
        this.#lastError = { code: error.code, message: error.message, atMs: this.#options.clock.wallMs() };
      throw error;
    }
  }

  /** What last kept a request from being answered, in words for its owner; wall time. */
  get lastError(): { readonly code: string; readonly message: string; readonly atMs: number } | undefined {
    return this.#lastError;
  }

  /**
   * Tokens of this prompt, and how many of them a cache of the device holds. Undefined while no model is loaded, where
   * the device cannot count this prompt, and after 400 ms. @throws the signal's reason
   */
  async countTokens(request: ChatRequest, signal: Cancellation): Promise<PromptCount | undefined> {
    const info = this.#infos().find(isChat);
    if (this.#link === undefined || info === undefined) return undefined;
    try {
      return await this.#link.count(request, info.id, signal);
    } catch (error) {
      if (error instanceof BackendError) return undefined;
      throw error;
    }
  }

  /** The device reports of itself; there is nothing to ask for. */
  async probe(signal: Cancellation): Promise<BackendStatus> {
    signal.throwIfAborted();
    return this.status();
  }

  close(): Promise<void> {
    this.#link?.close('closing');
    this.#keeper.end();
    this.#options.sleeper?.close();
    this.#down = { state: 'down', detail: 'The router is stopping.' };
    this.#closing ??= this.#options.release?.() ?? Promise.resolve();
    return this.#closing;
  }

  #infos(): readonly ModelOffer[] {
    return this.#link?.offers ?? [];
  }
}

const waking: BackendStatus = { state: 'loading', detail: 'The device is being woken.' };

function isChat({ caps }: ModelOffer): boolean {
  return !caps.includes('embedding');
}

function progressOf(progress: { phase: string; done: number; total: number; what?: string | undefined }): {
  readonly detail: string;
  readonly progress?: number;
} {
  const { phase, done, total, what = 'the model' } = progress;
  const verb = phase === 'download' ? 'Downloading' : 'Loading';
  if (total <= 0) return { detail: `${verb} ${what}.` };
  const fraction = Math.min(1, done / total);
  return { detail: `${verb} ${what}: ${Math.floor(fraction * 100)} %.`, progress: fraction };
}

function capabilitiesOf({ ctx, caps }: ModelOffer): Capabilities {
  return {
    ...(ctx === undefined ? {} : { contextTokens: ctx }),
    tools: caps.includes('tools') || caps.includes('tools_only'),
    ...(caps.includes('tools_only') ? { toolsOnly: true } : {}),
    jsonSchema: caps.includes('json_schema'),
    logprobs: caps.includes('scores'),
    ...(caps.includes('text') ? { texts: true } : {}),
    ...(caps.includes('infill') ? { infill: true } : {}),
    images: false,
    audio: false,
  };
}

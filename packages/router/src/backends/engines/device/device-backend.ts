import { randomBytes } from 'node:crypto';
import { routerLink, type ByeCode, type Channel, type ModelOffer } from '@lfo/protocol';
import type {
  Backend,
  BackendStatus,
  CallContext,
  Capabilities,
  DeviceLabel,
  PromptCount,
} from '../../../core/backend.ts';
import type { Clock } from '../../../core/clock.ts';
import { BackendError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import type { ChatRequest } from '../../../core/request.ts';
import type { Embedder } from '../../../core/embedding.ts';
import { embedderOf } from './device-embedder.ts';
import { linkFault } from './device-fault.ts';
import { DeviceSession, type LinkNames } from './device-session.ts';

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
  /** How clients name it; absent for the embedded model. */
  readonly label?: () => DeviceLabel;
  /** The device said `bye` with this code. */
  readonly onBye?: (code: string) => void;
  /** A link of its own has ended, by code; not one that another took the place of. */
  readonly onLost?: (code: string) => void;
  /** Fields of its messages were cut or left out. */
  readonly onClipped?: (fields: readonly string[]) => void;
  /** Frees what keeps the device connected; called once, by `close`. */
  readonly release?: () => Promise<void>;
}

/** One device, whichever link it comes and goes on. */
export class DeviceBackend implements Backend {
  readonly id: string;
  readonly tier = 'local';
  readonly #options: DeviceBackendOptions;
  #session: DeviceSession | undefined;
  #down: BackendStatus = { state: 'down', detail: 'The device has not connected yet.' };
  #closing: Promise<void> | undefined;

  constructor(options: DeviceBackendOptions) {
    this.id = options.id;
    this.#options = options;
  }

  /** Serves from now on over this channel; a device that connects again replaces its older self. */
  attach(channel: Channel): void {
    const { clock, heartbeatMs, names, onBye, onLost, onClipped } = this.#options;
    this.#session?.close('replaced');
    const session = new DeviceSession({
      backend: this.id,
      link: routerLink(channel, clock),
      clock,
      session: randomBytes(16).toString('base64url'),
      ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
      ...(names === undefined ? {} : { names }),
      ...(onBye === undefined ? {} : { onBye }),
      ...(onClipped === undefined ? {} : { onClipped }),
      onEnd: (code) => {
        if (this.#session !== session) return;
        this.#session = undefined;
        if (code === 'silent' || code === 'no_hello') {
          this.#down = { state: this.#down.state, detail: 'The device fell silent and was given up.' };
          this.#options.onSilent?.();
        }
        onLost?.(code);
      },
    });
    this.#session = session;
    this.#down = this.#options.lost ?? { state: 'down', detail: 'The device has disconnected.' };
  }

  /** Ends the link with a word to the device; what runs on it fails over. */
  detach(code: ByeCode): void {
    const session = this.#session;
    this.#session = undefined;
    session?.close(code);
  }

  /** Tells the device that its router gives it nothing new, or does so again. */
  sayDrain(on: boolean): void {
    this.#session?.sayDrain(on);
  }

  label(): DeviceLabel | undefined {
    return this.#options.label?.();
  }

  /** What the device has said of itself on this link. */
  get hello(): DeviceSession['hello'] {
    return this.#session?.hello;
  }

  get state(): DeviceSession['state'] {
    return this.#session?.state;
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
    session: () => this.#session,
  });

  get offers(): readonly ModelOffer[] {
    return this.#infos();
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

  /** Download or load under way; `total` 0 is unknown. */
  get progress(): DeviceSession['progress'] {
    return this.#session?.progress;
  }

  /** What runs its models, once it has said so. */
  get engine(): string | undefined {
    return this.#session?.hello?.engine?.name;
  }

  status(): BackendStatus {
    const session = this.#session;
    if (session === undefined) return this.#down;
    const { hello, state, progress } = session;
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

  async *infer(request: ChatRequest, call: CallContext): AsyncGenerator<InferenceEvent, void> {
    call.signal.throwIfAborted();
    if (this.#session === undefined) throw linkFault('unreachable', this.id);
    yield* this.#session.complete(request, call, this.capabilitiesOf(call.model)).events();
  }

  /**
   * Tokens of this prompt, and how many of them a cache of the device holds. Undefined while no model is loaded, where
   * the device cannot count this prompt, and after 400 ms. @throws the signal's reason
   */
  async countTokens(request: ChatRequest, signal: AbortSignal): Promise<PromptCount | undefined> {
    const info = this.#infos().find(isChat);
    if (this.#session === undefined || info === undefined) return undefined;
    try {
      return await this.#session.count(request, info.id, signal);
    } catch (error) {
      if (error instanceof BackendError) return undefined;
      throw error;
    }
  }

  /** The device reports of itself; there is nothing to ask for. */
  async probe(signal: AbortSignal): Promise<BackendStatus> {
    signal.throwIfAborted();
    return this.status();
  }

  close(): Promise<void> {
    this.#session?.close('closing');
    this.#down = { state: 'down', detail: 'The router is stopping.' };
    this.#closing ??= this.#options.release?.() ?? Promise.resolve();
    return this.#closing;
  }

  #infos(): readonly ModelOffer[] {
    return this.#session?.offers ?? [];
  }
}

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
    tools: caps.includes('tools'),
    jsonSchema: caps.includes('json_schema'),
    logprobs: caps.includes('scores'),
    images: false,
    audio: false,
  };
}

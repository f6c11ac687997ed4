import { maxFrameBytes, MessageTooLargeError, protocolVersions } from '@lfo/protocol';
import type { ByeCode, DeviceMessage, Link, MessageOf, ModelOffer, RouterMessage } from '@lfo/protocol';
import type { CallContext, Capabilities, PromptCount } from '../../../core/backend.ts';
import type { Clock } from '../../../core/clock.ts';
import type { ChatRequest } from '../../../core/request.ts';
import { completeMessage, wirePrompt } from './complete-message.ts';
import { DeviceCall } from './device-call.ts';
import { deviceFault, linkFault } from './device-fault.ts';

/** A device that has not introduced itself after this long is not one. */
export const helloMs = 30_000;
/** How often the device repeats its state on a pipe. */
const pipeHeartbeatMs = 6_000;

/** What of the features of a device is used. */
const usedFeatures: ReadonlySet<string> = new Set(['count']);

interface PendingCount {
  readonly resolve: (count: PromptCount) => void;
  readonly reject: (error: unknown) => void;
}

export interface SessionOptions {
  readonly backend: string;
  readonly link: Link<DeviceMessage, RouterMessage>;
  readonly clock: Clock;
  /** Names the session to the device. */
  readonly session: string;
  readonly onEnd: (code: string) => void;
  /** How often the device is to repeat its state. */
  readonly heartbeatMs?: number;
  /** Absent on a pipe. */
  readonly names?: LinkNames;
  /** The device said `bye`; the link ends. */
  readonly onBye?: (code: string) => void;
  /** Fields of its messages were cut or left out. */
  readonly onClipped?: (fields: readonly string[]) => void;
}

/** Who the router is to a device, and what it calls the device. */
export interface LinkNames {
  readonly router: { readonly id: string; readonly name: string; readonly version: string };
  readonly device: () => string;
}

/** One device on one link, from its `hello` to the end of the link. */
export class DeviceSession {
  readonly #options: SessionOptions;
  readonly #calls = new Map<number, DeviceCall>();
  readonly #counts = new Map<number, PendingCount>();
  readonly #cancelHello: () => void;
  #nextId = 0;
  #hello: MessageOf<DeviceMessage, 'hello'> | undefined;
  #offers: readonly ModelOffer[] = [];
  #state: MessageOf<DeviceMessage, 'state'> | undefined;
  #progress: MessageOf<DeviceMessage, 'progress'> | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { link, clock, onEnd, onClipped } = options;
    this.#cancelHello = clock.schedule(helloMs, () => link.close('no_hello'));
    link.listen({
      onMessage: (message) => this.#receive(message),
      onClipped: (fields) => onClipped?.(fields),
      onInvalid: (_type, id) => id !== undefined && this.#calls.get(id)?.malformed(),
      onClose: (code) => {
        this.#cancelHello();
        this.#lose();
        onEnd(code);
      },
    });
  }

  get hello(): MessageOf<DeviceMessage, 'hello'> | undefined {
    return this.#hello;
  }

  /** What it serves. */
  get offers(): readonly ModelOffer[] {
    return this.#offers;
  }

  get state(): MessageOf<DeviceMessage, 'state'> | undefined {
    return this.#state;
  }

  /** Of a download or load, while one is under way. */
  get progress(): MessageOf<DeviceMessage, 'progress'> | undefined {
    return this.#progress;
  }

  /** @throws BackendError when the device cannot be asked this at all. */
  complete(request: ChatRequest, call: CallContext, capabilities: Capabilities): DeviceCall {
    const { backend, link } = this.#options;
    if (link.closed || this.#hello === undefined) throw linkFault('unreachable', backend);
    const id = this.#nextId++;
    const message = completeMessage(request, call, { id, backend, capabilities });
    this.#send(message);
    const running = new DeviceCall(backend, request, call, {
      onAbandon: () => {
        this.#calls.delete(id);
        link.send({ t: 'cancel', id });
      },
    });
    this.#calls.set(id, running);
    return running;
  }

  /** @throws BackendError, or the signal's reason. */
  async count(request: ChatRequest, model: string, signal: AbortSignal): Promise<PromptCount> {
    const { backend, link } = this.#options;
    signal.throwIfAborted();
    const id = this.#nextId++;
    this.#send({ t: 'count', id, model, ...wirePrompt(request, backend) });
    const { promise, resolve, reject } = Promise.withResolvers<PromptCount>();
    this.#counts.set(id, { resolve, reject });
    const onAbort = (): void => {
      link.send({ t: 'cancel', id });
      reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#counts.delete(id);
    }
  }

  sayDrain(on: boolean): void {
    if (!this.#options.link.closed) this.#options.link.send({ t: 'drain', on });
  }

  close(code: ByeCode): void {
    this.#options.link.close(code);
  }

  #send(message: RouterMessage): void {
    try {
      this.#options.link.send(message);
    } catch (error) {
      throw error instanceof MessageTooLargeError ? linkFault('tooLarge', this.#options.backend, error) : error;
    }
  }

  #receive(message: DeviceMessage): void {
    if (message.t === 'hello') return this.#welcome(message);
    if (message.t === 'bye') {
      this.#options.onBye?.(message.code);
      return this.#options.link.close('closing');
    }
    switch (message.t) {
      case 'state':
        return this.#newState(message);
      case 'models':
        this.#offers = message.models;
        return;
      case 'progress':
        return this.#progressed(message);
      case 'accepted':
        return this.#calls.get(message.id)?.accepted(message);
      case 'delta':
        return this.#calls.get(message.id)?.delta(message);
      case 'done':
        this.#calls.get(message.id)?.done(message);
        this.#calls.delete(message.id);
        return;
      case 'counted':
        return this.#counts.get(message.id)?.resolve(countOf(message));
      case 'error':
        return this.#failed(message);
      case 'ping':
        this.#options.link.send({ t: 'pong', n: message.n });
        return;
      case 'ok':
      case 'pong':
        return;
    }
  }

  #welcome(hello: MessageOf<DeviceMessage, 'hello'>): void {
    const { link, session, backend, names, heartbeatMs = pipeHeartbeatMs } = this.#options;
    this.#cancelHello();
    this.#hello = hello;
    this.#offers = hello.models;
    link.agreeMaxFrame(hello.max_frame);
    link.send({
      t: 'welcome',
      v: protocolVersions[0],
      session,
      resumed: false,
      resume: [],
      heartbeat_ms: heartbeatMs,
      // A pipe that breaks has no other end left to return to.
      grace_ms: 0,
      max_frame: Math.min(hello.max_frame, maxFrameBytes),
      router: names?.router ?? { id: 'router', name: 'router', version: '0.1.0' },
      device: { id: backend, name: names?.device() ?? backend },
      features: hello.features.filter((feature) => usedFeatures.has(feature)),
    });
  }

  #newState(state: MessageOf<DeviceMessage, 'state'>): void {
    if (this.#state !== undefined && state.seq <= this.#state.seq) return;
    this.#state = state;
    if (state.code !== 'loading') this.#progress = undefined;
  }

  #progressed(progress: MessageOf<DeviceMessage, 'progress'>): void {
    if (progress.id !== undefined) return this.#calls.get(progress.id)?.progress(progress);
    this.#progress = progress;
    for (const call of this.#calls.values()) call.alive();
  }

  #failed(error: MessageOf<DeviceMessage, 'error'>): void {
    if (error.id === undefined) return;
    this.#calls.get(error.id)?.failed(error);
    this.#calls.delete(error.id);
    this.#counts.get(error.id)?.reject(deviceFault(this.#options.backend, error));
  }

  #lose(): void {
    for (const call of this.#calls.values()) call.lost();
    this.#calls.clear();
    const error = linkFault('lostBefore', this.#options.backend);
    for (const count of this.#counts.values()) count.reject(error);
  }
}

function countOf({ tokens, warm }: MessageOf<DeviceMessage, 'counted'>): PromptCount {
  return { tokens, ...(warm === undefined ? {} : { warmTokens: Math.min(warm, tokens) }) };
}

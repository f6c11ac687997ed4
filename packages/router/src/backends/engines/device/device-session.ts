import { maxFrameBytes, MessageTooLargeError, protocolVersions } from '@lfo/protocol';
import type { ByeCode, DeviceMessage, Link, MessageOf, ModelOffer, RouterMessage } from '@lfo/protocol';
import type { CallContext, Capabilities, PromptCount } from '../../../core/backend.ts';
import type { Clock } from '../../../core/clock.ts';
import type { ChatRequest } from '../../../core/request.ts';
import { completeMessage, wirePrompt } from './complete-message.ts';
import { DeviceCall } from './device-call.ts';
import { deviceFault, linkFault } from './device-fault.ts';
import { LinkWatch } from './link-watch.ts';

/** A device that has not introduced itself after this long is not one. */
export const helloMs = 30_000;
/** How often a device repeats its state, unless said otherwise. */
const defaultHeartbeatMs = 20_000;
/** A call must be accepted, or anything said of it, within this or four round trips, whichever is longer. */
const leastAnswerMs = 3_000;
/** Calls in a row of which nothing was said; then the device is taken for dead. */
const mostUnanswered = 2;
/** A count that takes longer is not worth waiting for: an estimate does. */
export const countMs = 400;

/** What of the features of a device is used. */
const usedFeatures: ReadonlySet<string> = new Set(['count', 'embed']);

/** What a device answers to texts. */
type Embedded = Pick<MessageOf<DeviceMessage, 'embedded'>, 'vectors' | 'tokens'>;
type EmbedSettled = (error: unknown, embedded: Embedded | undefined) => void;
type CountSettled = (count: PromptCount | undefined) => void;

export interface SessionOptions {
  readonly backend: string;
  readonly link: Link<DeviceMessage, RouterMessage>;
  readonly clock: Clock;
  /** Names the session to the device. */
  readonly session: string;
  /** How often the device is to repeat its state. */
  readonly heartbeatMs?: number;
  /** Once: `silent` for a device that has hung, which must be ended by other means; else why the link is over. */
  readonly onEnd: (code: string) => void;
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
  readonly #counts = new Map<number, CountSettled>();
  readonly #embeds = new Map<number, EmbedSettled>();
  readonly #cancelHello: () => void;
  #watch: LinkWatch | undefined;
  #nextId = 0;
  #unanswered = 0;
  /** A count went unanswered, and nothing was heard since. */
  #isDeaf = false;
  #isOver = false;
  #hello: MessageOf<DeviceMessage, 'hello'> | undefined;
  #offers: readonly ModelOffer[] = [];
  #state: MessageOf<DeviceMessage, 'state'> | undefined;
  #progress: MessageOf<DeviceMessage, 'progress'> | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { link, clock, onClipped } = options;
    this.#cancelHello = clock.schedule(helloMs, () => this.#silent('no_hello'));
    link.listen({
      onMessage: (message) => this.#receive(message),
      onClipped: (fields) => onClipped?.(fields),
      onInvalid: (_type, id) => {
        this.#heard();
        if (id !== undefined) this.#calls.get(id)?.malformed();
      },
      onClose: (code) => this.#over(code),
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
      answerWithinMs: Math.max(leastAnswerMs, 4 * (this.#watch?.rttMs ?? 0)),
      onAbandon: () => {
        this.#forget(id);
        link.send({ t: 'cancel', id });
      },
      onUnanswered: () => {
        if (++this.#unanswered >= mostUnanswered) this.#silent('silent');
      },
    });
    this.#calls.set(id, running);
    this.#watch?.setBusy(true);
    return running;
  }

  /** Undefined where the device cannot tell, or not in time. @throws the signal's reason */
  async count(request: ChatRequest, model: string, signal: AbortSignal): Promise<PromptCount | undefined> {
    const { backend, link, clock } = this.#options;
    signal.throwIfAborted();
    if (link.closed || this.#hello === undefined || this.#isDeaf) return undefined;
    const id = this.#nextId++;
    this.#send({ t: 'count', id, model, ...wirePrompt(request, backend) });
    return await new Promise((resolve, reject) => {
      const settle: CountSettled = (count) => {
        cancelLimit();
        signal.removeEventListener('abort', onAbort);
        this.#counts.delete(id);
        resolve(count);
      };
      const onAbort = (): void => {
        reject(signal.reason);
        settle(undefined);
        link.send({ t: 'cancel', id });
      };
      const cancelLimit = clock.schedule(countMs, () => {
        settle(undefined);
        this.#isDeaf = true;
        link.send({ t: 'cancel', id });
      });
      this.#counts.set(id, settle);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** @throws BackendError; the signal's reason */
  async embed(inputs: readonly string[], model: string, truncate: boolean, signal: AbortSignal): Promise<Embedded> {
    const { backend, link } = this.#options;
    signal.throwIfAborted();
    if (link.closed || this.#hello === undefined) throw linkFault('unreachable', backend);
    const id = this.#nextId++;
    this.#send({ t: 'embed', id, model, inputs: [...inputs], truncate });
    return await new Promise((resolve, reject) => {
      const onAbort = (): void => {
        link.send({ t: 'cancel', id });
        settle(signal.reason, undefined);
      };
      const settle: EmbedSettled = (error, embedded) => {
        signal.removeEventListener('abort', onAbort);
        this.#embeds.delete(id);
        if (embedded === undefined) reject(error);
        else resolve(embedded);
      };
      this.#embeds.set(id, settle);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** For the device's screen. */
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

  #heard(): void {
    this.#isDeaf = false;
    this.#watch?.heard();
  }

  #receive(message: DeviceMessage): void {
    this.#heard();
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
        return this.#answering(message.id)?.accepted(message);
      case 'delta':
        return this.#answering(message.id)?.delta(message);
      case 'done':
        this.#answering(message.id)?.done(message);
        return this.#forget(message.id);
      case 'counted':
        return this.#counts.get(message.id)?.(countOf(message));
      case 'embedded':
        return this.#embeds.get(message.id)?.(undefined, message);
      case 'error':
        return this.#failed(message);
      case 'ping':
        this.#options.link.send({ t: 'pong', n: message.n });
        return;
      case 'pong':
        return this.#watch?.ponged(message.n);
      case 'ok':
        return;
    }
  }

  #welcome(hello: MessageOf<DeviceMessage, 'hello'>): void {
    const { link, session, clock, backend, names, heartbeatMs = defaultHeartbeatMs } = this.#options;
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
    this.#watch = new LinkWatch({
      clock,
      heartbeatMs,
      ping: (n) => link.send({ t: 'ping', n }),
      onSilent: () => this.#silent('silent'),
    });
  }

  #newState(state: MessageOf<DeviceMessage, 'state'>): void {
    if (this.#state !== undefined && state.seq <= this.#state.seq) return;
    this.#state = state;
    if (state.code !== 'loading') this.#progress = undefined;
  }

  #progressed(progress: MessageOf<DeviceMessage, 'progress'>): void {
    if (progress.id !== undefined) return this.#answering(progress.id)?.progress(progress);
    this.#progress = progress;
    for (const call of this.#calls.values()) call.alive();
  }

  #failed(error: MessageOf<DeviceMessage, 'error'>): void {
    if (error.id === undefined) return;
    this.#answering(error.id)?.failed(error);
    this.#forget(error.id);
    this.#counts.get(error.id)?.(undefined);
    this.#embeds.get(error.id)?.(deviceFault(this.#options.backend, error), undefined);
  }

  /** The call the device speaks of: it listens. */
  #answering(id: number): DeviceCall | undefined {
    const call = this.#calls.get(id);
    if (call !== undefined) this.#unanswered = 0;
    return call;
  }

  #forget(id: number): void {
    this.#calls.delete(id);
    if (this.#calls.size === 0) this.#watch?.setBusy(false);
  }

  /** Gives the device up. The link is closed too, but a process that has stopped does not read that. */
  #silent(code: ByeCode): void {
    this.#over(code);
    this.#options.link.close(code);
  }

  #over(code: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelHello();
    this.#watch?.close();
    for (const call of this.#calls.values()) call.lost();
    this.#calls.clear();
    for (const settle of this.#counts.values()) settle(undefined);
    for (const settle of this.#embeds.values()) settle(linkFault('lostBefore', this.#options.backend), undefined);
    this.#options.onEnd(code);
  }
}

function countOf({ tokens, warm }: MessageOf<DeviceMessage, 'counted'>): PromptCount {
  return { tokens, ...(warm === undefined ? {} : { warmTokens: Math.min(warm, tokens) }) };
}

import { lastWords, Liveness, maxFrameBytes, MessageTooLargeError, protocolVersions } from '@lfo/protocol';
import type { Cancellation } from '../../../core/abort.ts';
import type { ByeCode, DeviceMessage, Link, MessageOf, ModelOffer, RouterMessage } from '@lfo/protocol';
import type { CallContext, Capabilities, PromptCount } from '../../../core/backend.ts';
import type { Clock } from '../../../core/clock.ts';
import type { FleetRouter } from '../../../core/devices.ts';
import type { ChatRequest } from '../../../core/request.ts';
import { completeMessage, wirePrompt } from './complete-message.ts';
import { DeviceCall } from './device-call.ts';
import { deviceFault, linkFault } from './device-fault.ts';
import type { PrefixBook } from './prefix-book.ts';
import type { RouterSession } from './router-session.ts';
import type { GreetedLink, Greeting } from './session-keeper.ts';

/** A device that has not introduced itself after this long is not one. */
export const helloMs = 30_000;
/** How often a device repeats its state, unless said otherwise. */
const defaultHeartbeatMs = 20_000;
/** Calls in a row of which nothing was said; then the device is taken for dead. */
const mostUnanswered = 2;
/** A count that takes longer is not worth waiting for: an estimate does. */
export const countMs = 400;
/** Longest wait for a device's word that it loads or unloads its model. */
const loadMs = 5_000;

/** What of the features of a device is used. */
const usedFeatures: ReadonlySet<string> = new Set(['count', 'resume', 'lanes', 'embed', 'prefill', 'load', 'routers']);

/** What a device answers to texts. */
type Embedded = Pick<MessageOf<DeviceMessage, 'embedded'>, 'vectors' | 'tokens'>;
type Hello = MessageOf<DeviceMessage, 'hello'>;
/** What answers a question that is no request. */
type Reply = MessageOf<DeviceMessage, 'counted' | 'embedded' | 'ok'>;

/** A question that waits for its reply. */
interface Question {
  readonly take: (reply: Reply) => void;
  readonly fail: (error: unknown) => void;
}

/** How long a reply is waited for; absent: as long as the link lasts. */
interface Patience {
  readonly signal?: Cancellation;
  readonly limitMs?: number;
  /** The time is over. */
  readonly onLate?: () => void;
}

export interface LinkOptions {
  readonly backend: string;
  readonly link: Link<DeviceMessage, RouterMessage>;
  readonly clock: Clock;
  /** Ends the link without a word. */
  readonly cut: () => void;
  /** Decides which session a device that has introduced itself goes on with. */
  readonly greet: (hello: Hello, link: GreetedLink) => Greeting;
  /** The link is over; the session may outlive it. `isForGood`: the device does not return to it. */
  readonly onClosed: (link: GreetedLink, isForGood: boolean) => void;
  /** How often the device is to repeat its state. */
  readonly heartbeatMs?: number;
  /** Of sessions that outlive their links. */
  readonly graceMs: number;
  /** Once: `silent` for a device that has hung, which must be ended by other means; else why the link is over. */
  readonly onEnd: (code: string) => void;
  /** Absent on a pipe. */
  readonly names?: LinkNames;
  /** What stands for a client's key towards the device; absent: the key's id itself. */
  readonly prefixKey?: (clientKey: string) => string;
  /** What prompts usually begin with: read by a device that has just come and has nothing to do. */
  readonly prefixes?: PrefixBook;
  /** May tighten the gates of the device's owner. */
  readonly policy?: Policy;
  /** The device said `bye`; the link ends. */
  readonly onBye?: (code: string) => void;
  /** It offers other models than before. */
  readonly onOffers?: () => void;
  /** Fields of its messages were cut or left out. */
  readonly onClipped?: (fields: readonly string[]) => void;
}

/** What `welcome` asks of a device's gates. */
export type Policy = NonNullable<MessageOf<RouterMessage, 'welcome'>['policy']>;

/** Who the router is to a device, and what it calls the device. */
export interface LinkNames {
  readonly router: { readonly id: string; readonly name: string; readonly version: string };
  readonly device: () => string;
  /** Others of the same owner, which the device may dial too; absent: none. */
  readonly routers?: () => readonly FleetRouter[];
}

/** One device on one link, from its `hello` to the end of the link; its calls belong to its session. */
export class DeviceLink {
  readonly #options: LinkOptions;
  readonly #questions = new Map<number, Question>();
  readonly #cancelHello: () => void;
  readonly #greeted: GreetedLink;
  #session: RouterSession | undefined;
  #watch: Liveness | undefined;
  #unanswered = 0;
  /** A count went unanswered, and nothing was heard since. */
  #isDeaf = false;
  #isOver = false;
  #lastWord: string | undefined;
  #hello: Hello | undefined;
  #offers: readonly ModelOffer[] = [];
  #state: MessageOf<DeviceMessage, 'state'> | undefined;
  #foreign: ReadonlyMap<string, number> = new Map();
  #progress: MessageOf<DeviceMessage, 'progress'> | undefined;
  /** Beginnings of prompts it was asked to read, and the request under way. */
  readonly #prefilled = new Set<string>();
  #prefilling: number | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    const { link, clock, onClipped } = options;
    this.#greeted = {
      send: (message) => void link.send(message),
      close: (code) => this.close(code),
      cut: options.cut,
      rttMs: () => this.#watch?.rttMs ?? 0,
    };
    this.#cancelHello = clock.schedule(helloMs, () => this.#silent('no_hello'));
    link.listen({
      onMessage: (message) => this.#receive(message),
      onClipped: (fields) => onClipped?.(fields),
      onInvalid: (_type, id) => {
        this.#heard();
        if (id !== undefined) this.#session?.malformed(id);
      },
      onClose: (code) => this.#over(this.#lastWord ?? code),
    });
  }

  get hello(): MessageOf<DeviceMessage, 'hello'> | undefined {
    return this.#hello;
  }

  /** Smoothed round trip; absent until measured. */
  get rttMs(): number | undefined {
    return this.#watch?.rttMs;
  }

  /** What it serves. */
  get offers(): readonly ModelOffer[] {
    return this.#offers;
  }

  get state(): MessageOf<DeviceMessage, 'state'> | undefined {
    return this.#state;
  }

  /** Requests of others at one of its models, as of its last state: what it counted beside ours. */
  foreign(model: string): number {
    return this.#foreign.get(model) ?? 0;
  }

  /** Of a download or load, while one is under way. */
  get progress(): MessageOf<DeviceMessage, 'progress'> | undefined {
    return this.#progress;
  }

  /** @throws BackendError when the device cannot be asked this at all. */
  complete(request: ChatRequest, call: CallContext, capabilities: Capabilities): DeviceCall {
    const { backend, link } = this.#options;
    const session = this.#session;
    if (link.closed || session === undefined) throw linkFault('unreachable', backend);
    const id = session.takeId();
    const message = completeMessage(request, call, {
      id,
      backend,
      capabilities,
      wantsPrefixes: this.#options.names !== undefined,
      prefixKey: this.#options.prefixKey,
    });
    const running = new DeviceCall(backend, request, call, {
      onAbandon: () => session.abandon(id),
      onUnanswered: () => {
        if (++this.#unanswered >= mostUnanswered) this.#silent('silent');
      },
    });
    refuseTooLarge(backend, () => session.start(message, running));
    this.#watch?.setBusy(true);
    return running;
  }

  /** Undefined where the device cannot tell, or not in time. @throws the signal's reason */
  async count(request: ChatRequest, model: string, signal: Cancellation): Promise<PromptCount | undefined> {
    const { backend, link, prefixKey } = this.#options;
    signal.throwIfAborted();
    if (link.closed || this.#session === undefined || this.#isDeaf) return undefined;
    const id = this.#session.takeId();
    refuseTooLarge(backend, () => link.send({ t: 'count', id, model, ...wirePrompt(request, backend, prefixKey) }));
    const onLate = (): void => {
      this.#isDeaf = true;
      link.send({ t: 'cancel', id });
    };
    const read = (reply: Reply): PromptCount | undefined => (reply.t === 'counted' ? countOf(reply) : undefined);
    return await this.#reply(id, read, { signal, limitMs: countMs, onLate }).catch(() => {
      signal.throwIfAborted();
      return undefined;
    });
  }

  /** @throws BackendError; the signal's reason */
  async embed(inputs: readonly string[], model: string, truncate: boolean, signal: Cancellation): Promise<Embedded> {
    const { backend, link } = this.#options;
    signal.throwIfAborted();
    const session = this.#session;
    if (link.closed || session === undefined) throw linkFault('unreachable', backend);
    const id = session.takeId();
    refuseTooLarge(backend, () => link.send({ t: 'embed', id, model, inputs: [...inputs], truncate }));
    return await this.#reply(id, (reply) => (reply.t === 'embedded' ? reply : undefined), { signal });
  }

  /** Whether the device loads and unloads its model when it is asked to. */
  get takesLoads(): boolean {
    return this.#hello?.features.includes('load') === true;
  }

  /**
   * Has the model brought into memory, or out of it once what runs has ended; resolves when the device has understood.
   * @throws BackendError where it refuses, leaves or says nothing in time
   */
  async setLoaded(model: string, isLoaded: boolean): Promise<void> {
    const { backend, link } = this.#options;
    const session = this.#session;
    if (link.closed || session === undefined) throw linkFault('unreachable', backend);
    const id = session.takeId();
    link.send({ t: isLoaded ? 'load' : 'unload', id, model });
    await this.#reply(id, (reply) => (reply.t === 'ok' ? reply : undefined), { limitMs: loadMs });
  }

  /**
   * Waits for what answers a question that was sent. Rejects with what the device refuses it by, with a fault where the
   * link ends or the time is over, and with the signal's reason, of which the device is told.
   */
  #reply<Answer>(
    id: number,
    read: (reply: Reply) => Answer | undefined,
    { signal, limitMs, onLate }: Patience,
  ): Promise<Answer> {
    const { backend, link, clock } = this.#options;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        cancelLimit();
        signal?.removeEventListener('abort', onAbort);
        this.#questions.delete(id);
      };
      const fail = (error: unknown): void => {
        end();
        reject(error);
      };
      const onAbort = (): void => {
        fail(signal?.reason);
        link.send({ t: 'cancel', id });
      };
      const onLimit = (): void => {
        fail(linkFault('unreachable', backend));
        onLate?.();
      };
      const cancelLimit = limitMs === undefined ? () => {} : clock.schedule(limitMs, onLimit);
      const take = (reply: Reply): void => {
        const answer = read(reply);
        if (answer === undefined) return;
        end();
        resolve(answer);
      };
      this.#questions.set(id, { take, fail });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Tells of the other routers of its owner, where it wants to know. */
  sayRouters(routers: readonly FleetRouter[]): void {
    if (this.#hello?.features.includes('routers') !== true) return;
    this.#options.link.send({ t: 'routers', routers: wireRouters(routers) });
  }

  /** For the device's screen. */
  sayDrain(on: boolean): void {
    if (!this.#options.link.closed) this.#options.link.send({ t: 'drain', on });
  }

  close(code: ByeCode): void {
    this.#options.link.close(code);
  }

  #heard(): void {
    this.#isDeaf = false;
    this.#watch?.setBusy((this.#session?.waitedFor ?? 0) > 0);
    this.#watch?.heard();
  }

  #receive(message: DeviceMessage): void {
    this.#heard();
    if (message.t === 'hello') return this.#welcome(message);
    if (message.t === 'bye') {
      this.#lastWord = message.code;
      this.#options.onBye?.(message.code);
      return this.#options.link.close('closing');
    }
    switch (message.t) {
      case 'state':
        return this.#newState(message);
      case 'models':
        this.#offers = message.models;
        this.#options.onOffers?.();
        return;
      case 'progress':
        return this.#progressed(message);
      case 'accepted':
        return this.#vouched(message.id, message.position === 0);
      case 'delta':
      case 'done':
        return this.#answered(message);
      case 'counted':
      case 'embedded':
        return this.#questions.get(message.id)?.take(message);
      case 'error':
        this.#answered(message);
        this.#prefillEnded(message.id);
        return this.#questions.get(message.id ?? -1)?.fail(deviceFault(this.#options.backend, message));
      case 'ping':
        this.#options.link.send({ t: 'pong', n: message.n });
        return;
      case 'pong':
        return this.#watch?.pong(message.n);
      case 'ok':
        this.#questions.get(message.id)?.take(message);
        return this.#prefillEnded(message.id);
    }
  }

  #welcome(hello: Hello): void {
    const { link, clock, backend, names, policy, graceMs, heartbeatMs = defaultHeartbeatMs } = this.#options;
    this.#cancelHello();
    link.agreeMaxFrame(hello.max_frame);
    // Whoever greets it looks at what it offers.
    this.#offers = hello.models;
    const greeting = this.#options.greet(hello, this.#greeted);
    if (greeting.kind === 'conflict') return;
    this.#hello = hello;
    this.#session = greeting.session;
    const others = names?.routers?.() ?? [];
    link.send({
      t: 'welcome',
      v: protocolVersions[0],
      session: greeting.session.id,
      resumed: greeting.kind === 'resumed',
      resume: greeting.resume,
      heartbeat_ms: heartbeatMs,
      grace_ms: graceMs,
      max_frame: Math.min(hello.max_frame, maxFrameBytes),
      router: names?.router ?? { id: 'router', name: 'router', version: '0.1.0' },
      device: { id: backend, name: names?.device() ?? backend },
      ...(policy === undefined ? {} : { policy }),
      ...(others.length === 0 ? {} : { routers: wireRouters(others) }),
      features: hello.features.filter((feature) => usedFeatures.has(feature) && (feature !== 'resume' || graceMs > 0)),
    });
    for (const request of greeting.again) {
      // It takes less than before within one session.
      if (!fitting(() => link.send(request))) greeting.session.tooLarge(request.id);
    }
    this.#watch = new Liveness({
      clock,
      periodMs: heartbeatMs,
      pingsIdle: true,
      ping: (n) => link.send({ t: 'ping', n }),
      onSilent: () => this.#silent('silent'),
    });
    this.#watch.start();
    this.#watch.setBusy(greeting.session.waitedFor > 0);
  }

  #newState(state: MessageOf<DeviceMessage, 'state'>): void {
    if (this.#state !== undefined && state.seq <= this.#state.seq) return;
    this.#state = state;
    // Before anything else is sent: what is ours is what had been acknowledged when it counted.
    this.#foreign = new Map(
      state.models.map(({ id, active, queued }) => [
        id,
        Math.max(0, active + queued - (this.#session?.acknowledged(id) ?? 0)),
      ]),
    );
    if (state.code !== 'loading') this.#progress = undefined;
    this.#prefill(state);
  }

  /** One beginning of prompts for each slot, while the device has nothing to do and is not on battery. */
  #prefill(state: MessageOf<DeviceMessage, 'state'>): void {
    const {
      accepting,
      battery,
      models: [model],
    } = state;
    const { prefixes, link, backend, prefixKey } = this.#options;
    const session = this.#session;
    if (prefixes === undefined || session === undefined || this.#hello?.features.includes('prefill') !== true) return;
    const isIdle = model !== undefined && model.resident && model.active + model.queued === 0 && session.running === 0;
    if (!accepting || !isIdle || battery?.charging === false || this.#prefilling !== undefined) return;
    if (this.#prefilled.size >= model.slots) return;
    const warm = new Set(model.warm?.map(({ h }) => h));
    for (;;) {
      const next = prefixes.next(backend, model.id, (hash) => warm.has(hash) || this.#prefilled.has(hash));
      if (next === undefined) return;
      const { hash, request } = next;
      this.#prefilled.add(hash);
      const id = session.takeId();
      const prompt = wirePrompt(request, backend, prefixKey);
      const prefix = [{ h: hash, messages: request.messages.length }];
      if (!fitting(() => link.send({ t: 'prefill', id, model: model.id, ...prompt, prefix }))) continue;
      this.#prefilling = id;
      return;
    }
  }

  #prefillEnded(id: number | undefined): void {
    if (id === undefined || id !== this.#prefilling) return;
    this.#prefilling = undefined;
    if (this.#state !== undefined) this.#prefill(this.#state);
  }

  #progressed(progress: MessageOf<DeviceMessage, 'progress'>): void {
    if (progress.id !== undefined) return this.#vouched(progress.id, progress.done > 0);
    this.#progress = progress;
    this.#session?.vouched();
  }

  #vouched(id: number, isStarted: boolean): void {
    if (this.#session?.has(id) === true) this.#unanswered = 0;
    this.#session?.vouched(id, isStarted);
  }

  #answered(message: MessageOf<DeviceMessage, 'delta' | 'done' | 'error'>): void {
    if (this.#session?.has(message.id ?? -1) === true) this.#unanswered = 0;
    this.#session?.receive(message);
    if (message.t !== 'delta') this.#watch?.setBusy((this.#session?.waitedFor ?? 0) > 0);
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
    this.#watch?.stop();
    const { backend, onEnd, onClosed } = this.#options;
    for (const { fail } of this.#questions.values()) fail(linkFault('lostBefore', backend));
    onEnd(code);
    onClosed(this.#greeted, lastWords.has(code));
  }
}

function wireRouters(routers: readonly FleetRouter[]) {
  return routers.map(({ name, key, hosts, port }) => ({ name, key, hosts: [...hosts], port }));
}

function countOf({ tokens, warm }: MessageOf<DeviceMessage, 'counted'>): PromptCount {
  return { tokens, ...(warm === undefined ? {} : { warmTokens: Math.min(warm, tokens) }) };
}

/** @throws BackendError where the request does not fit a message */
function refuseTooLarge(backend: string, send: () => unknown): void {
  if (!fitting(send)) throw linkFault('tooLarge', backend);
}

/** Sends what fits a message; false where it does not. Whoever hears the device must not throw: nobody would catch it. */
function fitting(send: () => unknown): boolean {
  try {
    send();
    return true;
  } catch (error) {
    if (error instanceof MessageTooLargeError) return false;
    throw error;
  }
}

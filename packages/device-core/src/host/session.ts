import { base64url, lastWords, Liveness, maxFrameBytes, protocolVersions } from '@lfo/protocol';
import type { ByeCode, Clock, DeviceMessage, Link, MessageOf, ModelOffer, RouterMessage } from '@lfo/protocol';
import { every } from '../clock.ts';
import { EngineError, type LoadedModel } from '../engine/engine.ts';
import { KeptAnswers, type Numbered } from '../session/kept-answers.ts';
import {
  Answer,
  type AnswerOutlet,
  type EngineHeartbeat,
  errorMessage,
  keepAliveMs,
  progressPeriodMs,
} from './answer.ts';
import type { LoadProgress } from './hosted-model.ts';
import type { Place, SlotQueue } from './slot-queue.ts';

/** Used when the router names no period of its own. */
const stateMs = 20_000;

/** State as sessions send it, without its sequence number. */
export type HostState = Omit<MessageOf<DeviceMessage, 'state'>, 't' | 'seq'>;

/** What a session asks of the host whose model it serves. */
export interface SessionHost {
  readonly clock: Clock;
  readonly heartbeat: EngineHeartbeat;
  readonly queue: SlotQueue;
  /** The download or load under way, while one is. */
  readonly progress: LoadProgress | undefined;
  /** Why nothing is accepted now. */
  readonly refusal: EngineError | undefined;
  hello(): MessageOf<DeviceMessage, 'hello'>;
  state(): HostState;
  /** What it serves now. */
  offers(): ModelOffer[];
  load(): void;
  unload(): void;
  /** The router asks for more care than the owner; undefined: no longer. */
  setPolicy(session: Session, policy: MessageOf<RouterMessage, 'welcome'>['policy']): void;
  /** @throws EngineError `no_model` when the name is not that of a model in memory. */
  modelFor(name: string): LoadedModel;
}

/** Beginnings of prompts that are told of. */
const mostWarm = 16;

/** What goes with one link: ended when the link is. */
interface Attached {
  readonly link: Link<RouterMessage, DeviceMessage>;
  /** For work without a number: it is not taken up on another link. */
  readonly gone: AbortController;
  readonly timers: (() => void)[];
  liveness: Liveness | undefined;
  isWelcomed: boolean;
  lastWord: string | undefined;
}

/**
 * One router, on one link after another. Where both sides can, what is said of requests is kept until it is acknowledged
 * and sent on from there when the device is back within the grace; else the requests end with the link.
 */
export class Session {
  readonly #host: SessionHost;
  readonly #onEnd: () => void;
  /** Links of its router can follow one another: not so on a pipe. */
  readonly #mayReturn: boolean;
  readonly #answers = new Map<number, Answer>();
  readonly #counts = new Map<number, AbortController>();
  readonly #kept: KeptAnswers;
  #attached: Attached | undefined;
  /** The router returns to the session, for so long; 0: it does not. */
  #graceMs = 0;
  /** Beginnings of prompts that are likely to be in the cache, as the router names them; the newest last. */
  readonly #warm = new Map<string, number>();
  #draining = false;
  #seq = 0;
  #lastState = '';
  #lastOffers = '';
  #lastProgressMs = -Infinity;

  constructor(host: SessionHost, mayReturn: boolean, onEnd: () => void) {
    this.#host = host;
    this.#mayReturn = mayReturn;
    this.#onEnd = onEnd;
    this.#kept = new KeptAnswers({
      clock: host.clock,
      cancel: (id) => this.#answers.get(id)?.end(routerGone()),
      onOver: () => this.#over(),
    });
  }

  /** Says hello on a link to the router and goes on there; an older link does not matter from now on. */
  attach(link: Link<RouterMessage, DeviceMessage>): void {
    const older = this.#attached;
    const attached: Attached = {
      link,
      gone: new AbortController(),
      timers: [],
      liveness: undefined,
      isWelcomed: false,
      lastWord: undefined,
    };
    this.#attached = attached;
    if (older !== undefined) this.#left(older);
    link.listen({
      onMessage: (message) => {
        if (this.#attached === attached) this.#receive(message, attached);
      },
      onDrain: () => this.#drained(),
      onClose: (code) => this.#closed(attached, attached.lastWord ?? code),
    });
    const hello = this.#host.hello();
    const session = this.#kept.hello;
    this.#lastOffers = JSON.stringify(hello.models);
    const features = this.#mayReturn ? [...hello.features, 'resume', 'routers'] : hello.features;
    link.send({ ...hello, features, ...(session === undefined ? {} : { session }) });
  }

  close(code: ByeCode): void {
    const attached = this.#attached;
    if (attached === undefined) return this.#over();
    attached.lastWord = code;
    attached.link.close(code);
  }

  /** Ends what runs and waits; the error is what the router gets. */
  endAnswers(error: EngineError): void {
    for (const answer of this.#answers.values()) answer.end(error);
  }

  /** Tells the router, unless nothing it would see has changed. */
  stateChanged(): void {
    if (this.#attached?.isWelcomed !== true) return;
    const { link } = this.#attached;
    const state = this.#state();
    const text = JSON.stringify(state);
    if (text === this.#lastState) return;
    this.#lastState = text;
    const offers = this.#host.offers();
    if (JSON.stringify(offers) !== this.#lastOffers) link.send({ t: 'models', models: offers });
    this.#lastOffers = JSON.stringify(offers);
    link.send({ t: 'state', seq: this.#seq++, ...state });
  }

  /** Tells how far the model is, not too often. */
  loadProgressed(): void {
    const { progress, clock } = this.#host;
    if (this.#attached?.isWelcomed !== true || progress === undefined) return;
    const isDue = clock.nowMs() - this.#lastProgressMs >= progressPeriodMs;
    if (!isDue && progress.done < progress.total) return;
    this.#lastProgressMs = clock.nowMs();
    this.#attached.link.send({ t: 'progress', ...progress });
  }

  #state(): ReturnType<SessionHost['state']> {
    const said = this.#host.state();
    const warm = Array.from(this.#warm, ([h, tokens]) => ({ h, tokens }));
    const state = warm.length === 0 ? said : { ...said, models: said.models.map((model) => ({ ...model, warm })) };
    return this.#draining ? { ...state, accepting: false, code: 'draining', why: 'The device is draining.' } : state;
  }

  #receive(message: RouterMessage, attached: Attached): void {
    const { link } = attached;
    attached.liveness?.heard();
    if (message.t === 'bye') {
      attached.lastWord = message.code;
      return link.close('closing');
    }
    if (message.t === 'welcome') return this.#welcome(message, attached);
    if (!attached.isWelcomed) return link.close('bad_message');
    switch (message.t) {
      case 'complete':
        return this.#complete(message);
      case 'count':
        void this.#count(message, link);
        return;
      case 'cancel':
        return this.#cancel(message.id);
      case 'error':
        return message.id === undefined ? undefined : this.#cancel(message.id);
      case 'prefill':
        void this.#prefill(message, attached);
        return;
      case 'embed':
        void this.#embed(message, link);
        return;
      case 'load':
        return this.#load(message, link);
      case 'unload':
        this.#host.unload();
        link.send({ t: 'ok', id: message.id });
        return;
      case 'drain':
        return this.#drain(message.on);
      case 'routers':
        // Whoever dials them listens to the link.
        return;
      case 'ack':
        this.#kept.acknowledge(message.id, message.n);
        return this.#answers.get(message.id)?.drained();
      case 'ping':
        link.send({ t: 'pong', n: message.n });
        return;
      case 'pong':
        return attached.liveness?.pong(message.n);
    }
  }

  #welcome(welcome: MessageOf<RouterMessage, 'welcome'>, attached: Attached): void {
    const { link } = attached;
    if (attached.isWelcomed || !protocolVersions.some((ours) => ours === welcome.v))
      return link.close('unsupported_version');
    link.agreeMaxFrame(welcome.max_frame);
    attached.isWelcomed = true;
    this.#host.setPolicy(this, welcome.policy);
    const { clock } = this.#host;
    const periodMs = welcome.heartbeat_ms > 0 ? welcome.heartbeat_ms : stateMs;
    this.#graceMs = this.#mayReturn && welcome.features.includes('resume') ? welcome.grace_ms : 0;
    if (this.#graceMs > 0) this.#kept.welcomed(welcome, (message) => link.send(message));
    else this.#kept.end();
    // A pipe ends with its router; a cable that was pulled does not say so.
    if (this.#mayReturn) this.#watch(attached, periodMs);
    attached.timers.push(
      every(clock, periodMs, () => {
        this.#lastState = '';
        this.stateChanged();
      }),
      every(clock, keepAliveMs, () => {
        if (this.#host.heartbeat.isAlive) this.loadProgressed();
      }),
    );
    this.#lastState = '';
    this.stateChanged();
    this.loadProgressed();
    this.#drained();
  }

  #watch(attached: Attached, periodMs: number): void {
    const { link } = attached;
    attached.liveness = new Liveness({
      clock: this.#host.clock,
      periodMs,
      // The router need not speak by itself while this side repeats its state.
      pingsIdle: true,
      ping: (n) => link.send({ t: 'ping', n }),
      onSilent: () => link.close('silent'),
    });
    attached.liveness.start();
    attached.liveness.setBusy(this.#answers.size > 0);
  }

  #complete(request: MessageOf<RouterMessage, 'complete'>): void {
    const { id } = request;
    if (this.#answers.has(id) || this.#counts.has(id)) {
      // Answered without the id: with it, the request already running would seem to have failed.
      const refusal = new EngineError('bad_request', `Request ${id} is already running.`, false);
      this.#attached?.link.send(errorMessage(refusal));
      return;
    }
    if (this.#graceMs > 0 && !this.#kept.accept(id)) return;
    const refusal = this.#draining ? new EngineError('draining', 'The device is draining.', true) : this.#host.refusal;
    if (refusal !== undefined) return this.#refuseAnswer(id, refusal);

    const { clock, heartbeat, queue } = this.#host;
    const onRead = (tokens: number): void => this.#wasRead(request, tokens);
    const answer = new Answer(request, { outlet: this.#outlet(id), clock, heartbeat, onRead });
    const place = queue.enter(answer.signal, request.lane, () => answer.giveWay());
    if (place === undefined)
      return this.#refuseAnswer(id, new EngineError('busy', 'The queue of the device is full.', true));
    this.#answers.set(id, answer);
    this.#attached?.liveness?.setBusy(true);
    this.#attached?.link.send({ t: 'accepted', id, position: place.position });
    void this.#answer(id, answer, place);
  }

  /** The whole prompt is in the cache now, as far as this host knows. */
  #wasRead({ prefix }: Pick<MessageOf<RouterMessage, 'complete'>, 'prefix'>, tokens: number): void {
    const whole = prefix?.at(-1);
    if (whole === undefined) return;
    this.#warm.delete(whole.h);
    this.#warm.set(whole.h, tokens);
    for (const oldest of this.#warm.keys()) {
      if (this.#warm.size <= mostWarm) break;
      this.#warm.delete(oldest);
    }
  }

  #outlet(id: number): AnswerOutlet {
    return new Outlet({
      link: () => this.#attached?.link,
      isKept: () => this.#graceMs > 0,
      isFull: () => this.#kept.isFull(id),
      say: (message) => this.#say(message),
    });
  }

  #say(message: Numbered): void {
    if (this.#graceMs > 0) this.#kept.say(message);
    else this.#attached?.link.send(message);
  }

  async #answer(id: number, answer: Answer, place: Place): Promise<void> {
    await answer.run(place, (name) => this.#host.modelFor(name));
    this.#answers.delete(id);
    if (this.#answers.size === 0) this.#attached?.liveness?.setBusy(false);
  }

  async #count(
    { id, model, messages, tools, prefix_key }: MessageOf<RouterMessage, 'count'>,
    link: Link<RouterMessage, DeviceMessage>,
  ): Promise<void> {
    const abort = new AbortController();
    this.#counts.set(id, abort);
    try {
      const prompt = { messages, tools, ...(prefix_key === undefined ? {} : { prefixKey: prefix_key }) };
      const { tokens, warm } = await this.#host.modelFor(model).count(prompt, abort.signal);
      link.send({ t: 'counted', id, tokens, warm });
    } catch (error) {
      link.send(errorMessage(error, id));
    } finally {
      this.#counts.delete(id);
    }
  }

  /** Waits for a slot as an answer does: it is the same processor that works. */
  async #embed(
    { id, model, inputs, truncate }: MessageOf<RouterMessage, 'embed'>,
    link: Link<RouterMessage, DeviceMessage>,
  ): Promise<void> {
    const abort = new AbortController();
    this.#counts.set(id, abort);
    const place = this.#host.queue.enter(abort.signal);
    try {
      if (place === undefined) throw new EngineError('busy', 'The queue of the device is full.', true);
      await place.turn;
      const loaded = this.#host.modelFor(model);
      if (loaded.embed === undefined) throw new EngineError('unsupported', `${model} makes no embeddings.`, false);
      const { vectors, tokens } = await loaded.embed(inputs, { truncate: truncate === true }, abort.signal);
      link.send({ t: 'embedded', id, vectors: vectors.map(vectorText), tokens });
    } catch (error) {
      link.send(errorMessage(error, id));
    } finally {
      place?.leave();
      this.#counts.delete(id);
    }
  }

  /** Reads a prompt into the cache when there is nothing better to do; its one token is thrown away. */
  async #prefill(
    { id, model, messages, tools, prefix_key, prefix }: MessageOf<RouterMessage, 'prefill'>,
    { link, gone }: Attached,
  ): Promise<void> {
    const { queue } = this.#host;
    if (this.#draining || !queue.hasFreeSlot) {
      link.send(errorMessage(new EngineError('busy', 'No slot is free.', true), id));
      return;
    }
    const { signal } = gone;
    const place = queue.enter(signal);
    try {
      await place?.turn;
      const prompt = { messages, tools, ...(prefix_key === undefined ? {} : { prefixKey: prefix_key }) };
      const run = this.#host.modelFor(model).run({ ...prompt, stop: [], maxTokens: 1 }, signal, () => {});
      for await (const event of run) {
        if (event.k !== 'done') continue;
        this.#wasRead({ prefix }, event.usage.prompt_tokens);
        break;
      }
      link.send({ t: 'ok', id });
    } catch (error) {
      if (!signal.aborted) link.send(errorMessage(error, id));
    } finally {
      place?.leave();
    }
  }

  #load({ id, model }: MessageOf<RouterMessage, 'load'>, link: Link<RouterMessage, DeviceMessage>): void {
    this.#host.load();
    const [offer] = this.#host.offers();
    if (offer === undefined || offer.id === model) link.send({ t: 'ok', id });
    else link.send(errorMessage(new EngineError('no_model', `This device serves ${offer.id}.`, false), id));
  }

  #cancel(id: number): void {
    const reason = new EngineError('cancelled', 'The request was cancelled.', false);
    this.#answers.get(id)?.end(reason);
    this.#counts.get(id)?.abort(reason);
  }

  #drain(on: boolean): void {
    this.#draining = on;
    this.stateChanged();
  }

  /** A `complete` that never began: its end is the first thing numbered. */
  #refuseAnswer(id: number, error: EngineError): void {
    this.#say({ ...errorMessage(error), id, n: 0 });
  }

  #drained(): void {
    for (const answer of this.#answers.values()) answer.drained();
  }

  /** A link is no longer the session's. */
  #left({ timers, liveness, gone }: Attached): void {
    for (const end of timers.splice(0)) end();
    liveness?.stop();
    gone.abort(routerGone());
    this.#host.setPolicy(this, undefined);
    for (const count of this.#counts.values()) count.abort(routerGone());
    if (this.#graceMs > 0) this.#kept.lost(this.#graceMs);
  }

  #closed(attached: Attached, code: string): void {
    if (this.#attached !== attached) return;
    this.#attached = undefined;
    this.#left(attached);
    if (this.#graceMs === 0 || lastWords.has(code)) return this.#over();
    this.#drained();
  }

  /** Nobody returns to the session: what runs for it ends. */
  #over(): void {
    this.#kept.end();
    this.#graceMs = 0;
    for (const answer of this.#answers.values()) answer.end(routerGone());
    if (this.#attached === undefined) this.#onEnd();
  }
}

/** What one answer's outlet reads of its session. */
interface OutletView {
  readonly link: () => Link<RouterMessage, DeviceMessage> | undefined;
  /** What is said between two links is kept. */
  readonly isKept: () => boolean;
  readonly isFull: () => boolean;
  readonly say: (message: Numbered) => void;
}

/** Where one answer goes. */
class Outlet implements AnswerOutlet {
  readonly #session: OutletView;

  constructor(session: OutletView) {
    this.#session = session;
  }

  /** Between two links the engine goes on. */
  get writable(): boolean {
    const { link, isKept, isFull } = this.#session;
    return (link()?.writable ?? isKept()) && !(isKept() && isFull());
  }

  get maxMessageBytes(): number {
    return this.#session.link()?.maxMessageBytes ?? maxFrameBytes;
  }

  say(message: Numbered): void {
    this.#session.say(message);
  }

  progress(message: MessageOf<DeviceMessage, 'progress'>): void {
    this.#session.link()?.send(message);
  }
}

/** Little-endian whatever the machine. */
function vectorText(vector: Float32Array): string {
  const bytes = new DataView(new ArrayBuffer(vector.length * 4));
  vector.forEach((value, at) => bytes.setFloat32(at * 4, value, true));
  return base64url(new Uint8Array(bytes.buffer));
}

function routerGone(): EngineError {
  return new EngineError('cancelled', 'The router has gone.', false);
}

import { base64url, protocolVersions } from '@lfo/protocol';
import type { ByeCode, Clock, DeviceMessage, Link, MessageOf, ModelOffer, RouterMessage } from '@lfo/protocol';
import { every } from '../clock.ts';
import { EngineError, type LoadedModel } from '../engine/engine.ts';
import { Answer, type EngineHeartbeat, errorMessage, keepAliveMs, progressPeriodMs } from './answer.ts';
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
  /** @throws EngineError `no_model` when the name is not that of a model in memory. */
  modelFor(name: string): LoadedModel;
}

/** One router on one link, from `hello` to `bye`. */
export class Session {
  readonly #host: SessionHost;
  readonly #link: Link<RouterMessage, DeviceMessage>;
  readonly #onEnd: () => void;
  readonly #answers = new Map<number, Answer>();
  readonly #counts = new Map<number, AbortController>();
  /** Ends with the link; for work without an id. */
  readonly #gone = new AbortController();
  #timers: (() => void)[] = [];
  #welcomed = false;
  #draining = false;
  #seq = 0;
  #lastState = '';
  #lastOffers = '';
  #lastProgressMs = -Infinity;

  constructor(host: SessionHost, link: Link<RouterMessage, DeviceMessage>, onEnd: () => void) {
    this.#host = host;
    this.#link = link;
    this.#onEnd = onEnd;
  }

  start(): void {
    this.#link.listen({
      onMessage: (message) => this.#receive(message),
      onDrain: () => {
        for (const answer of this.#answers.values()) answer.drained();
      },
      onClose: () => this.#ended(),
    });
    const hello = this.#host.hello();
    this.#lastOffers = JSON.stringify(hello.models);
    this.#link.send(hello);
  }

  close(code: ByeCode): void {
    this.#link.close(code);
  }

  /** Tells the router, unless nothing it would see has changed. */
  stateChanged(): void {
    if (!this.#welcomed) return;
    const state = this.#state();
    const text = JSON.stringify(state);
    if (text === this.#lastState) return;
    this.#lastState = text;
    const offers = this.#host.offers();
    if (JSON.stringify(offers) !== this.#lastOffers) this.#link.send({ t: 'models', models: offers });
    this.#lastOffers = JSON.stringify(offers);
    this.#link.send({ t: 'state', seq: this.#seq++, ...state });
  }

  /** Tells how far the model is, not too often. */
  loadProgressed(): void {
    const { progress, clock } = this.#host;
    if (!this.#welcomed || progress === undefined) return;
    const isDue = clock.nowMs() - this.#lastProgressMs >= progressPeriodMs;
    if (!isDue && progress.done < progress.total) return;
    this.#lastProgressMs = clock.nowMs();
    this.#link.send({ t: 'progress', ...progress });
  }

  #state(): ReturnType<SessionHost['state']> {
    const state = this.#host.state();
    return this.#draining ? { ...state, accepting: false, code: 'draining', why: 'The device is draining.' } : state;
  }

  #receive(message: RouterMessage): void {
    if (message.t === 'bye') return this.#link.close('closing');
    if (message.t === 'welcome') return this.#welcome(message);
    if (!this.#welcomed) return this.#link.close('bad_message');
    switch (message.t) {
      case 'complete':
        return this.#complete(message);
      case 'count':
        void this.#count(message);
        return;
      case 'cancel':
        return this.#cancel(message.id);
      case 'error':
        return message.id === undefined ? undefined : this.#cancel(message.id);
      case 'prefill':
        void this.#prefill(message);
        return;
      case 'embed':
        void this.#embed(message);
        return;
      case 'load':
        return this.#load(message);
      case 'unload':
        this.#host.unload();
        this.#link.send({ t: 'ok', id: message.id });
        return;
      case 'drain':
        return this.#drain(message.on);
      // Nothing is kept to be sent again on a link that cannot be resumed.
      case 'ack':
        return;
      case 'ping':
        this.#link.send({ t: 'pong', n: message.n });
        return;
      case 'pong':
        return;
    }
  }

  #welcome({ v, max_frame, heartbeat_ms }: MessageOf<RouterMessage, 'welcome'>): void {
    if (this.#welcomed || !protocolVersions.some((ours) => ours === v)) return this.#link.close('unsupported_version');
    this.#link.agreeMaxFrame(max_frame);
    this.#welcomed = true;
    const { clock } = this.#host;
    this.#timers = [
      every(clock, heartbeat_ms > 0 ? heartbeat_ms : stateMs, () => {
        this.#lastState = '';
        this.stateChanged();
      }),
      every(clock, keepAliveMs, () => {
        if (this.#host.heartbeat.isAlive) this.loadProgressed();
      }),
    ];
    this.stateChanged();
    this.loadProgressed();
  }

  #complete(request: MessageOf<RouterMessage, 'complete'>): void {
    const { id } = request;
    if (this.#answers.has(id) || this.#counts.has(id)) {
      // Answered without the id: with it, the request already running would seem to have failed.
      this.#link.send(errorMessage(new EngineError('bad_request', `Request ${id} is already running.`, false)));
      return;
    }
    const refusal = this.#draining ? new EngineError('draining', 'The device is draining.', true) : this.#host.refusal;
    if (refusal !== undefined) return this.#refuseAnswer(id, refusal);

    const answer = new Answer(request, { link: this.#link, clock: this.#host.clock, heartbeat: this.#host.heartbeat });
    this.#answers.set(id, answer);
    const place = this.#host.queue.enter(answer.signal);
    if (place === undefined) {
      this.#answers.delete(id);
      return this.#refuseAnswer(id, new EngineError('busy', 'The queue of the device is full.', true));
    }
    this.#link.send({ t: 'accepted', id, position: place.position });
    void this.#answer(id, answer, place);
  }

  async #answer(id: number, answer: Answer, place: Place): Promise<void> {
    await answer.run(place, (name) => this.#host.modelFor(name));
    this.#answers.delete(id);
  }

  async #count({ id, model, messages, tools, prefix_key }: MessageOf<RouterMessage, 'count'>): Promise<void> {
    const abort = new AbortController();
    this.#counts.set(id, abort);
    try {
      const prompt = { messages, tools, ...(prefix_key === undefined ? {} : { prefixKey: prefix_key }) };
      const { tokens, warm } = await this.#host.modelFor(model).count(prompt, abort.signal);
      this.#link.send({ t: 'counted', id, tokens, warm });
    } catch (error) {
      this.#refuse(id, error);
    } finally {
      this.#counts.delete(id);
    }
  }

  /** Waits for a slot as an answer does: it is the same processor that works. */
  async #embed({ id, model, inputs, truncate }: MessageOf<RouterMessage, 'embed'>): Promise<void> {
    const abort = new AbortController();
    this.#counts.set(id, abort);
    const place = this.#host.queue.enter(abort.signal);
    try {
      if (place === undefined) throw new EngineError('busy', 'The queue of the device is full.', true);
      await place.turn;
      const loaded = this.#host.modelFor(model);
      if (loaded.embed === undefined) throw new EngineError('unsupported', `${model} makes no embeddings.`, false);
      const { vectors, tokens } = await loaded.embed(inputs, { truncate: truncate === true }, abort.signal);
      this.#link.send({ t: 'embedded', id, vectors: vectors.map(vectorText), tokens });
    } catch (error) {
      this.#refuse(id, error);
    } finally {
      place?.leave();
      this.#counts.delete(id);
    }
  }

  /** Reads a prompt into the cache when there is nothing better to do; its one token is thrown away. */
  async #prefill({ id, model, messages, tools }: MessageOf<RouterMessage, 'prefill'>): Promise<void> {
    if (this.#draining || !this.#host.queue.hasFreeSlot)
      return this.#refuse(id, new EngineError('busy', 'No slot is free.', true));
    const place = this.#host.queue.enter(this.#gone.signal);
    try {
      await place?.turn;
      const run = this.#host
        .modelFor(model)
        .run({ messages, tools, stop: [], maxTokens: 1 }, this.#gone.signal, () => {});
      for await (const event of run) if (event.k === 'done') break;
      this.#link.send({ t: 'ok', id });
    } catch (error) {
      if (!this.#gone.signal.aborted) this.#refuse(id, error);
    } finally {
      place?.leave();
    }
  }

  #load({ id, model }: MessageOf<RouterMessage, 'load'>): void {
    this.#host.load();
    const [offer] = this.#host.offers();
    if (offer === undefined || offer.id === model) this.#link.send({ t: 'ok', id });
    else this.#refuse(id, new EngineError('no_model', `This device serves ${offer.id}.`, false));
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
    this.#link.send({ ...errorMessage(error, id), n: 0 });
  }

  #refuse(id: number, error: unknown): void {
    this.#link.send(errorMessage(error, id));
  }

  #ended(): void {
    for (const end of this.#timers.splice(0)) end();
    const reason = new EngineError('cancelled', 'The router has gone.', false);
    for (const answer of this.#answers.values()) answer.end(reason);
    for (const count of this.#counts.values()) count.abort(reason);
    this.#gone.abort(reason);
    this.#onEnd();
  }
}

/** Little-endian whatever the machine. */
function vectorText(vector: Float32Array): string {
  const bytes = new DataView(new ArrayBuffer(vector.length * 4));
  vector.forEach((value, at) => bytes.setFloat32(at * 4, value, true));
  return base64url(new Uint8Array(bytes.buffer));
}

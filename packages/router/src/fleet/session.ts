import { AnswerSequence, type DeviceMessage, type MessageOf, type RouterMessage } from '@lfo/protocol';
import type { Clock } from '../core/clock.ts';

type Complete = MessageOf<RouterMessage, 'complete'>;
type Numbered = MessageOf<DeviceMessage, 'delta' | 'done' | 'error'>;

/** What is numbered is acknowledged after so many, or after this long; an end at once. */
const ackEvery = 32;
const ackMs = 1_000;
/** Least time for a first word on a request; a silent cable costs no more. */
const acceptMs = 3_000;
/** A request its host does not vouch for in this time has failed, though pongs come. */
const workMs = 15_000;

/** Why a call ends without an end of its own. */
export type CallLoss =
  /** The session is over, or the device never had the request and something has come of it. */
  | 'lost'
  /** A number is missing: the answer cannot be trusted. */
  | 'out_of_order'
  /** Something about it did not fit the protocol. */
  | 'malformed'
  /** No first word, or no sign of work. */
  | 'silent';

/** Who waits for an answer. */
export interface CallListener {
  /** In order, each once; an end is the last. */
  onMessage(message: Numbered): void;
  /** Instead of an end. */
  onLost(loss: CallLoss): void;
  /** The link has gone and the grace runs: the moment to fail over, by `abandon`, if nothing is committed. */
  onSuspended?(): void;
}

export interface RouterSessionOptions {
  readonly clock: Clock;
  /** 16 random bytes as base64url. */
  readonly id: string;
  /** Of the device's process. */
  readonly boot: string;
  readonly graceMs: number;
  /** The grace is over, or `end` was called. */
  readonly onOver: () => void;
}

interface Call {
  readonly request: Complete;
  readonly listener: CallListener;
  readonly sequence: AnswerSequence;
  /** Numbers taken since the last `ack`. */
  unacknowledged: number;
  hasWord: boolean;
  cancelTimer: (() => void) | undefined;
}

/** What a returning device is told. */
export interface Resumption {
  readonly resume: { id: number; n: number }[];
  /** To be sent after `welcome`: requests the device never received. */
  readonly again: readonly Complete[];
}

/** The router's side of a session: its calls and their numbers, which outlive links by the grace. */
export class RouterSession {
  readonly #options: RouterSessionOptions;
  readonly #calls = new Map<number, Call>();
  #send: ((message: RouterMessage) => void) | undefined;
  #rttMs: () => number = () => 0;
  #nextId = 0;
  #resumes = 0;
  #cancelGrace: (() => void) | undefined;
  #cancelAcks: (() => void) | undefined;
  #isOver = false;

  constructor(options: RouterSessionOptions) {
    this.#options = options;
  }

  get id(): string {
    return this.#options.id;
  }

  get boot(): string {
    return this.#options.boot;
  }

  /** How often the device has returned within the grace. */
  get resumes(): number {
    return this.#resumes;
  }

  /** Requests sent and not ended. */
  get running(): number {
    return this.#calls.size;
  }

  get isLinked(): boolean {
    return this.#send !== undefined;
  }

  /** Ids are unique in a session; `complete` and what else is asked share them. */
  takeId(): number {
    return this.#nextId++;
  }

  /** Begins a call on the link there is; its id is in the request. */
  start(request: Complete, listener: CallListener): void {
    const call: Call = {
      request,
      listener,
      sequence: new AnswerSequence(),
      unacknowledged: 0,
      hasWord: false,
      cancelTimer: undefined,
    };
    this.#calls.set(request.id, call);
    this.#send?.(request);
    this.#watch(call);
  }

  /** Nobody waits for it any more. What comes late is dropped; a returning device is not told to go on. */
  abandon(id: number): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    this.#drop(call);
    this.#send?.({ t: 'cancel', id });
  }

  /** The device vouches for a request: `accepted` and `progress`. */
  vouched(id: number): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    call.hasWord = true;
    this.#watch(call);
  }

  /** Something about a request did not fit the protocol: it fails, the link goes on. */
  malformed(id: number): void {
    const call = this.#calls.get(id);
    if (call !== undefined) this.#fail(call, 'malformed');
  }

  /** Takes what is numbered of a call; an `error` without a number ends it too, since its device's link refused it. */
  receive(message: Numbered): void {
    const call = this.#calls.get(message.id ?? -1);
    if (call === undefined) {
      // Over here, and perhaps kept there: it may forget what it keeps.
      if (message.t !== 'delta' && message.id !== undefined && message.n !== undefined)
        this.#send?.({ t: 'ack', id: message.id, n: message.n + 1 });
      return;
    }
    const isEnd = message.t !== 'delta';
    const place = message.n === undefined ? 'next' : call.sequence.take(message.n, isEnd);
    if (place === 'repeated') return;
    if (place === 'gap') return this.#fail(call, 'out_of_order');
    call.hasWord = true;
    call.unacknowledged++;
    if (isEnd) {
      this.#drop(call);
      if (message.n !== undefined) this.#acknowledge(call);
    } else {
      this.#watch(call);
      if (call.unacknowledged >= ackEvery) this.#acknowledge(call);
      else this.#cancelAcks ??= this.#options.clock.schedule(ackMs, () => this.#acknowledgeAll());
    }
    call.listener.onMessage(message);
  }

  /** The first link of the session. */
  attach(send: (message: RouterMessage) => void, rttMs: () => number): void {
    this.#send = send;
    this.#rttMs = rttMs;
  }

  /**
   * The device is back on another link, with what it still knows. Send `welcome` with the answer, then what is to be
   * sent again; calls of which something has come and the device knows nothing are lost.
   */
  resume(
    requests: readonly { readonly id: number }[],
    send: (message: RouterMessage) => void,
    rttMs: () => number,
  ): Resumption {
    this.#resumes++;
    this.#cancelGrace?.();
    this.#cancelGrace = undefined;
    this.attach(send, rttMs);
    const known = new Set(requests.map(({ id }) => id));
    const again: Complete[] = [];
    const resume: { id: number; n: number }[] = [];
    for (const [id, call] of this.#calls) {
      call.unacknowledged = 0;
      if (known.has(id)) resume.push({ id, n: call.sequence.next });
      else if (call.sequence.next === 0) again.push(call.request);
      else {
        this.#drop(call);
        call.listener.onLost('lost');
        continue;
      }
      call.hasWord &&= known.has(id);
      this.#watch(call);
    }
    return { resume, again };
  }

  /** The link has gone: calls go on for the grace, or are abandoned by who waits. */
  detach(): void {
    if (this.#isOver || this.#send === undefined) return;
    this.#send = undefined;
    this.#cancelAcks?.();
    this.#cancelAcks = undefined;
    for (const call of this.#calls.values()) this.#unwatch(call);
    this.#cancelGrace = this.#options.clock.schedule(this.#options.graceMs, () => this.end());
    for (const call of this.#calls.values()) call.listener.onSuspended?.();
  }

  /** Ends the session; its calls are lost at once. Idempotent. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#send = undefined;
    this.#cancelGrace?.();
    this.#cancelAcks?.();
    for (const call of this.#calls.values()) {
      this.#drop(call);
      call.listener.onLost('lost');
    }
    this.#options.onOver();
  }

  #fail(call: Call, loss: CallLoss): void {
    this.#drop(call);
    this.#send?.({ t: 'cancel', id: call.request.id });
    call.listener.onLost(loss);
  }

  #drop(call: Call): void {
    this.#unwatch(call);
    this.#calls.delete(call.request.id);
  }

  #watch(call: Call): void {
    this.#unwatch(call);
    if (this.#send === undefined) return;
    const allowedMs = call.hasWord ? workMs : Math.max(acceptMs, 4 * this.#rttMs());
    call.cancelTimer = this.#options.clock.schedule(allowedMs, () => this.#fail(call, 'silent'));
  }

  #unwatch(call: Call): void {
    call.cancelTimer?.();
    call.cancelTimer = undefined;
  }

  #acknowledge(call: Call): void {
    call.unacknowledged = 0;
    this.#send?.({ t: 'ack', id: call.request.id, n: call.sequence.next });
  }

  #acknowledgeAll(): void {
    this.#cancelAcks = undefined;
    for (const call of this.#calls.values()) if (call.unacknowledged > 0) this.#acknowledge(call);
  }
}

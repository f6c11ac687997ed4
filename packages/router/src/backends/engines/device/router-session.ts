import { AnswerSequence, type DeviceMessage, type MessageOf, type RouterMessage } from '@lfo/protocol';
import type { Clock } from '../../../core/clock.ts';
import { DueTimer } from '../../../core/due-timer.ts';

type Complete = MessageOf<RouterMessage, 'complete'>;
type Numbered = MessageOf<DeviceMessage, 'delta' | 'done' | 'error'>;

/** What is numbered is acknowledged after so many, or after this long; an end at once. */
const ackEvery = 32;
const ackMs = 1_000;
/** Least time for a first word on a request; a silent cable costs no more. */
const acceptMs = 3_000;
/** A request its host does not vouch for in this time has failed, though pongs come; it vouches every 5 s. */
export const workMs = 15_000;
/** A request that was cancelled still takes its slot until its end comes, or for this long. */
const cancelledMs = 2_000;

/** Why a call ends without an end of its own. */
export type CallLoss =
  /** The session is over, or the device never had the request and something has come of it. */
  | 'lost'
  /** The device's process has ended, as far as can be told: another calls with its key, or its pipe is gone. */
  | 'process_ended'
  /** A number is missing: the answer cannot be trusted. */
  | 'out_of_order'
  /** Something about it did not fit the protocol. */
  | 'malformed'
  /** The device is back, and takes smaller messages than the request is. */
  | 'too_large'
  /** No first word, or no sign of work. */
  | 'silent';

/** Who waits for an answer. */
export interface CallListener {
  /** The device works on it, or waits to. */
  onVouched?(isStarted: boolean): void;
  /** In order, each once; an end is the last. */
  onMessage(message: Numbered): void;
  /** Instead of an end. */
  onLost(loss: CallLoss): void;
  /** The link has gone and the grace runs: the moment to fail over, by `abandon`, if nothing is committed. */
  onSuspended?(): void;
  /** The device is back within the grace and goes on. */
  onResumed?(): void;
}

export interface RouterSessionOptions {
  readonly clock: Clock;
  /** 16 random bytes as base64url. */
  readonly id: string;
  /** Of the device's process. */
  readonly boot: string;
  /** 0: the device does not return, and nothing is acknowledged. */
  readonly graceMs: number;
  /** The grace is over (`hasExpired`), or `end` was called. */
  readonly onOver: (hasExpired: boolean) => void;
}

interface Call {
  readonly request: Complete;
  readonly listener: CallListener;
  readonly sequence: AnswerSequence;
  /** Numbers taken since the last `ack`. */
  unacknowledged: number;
  hasWord: boolean;
  readonly silence: DueTimer;
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
  /** Cancelled, and its end has not come; each with its timer. */
  readonly #ending = new Map<number, () => void>();
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

  /** Requests sent and not ended: those that take slots of the device, as far as is known here. */
  get running(): number {
    return this.#calls.size + this.#ending.size;
  }

  /** Requests for the model that the device has acknowledged and not ended: those it counts itself, as far as it has told. */
  acknowledged(model: string): number {
    let count = this.#ending.size;
    for (const { request, hasWord } of this.#calls.values()) if (hasWord && request.model === model) count++;
    return count;
  }

  /** Requests somebody waits for. */
  get waitedFor(): number {
    return this.#calls.size;
  }

  get isLinked(): boolean {
    return this.#send !== undefined;
  }

  /** Ids are unique in a session; `complete` and what else is asked share them. */
  takeId(): number {
    return this.#nextId++;
  }

  /** Begins a call on the link there is; its id is in the request. @throws what sending it throws: then there is no call */
  start(request: Complete, listener: CallListener): void {
    this.#send?.(request);
    const call: Call = {
      request,
      listener,
      sequence: new AnswerSequence(),
      unacknowledged: 0,
      hasWord: false,
      silence: new DueTimer(this.#options.clock, () => this.#fail(call, 'silent')),
    };
    this.#calls.set(request.id, call);
    this.#watch(call);
  }

  /** Nobody waits for it any more. What comes late is dropped; a returning device is not told to go on. */
  abandon(id: number): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    this.#drop(call);
    this.#cancel(id);
  }

  /** The device vouches for a request by `accepted` or `progress`, or without an id for all: it loads what they wait for. */
  vouched(id?: number, isStarted = false): void {
    if (id === undefined) for (const call of this.#calls.values()) this.#vouchedFor(call, false);
    else this.#vouchedFor(this.#calls.get(id), isStarted);
  }

  /** Whether there is a call with this id. */
  has(id: number): boolean {
    return this.#calls.has(id);
  }

  #vouchedFor(call: Call | undefined, isStarted: boolean): void {
    if (call === undefined) return;
    call.hasWord = true;
    this.#watch(call);
    call.listener.onVouched?.(isStarted);
  }

  /** Something about a request did not fit the protocol: it fails, the link goes on. */
  malformed(id: number): void {
    const call = this.#calls.get(id);
    if (call !== undefined) this.#fail(call, 'malformed');
  }

  /** It cannot be sent again on the link there is now. */
  tooLarge(id: number): void {
    const call = this.#calls.get(id);
    if (call !== undefined) this.#fail(call, 'too_large');
  }

  /** Takes what is numbered of a call; an `error` without a number ends it too, since its device's link refused it. */
  receive(message: Numbered): void {
    const call = this.#calls.get(message.id ?? -1);
    if (call === undefined) {
      if (message.t === 'delta' || message.id === undefined) return;
      this.#ended(message.id);
      // Over here, and perhaps kept there: it may forget what it keeps.
      if (message.n !== undefined && this.#options.graceMs > 0)
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
      if (this.#options.graceMs === 0) call.unacknowledged = 0;
      else if (call.unacknowledged >= ackEvery) this.#acknowledge(call);
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
      call.listener.onResumed?.();
    }
    return { resume, again };
  }

  /** The link has gone: calls go on for the grace, or are abandoned by who waits. */
  detach(): void {
    if (this.#isOver || this.#send === undefined) return;
    this.#send = undefined;
    this.#cancelAcks?.();
    this.#cancelAcks = undefined;
    for (const call of this.#calls.values()) call.silence.clear();
    this.#forgetEnding();
    if (this.#options.graceMs === 0) return this.end('process_ended');
    this.#cancelGrace = this.#options.clock.schedule(this.#options.graceMs, () => this.#over('lost', true));
    for (const call of this.#calls.values()) call.listener.onSuspended?.();
  }

  /** Ends the session; its calls are lost at once. Idempotent. */
  end(loss: 'lost' | 'process_ended' = 'lost'): void {
    this.#over(loss, false);
  }

  #over(loss: 'lost' | 'process_ended', hasExpired: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#send = undefined;
    this.#cancelGrace?.();
    this.#cancelAcks?.();
    this.#forgetEnding();
    for (const call of this.#calls.values()) {
      this.#drop(call);
      call.listener.onLost(loss);
    }
    this.#options.onOver(hasExpired);
  }

  #fail(call: Call, loss: CallLoss): void {
    this.#drop(call);
    this.#cancel(call.request.id);
    call.listener.onLost(loss);
  }

  #cancel(id: number): void {
    if (this.#send === undefined) return;
    this.#ending.set(
      id,
      this.#options.clock.schedule(cancelledMs, () => this.#ending.delete(id)),
    );
    this.#send({ t: 'cancel', id });
  }

  #ended(id: number): void {
    this.#ending.get(id)?.();
    this.#ending.delete(id);
  }

  #forgetEnding(): void {
    for (const id of this.#ending.keys()) this.#ended(id);
  }

  #drop(call: Call): void {
    call.silence.clear();
    this.#calls.delete(call.request.id);
  }

  #watch(call: Call): void {
    if (this.#send === undefined) return;
    const allowedMs = call.hasWord ? workMs : Math.max(acceptMs, 4 * this.#rttMs());
    call.silence.set(this.#options.clock.nowMs() + allowedMs);
  }

  #acknowledge(call: Call): void {
    call.unacknowledged = 0;
    if (this.#options.graceMs > 0) this.#send?.({ t: 'ack', id: call.request.id, n: call.sequence.next });
  }

  #acknowledgeAll(): void {
    this.#cancelAcks = undefined;
    for (const call of this.#calls.values()) if (call.unacknowledged > 0) this.#acknowledge(call);
  }
}

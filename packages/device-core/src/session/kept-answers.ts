import type { Clock, DeviceMessage, MessageOf, RouterMessage } from '@lfo/protocol';

/** Most bytes kept of one request until they are acknowledged; beyond them its engine should pause. */
export const maxKeptBytes = 1024 * 1024;

type ErrorMessage = MessageOf<DeviceMessage, 'error'>;
/** What is numbered of one request; a refusal of its link is not. */
export type Numbered =
  | MessageOf<DeviceMessage, 'delta' | 'done'>
  | (Omit<ErrorMessage, 'id' | 'n'> & { readonly id: number; readonly n: number });
type Welcome = MessageOf<RouterMessage, 'welcome'>;

export interface KeptAnswersOptions {
  readonly clock: Clock;
  /** Stops the engine's work on a request nobody wants any more. */
  readonly cancel: (id: number) => void;
  /** The grace is over and the session forgotten. */
  readonly onOver?: () => void;
}

interface Kept {
  /** Sent or to be sent, and not acknowledged; numbers without gaps. */
  messages: { readonly message: Numbered; readonly bytes: number }[];
  bytes: number;
  /** The number after the last. */
  next: number;
  isOver: boolean;
}

/**
 * The device's side of a session: what it has said of each request and the router has not acknowledged, so that a link
 * lost in the middle of an answer loses no token.
 */
export class KeptAnswers {
  readonly #options: KeptAnswersOptions;
  readonly #requests = new Map<number, Kept>();
  #session: string | undefined;
  #send: ((message: DeviceMessage) => void) | undefined;
  #cancelGrace: (() => void) | undefined;

  constructor(options: KeptAnswersOptions) {
    this.#options = options;
  }

  /** For `hello`: every request still known, with the number it would send next. Absent: there is no session. */
  get hello(): MessageOf<DeviceMessage, 'hello'>['session'] {
    if (this.#session === undefined) return undefined;
    return { id: this.#session, requests: Array.from(this.#requests, ([id, { next }]) => ({ id, n: next })) };
  }

  /** The engine should pause: the router takes or acknowledges too little. */
  isFull(id: number): boolean {
    return (this.#requests.get(id)?.bytes ?? 0) >= maxKeptBytes;
  }

  /** A `complete` has come; false where the id is known already, which a router sends again only if it was lost. */
  accept(id: number): boolean {
    if (this.#requests.has(id)) return false;
    this.#requests.set(id, { messages: [], bytes: 0, next: 0, isOver: false });
    return true;
  }

  /**
   * Keeps what is said next of a request, and sends it where there is a link. Dropped where nobody wants it.
   * @throws what sending it throws: then it was not said
   */
  say(message: Numbered): void {
    const kept = this.#requests.get(message.id);
    if (kept === undefined || kept.isOver) return;
    const bytes = JSON.stringify(message).length;
    // First, since a message that is too large for the link must not be kept either.
    this.#send?.(message);
    kept.messages.push({ message, bytes });
    kept.bytes += bytes;
    kept.next = message.n + 1;
    kept.isOver = message.t !== 'delta';
  }

  /** Everything of a request below `n` has arrived. */
  acknowledge(id: number, n: number): void {
    const kept = this.#requests.get(id);
    if (kept === undefined) return;
    kept.messages = kept.messages.filter(({ message }) => message.n >= n);
    kept.bytes = kept.messages.reduce((sum, { bytes }) => sum + bytes, 0);
    if (kept.isOver && n >= kept.next) this.#requests.delete(id);
  }

  /** A link has been welcomed: sends what the router lacks, and stops what it does not want. */
  welcomed(
    { session, resumed, resume }: Pick<Welcome, 'session' | 'resumed' | 'resume'>,
    send: (message: DeviceMessage) => void,
  ): void {
    this.#endGrace();
    this.#send = send;
    const wanted = new Map(resumed ? resume.map(({ id, n }) => [id, n]) : []);
    for (const [id, kept] of this.#requests) {
      const n = wanted.get(id);
      if (n === undefined) this.#forget(id, kept);
      else this.#sendFrom(id, kept, n);
    }
    this.#session = session;
  }

  /** The link is gone. The engine goes on for the grace; then its work is stopped and the session forgotten. */
  lost(graceMs: number): void {
    this.#send = undefined;
    this.#endGrace();
    this.#cancelGrace = this.#options.clock.schedule(graceMs, () => {
      this.end();
      this.#options.onOver?.();
    });
  }

  /** Ends the session: nothing is wanted any more. */
  end(): void {
    this.#endGrace();
    this.#send = undefined;
    this.#session = undefined;
    for (const [id, kept] of this.#requests) this.#forget(id, kept);
  }

  #sendFrom(id: number, kept: Kept, n: number): void {
    const first = kept.messages[0]?.message.n ?? kept.next;
    if (n >= first && n <= kept.next) {
      this.acknowledge(id, n);
      for (const { message } of kept.messages) this.#send?.(message);
      return;
    }
    this.#forget(id, kept);
    this.#send?.({ t: 'error', id, n, code: 'lost', message: '', retryable: true });
  }

  #forget(id: number, { isOver }: Kept): void {
    this.#requests.delete(id);
    if (!isOver) this.#options.cancel(id);
  }

  #endGrace(): void {
    this.#cancelGrace?.();
    this.#cancelGrace = undefined;
  }
}

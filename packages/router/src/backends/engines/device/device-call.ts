import { AnswerSequence } from '@lfo/protocol';
import type { DeviceMessage, MessageOf } from '@lfo/protocol';
import type { CallContext } from '../../../core/backend.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import type { ChatRequest } from '../../../core/request.ts';
import { DueTimer } from '../../../core/due-timer.ts';
import { AnswerMeter, tokensOf } from '../../answer-meter.ts';
import { doneEvents, partEvent } from './answer-events.ts';
import { deviceFault, linkFault } from './device-fault.ts';

/** A request of which the device says nothing for this long has failed; it vouches for one every 5 s. */
export const silenceMs = 15_000;
/**
 * Most characters held for a reader that does not take them. All requests of a device share one pipe, so a slow reader
 * cannot be answered by not reading: that would stall the others. It loses its own answer instead.
 */
export const maxHeldChars = 1024 * 1024;

/** One `complete` on a device: fed by the session, read by the pipeline. */
export class DeviceCall {
  readonly #backend: string;
  readonly #request: ChatRequest;
  readonly #context: CallContext;
  readonly #onAbandon: () => void;
  readonly #onUnanswered: () => void;
  readonly #sequence = new AnswerSequence();
  readonly #silence: DueTimer;
  readonly #meter = new AnswerMeter();
  /** Of the answer so far, in UTF-8. */
  #bytes = 0;
  #calls = 0;
  #held: InferenceEvent[] = [];
  #heldChars = 0;
  #begun = false;
  /** The device has said anything of it. */
  #isAnswered = false;
  /** The engine works on it, so that its death may be this request's doing. */
  #started = false;
  #end: { readonly error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  /**
   * `answerWithinMs`: by then the device must have said something of it, else `onUnanswered` is called too.
   * `onAbandon` is called when the call ends otherwise than by the device's own word.
   */
  constructor(
    backend: string,
    request: ChatRequest,
    context: CallContext,
    options: {
      readonly answerWithinMs: number;
      readonly onAbandon: () => void;
      readonly onUnanswered: () => void;
    },
  ) {
    this.#backend = backend;
    this.#request = request;
    this.#context = context;
    this.#onAbandon = options.onAbandon;
    this.#onUnanswered = options.onUnanswered;
    this.#silence = new DueTimer(context.clock, () => this.#silent());
    this.#silence.set(context.clock.nowMs() + options.answerWithinMs);
  }

  /** The device spoke of this request, or of what it waits for. */
  alive(): void {
    if (this.#end !== undefined) return;
    this.#isAnswered = true;
    this.#silence.set(this.#context.clock.nowMs() + silenceMs);
    if (!this.#begun) this.#context.keepAlive();
  }

  /** The device has taken it: to work on at once, or to wait behind others. */
  accepted({ position }: MessageOf<DeviceMessage, 'accepted'>): void {
    this.#started ||= position === 0;
    this.alive();
  }

  progress({ done }: MessageOf<DeviceMessage, 'progress'>): void {
    this.#started ||= done > 0;
    this.alive();
  }

  delta({ n, parts }: MessageOf<DeviceMessage, 'delta'>): void {
    if (!this.#isNext(n)) return;
    this.alive();
    const events = parts.map(partEvent);
    for (const event of events) this.#meter.add(event);
    this.#push(events);
    for (const part of parts) {
      const text = 'text' in part ? part.text : 'json' in part ? part.json : 'name' in part ? part.name : '';
      this.#bytes += Buffer.byteLength(text);
      if (part.k === 'call') this.#calls++;
      this.#heldChars += Math.max(40, text.length);
    }
    if (this.#heldChars > maxHeldChars) this.#abandon(linkFault('slowReader', this.#backend));
  }

  done(message: MessageOf<DeviceMessage, 'done'>): void {
    if (!this.#isNext(message.n)) return;
    const { bodyBytes: requestBytes, messages } = this.#request;
    const exchanged = { requestBytes, messages: messages.length, answerBytes: this.#bytes, calls: this.#calls };
    this.#push(doneEvents(message, exchanged, this.#meter.estimate(tokensOf(requestBytes))));
    this.#finish({});
  }

  failed(error: MessageOf<DeviceMessage, 'error'>): void {
    // Without a number where the device's link refused the request itself.
    if (error.n !== undefined && !this.#isNext(error.n)) return;
    this.#finish({ error: deviceFault(this.#backend, error) });
  }

  /** A message about this request did not fit the protocol. */
  malformed(): void {
    this.#abandon(linkFault('malformed', this.#backend));
  }

  /** The link is gone. */
  lost(): void {
    const name = this.#begun ? 'lostAmid' : this.#started && hasSchema(this.#request) ? 'lostOnSchema' : 'lostBefore';
    this.#finish({ error: linkFault(name, this.#backend) });
  }

  /** What was answered so far and then as it comes. Read once. */
  async *events(): AsyncGenerator<readonly InferenceEvent[], void> {
    const { signal } = this.#context;
    const onAbort = (): void => {
      this.#held = [];
      this.#abandon(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        signal.throwIfAborted();
        const held = this.#held.splice(0);
        this.#heldChars = 0;
        if (held.length > 0) yield held;
        if (this.#held.length > 0) continue;
        if (this.#end !== undefined) break;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      if ('error' in this.#end) throw this.#end.error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#abandon(undefined);
    }
  }

  #silent(): void {
    this.#abandon(linkFault('silent', this.#backend));
    if (!this.#isAnswered) this.#onUnanswered();
  }

  #push(events: readonly InferenceEvent[]): void {
    if (!this.#begun) this.#held.push({ type: 'start', model: this.#context.model });
    this.#begun = true;
    this.#held.push(...events);
    this.#wake?.();
  }

  /** Takes a number once and in order; a gap ends the request, since its answer cannot be trusted any more. */
  #isNext(n: number): boolean {
    if (this.#end !== undefined) return false;
    const place = this.#sequence.take(n);
    if (place === 'gap') this.#abandon(linkFault('outOfOrder', this.#backend));
    return place === 'next';
  }

  #abandon(error: unknown): void {
    if (this.#end !== undefined) return;
    this.#finish({ error });
    this.#onAbandon();
  }

  #finish(end: { readonly error?: unknown }): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#silence.clear();
    this.#wake?.();
  }
}

/** Whether the engine compiles a text of the client's into a grammar for this request. */
function hasSchema({ responseFormat, toolChoice, tools }: ChatRequest): boolean {
  if (responseFormat?.type === 'json_schema') return true;
  return tools.length > 0 && (toolChoice?.type === 'required' || toolChoice?.type === 'function');
}

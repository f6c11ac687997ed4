import type { DeviceMessage, MessageOf } from '@lfo/protocol';
import type { CallContext } from '../../../core/backend.ts';
import { mustCall } from '../../../core/can-serve.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import type { ChatRequest } from '../../../core/request.ts';
import { tokensOf } from '../../../core/token-estimate.ts';
import { AnswerMeter } from '../../answer-meter.ts';
import { doneEvents, partEvent } from './answer-events.ts';
import { deviceFault, linkFault } from './device-fault.ts';
import type { CallListener, CallLoss } from './router-session.ts';

/**
 * Most characters held for a reader that does not take them. All requests of a device share one pipe, so a slow reader
 * cannot be answered by not reading: that would stall the others. It loses its own answer instead.
 */
export const maxHeldChars = 1024 * 1024;

/** One `complete` on a device: fed by its session, read by the pipeline. */
export class DeviceCall implements CallListener {
  readonly #backend: string;
  readonly #request: ChatRequest;
  readonly #context: CallContext;
  readonly #onAbandon: () => void;
  readonly #onUnanswered: () => void;
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
   * `onUnanswered` is called where the device has said nothing of it in time, `onAbandon` where the call ends otherwise
   * than by the device's own word or by its session's.
   */
  constructor(
    backend: string,
    request: ChatRequest,
    context: CallContext,
    options: { readonly onAbandon: () => void; readonly onUnanswered: () => void },
  ) {
    this.#backend = backend;
    this.#request = request;
    this.#context = context;
    this.#onAbandon = options.onAbandon;
    this.#onUnanswered = options.onUnanswered;
  }

  onVouched(isStarted: boolean): void {
    if (this.#end !== undefined) return;
    this.#isAnswered = true;
    this.#started ||= isStarted;
    if (!this.#begun) this.#context.keepAlive();
  }

  onMessage(message: MessageOf<DeviceMessage, 'delta' | 'done' | 'error'>): void {
    if (this.#end !== undefined) return;
    this.onVouched(false);
    if (message.t === 'delta') this.#delta(message.parts);
    else if (message.t === 'done') this.#done(message);
    else this.#finish({ error: deviceFault(this.#backend, message) });
  }

  onLost(loss: CallLoss): void {
    if (loss === 'lost' || loss === 'process_ended') return this.#finish({ error: this.#lostFault(loss) });
    const isUnanswered = loss === 'silent' && !this.#isAnswered;
    const names = {
      out_of_order: 'outOfOrder',
      malformed: 'malformed',
      too_large: 'tooLarge',
      silent: 'silent',
    } as const;
    this.#finish({ error: linkFault(names[loss], this.#backend) });
    if (isUnanswered) this.#onUnanswered();
  }

  /**
   * Nobody has seen anything of it, and another can answer: that is sooner than the device's return. What the engine may
   * have died of waits: it must not kill the next one.
   */
  onSuspended(): void {
    if (this.#mayHaveKilled) return;
    if (this.#context.mayFailOver?.() === true) this.#abandon(this.#lostFault('lost'));
  }

  /** The device has returned within the grace. */
  onResumed(): void {
    if (this.#end === undefined) this.#context.resumed?.();
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

  #delta(parts: MessageOf<DeviceMessage, 'delta'>['parts']): void {
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

  #done(message: MessageOf<DeviceMessage, 'done'>): void {
    const { bodyBytes: requestBytes, messages } = this.#request;
    const exchanged = { requestBytes, messages: messages.length, answerBytes: this.#bytes, calls: this.#calls };
    const events = doneEvents(message, exchanged, this.#meter.estimate(tokensOf(requestBytes)));
    this.#push(events);
    this.#finish({});
    const last = events.at(-1);
    if (last?.type === 'finish') this.#context.finished?.(last.usage);
  }

  get #mayHaveKilled(): boolean {
    return !this.#begun && this.#started && hasSchema(this.#request);
  }

  #lostFault(loss: 'lost' | 'process_ended'): Error {
    if (loss === 'process_ended' && this.#mayHaveKilled) return linkFault('lostOnSchema', this.#backend);
    return linkFault(this.#begun ? 'lostAmid' : 'lostBefore', this.#backend);
  }

  #push(events: readonly InferenceEvent[]): void {
    if (!this.#begun) this.#held.push({ type: 'start', model: this.#context.model });
    this.#begun = true;
    this.#held.push(...events);
    this.#wake?.();
  }

  #abandon(error: unknown): void {
    if (this.#end !== undefined) return;
    this.#finish({ error });
    this.#onAbandon();
  }

  #finish(end: { readonly error?: unknown }): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#wake?.();
  }
}

/** Whether the engine compiles a text of the client's into a grammar for this request. */
function hasSchema(request: ChatRequest): boolean {
  if (request.responseFormat?.type === 'json_schema') return true;
  return request.tools.length > 0 && mustCall(request);
}

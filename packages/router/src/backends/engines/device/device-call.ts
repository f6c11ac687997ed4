import { DeltaSequence } from '@lfo/protocol';
import type { DeviceMessage, MessageOf } from '@lfo/protocol';
import type { CallContext } from '../../../core/backend.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import type { ChatRequest } from '../../../core/request.ts';
import { DueTimer } from '../../../core/due-timer.ts';
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
  readonly #model: () => string;
  readonly #onAbandon: () => void;
  readonly #onUnanswered: () => void;
  readonly #sequence = new DeltaSequence();
  readonly #silence: DueTimer;
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
      readonly model: () => string;
      readonly answerWithinMs: number;
      readonly onAbandon: () => void;
      readonly onUnanswered: () => void;
    },
  ) {
    this.#backend = backend;
    this.#request = request;
    this.#context = context;
    this.#model = options.model;
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
    if (this.#end !== undefined) return;
    const place = this.#sequence.check(n);
    if (place === 'repeated') return;
    if (place === 'gap') return this.#abandon(linkFault('outOfOrder', this.#backend));
    this.alive();
    this.#push(parts.map(partEvent));
    for (const part of parts)
      this.#heldChars += 'text' in part ? part.text.length : 'json' in part ? part.json.length : 40;
    if (this.#heldChars > maxHeldChars) this.#abandon(linkFault('slowReader', this.#backend));
  }

  done(message: MessageOf<DeviceMessage, 'done'>): void {
    if (this.#end !== undefined) return;
    this.#push(doneEvents(message));
    this.#finish({});
  }

  failed(error: MessageOf<DeviceMessage, 'error'>): void {
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
  async *events(): AsyncGenerator<InferenceEvent, void> {
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
        yield* held;
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
    if (!this.#begun) this.#held.push({ type: 'start', model: this.#model() });
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
    this.#silence.clear();
    this.#wake?.();
  }
}

/** Whether the engine compiles a text of the client's into a grammar for this request. */
function hasSchema({ responseFormat, toolChoice, tools }: ChatRequest): boolean {
  if (responseFormat?.type === 'json_schema') return true;
  return tools.length > 0 && (toolChoice?.type === 'required' || toolChoice?.type === 'function');
}

import type * as z from 'zod';
import type { Channel } from './channel.ts';
import type { Clock } from './clock.ts';
import { maxFrameBytes, MessageTooLargeError } from './frame.ts';
import { deviceMessage, routerMessage } from './messages.ts';
import type { DeviceErrorCode, DeviceMessage, RouterMessage } from './messages.ts';
import { textCodec } from './text-codec.ts';

/** A write, or the end of the link, that the other side has not taken for this long is forced. */
export const writeStallMs = 10_000;

/** What may go either way in answer to a message that cannot be used. */
interface ErrorMessage {
  readonly t: 'error';
  readonly id?: number;
  readonly code: DeviceErrorCode;
  readonly message: string;
  readonly retryable: boolean;
}

/** Typed messages over a channel: everything received has passed its schema. */
export interface Link<In, Out> {
  /** The other side takes what we write; while false, hold what can wait until `onDrain`. */
  readonly writable: boolean;
  readonly closed: boolean;
  /** Most bytes of JSON one message may take, either way. */
  readonly maxMessageBytes: number;
  /**
   * Sends one message; false once full, as `writable`. Does nothing once closed.
   * @throws MessageTooLargeError when it is larger than `maxMessageBytes`; the link stays open.
   */
  send(message: Out): boolean;
  /** Holds both directions to the smaller of what two peers allow. */
  agreeMaxFrame(bytes: number): void;
  /** Starts delivery; called once. */
  listen(listener: LinkListener<In>): void;
  /** Says `bye` with the code and ends. Idempotent. */
  close(code: string): void;
}

export interface LinkListener<In> {
  onMessage(message: In): void;
  onDrain?(): void;
  /** A message of a known type that did not fit its schema; the peer has been told. */
  onInvalid?(type: string, id: number | undefined): void;
  /** Once, and last: our own code, the channel's, or `carrier_closed`. */
  onClose(code: string): void;
}

/** The router's end: reads what devices say. */
export function routerLink(channel: Channel, clock: Clock): Link<DeviceMessage, RouterMessage> {
  return new MessageLink<DeviceMessage, RouterMessage>(channel, clock, deviceMessage, typesOf(deviceMessage.options));
}

/** The device's end: reads what the router says. */
export function deviceLink(channel: Channel, clock: Clock): Link<RouterMessage, DeviceMessage> {
  return new MessageLink<RouterMessage, DeviceMessage>(channel, clock, routerMessage, typesOf(routerMessage.options));
}

function typesOf(
  options: readonly { readonly shape: { readonly t: { readonly value: string } } }[],
): ReadonlySet<string> {
  return new Set(options.map((option) => option.shape.t.value));
}

class MessageLink<In, Out extends { readonly t: string }> implements Link<In, Out> {
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #schema: z.ZodType<In>;
  readonly #types: ReadonlySet<string>;
  readonly #codec = textCodec();
  #maxFrame = maxFrameBytes;
  #closed = false;
  #cancelStall: (() => void) | undefined;

  constructor(channel: Channel, clock: Clock, schema: z.ZodType<In>, types: ReadonlySet<string>) {
    this.#channel = channel;
    this.#clock = clock;
    this.#schema = schema;
    this.#types = types;
  }

  get writable(): boolean {
    return !this.#closed && this.#cancelStall === undefined;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get maxMessageBytes(): number {
    return this.#maxFrame;
  }

  agreeMaxFrame(bytes: number): void {
    this.#maxFrame = Math.min(this.#maxFrame, bytes);
    this.#channel.limit(this.#maxFrame);
  }

  send(message: Out): boolean {
    return this.#send(message);
  }

  listen(listener: LinkListener<In>): void {
    this.#channel.listen({
      onPayload: (payload) => this.#receive(payload, listener),
      onDrain: () => {
        this.#endStall();
        if (!this.#closed) listener.onDrain?.();
      },
      onFault: (code) => this.close(code),
      onClose: (reason) => {
        this.#closed = true;
        this.#endStall();
        listener.onClose(reason);
      },
    });
  }

  close(code: string): void {
    if (this.#closed) return;
    this.#send({ t: 'bye', code });
    this.#shut(code);
  }

  #shut(code: string, now = false): void {
    this.#closed = true;
    this.#endStall();
    this.#channel.close(code, now);
    if (!now) this.#cancelStall = this.#clock.schedule(writeStallMs, () => this.#channel.close(code, true));
  }

  #send(message: Out | ErrorMessage | { readonly t: 'bye'; readonly code: string }): boolean {
    if (this.#closed) return false;
    const payload = this.#codec.encode(JSON.stringify(message));
    if (payload.length > this.#maxFrame) throw new MessageTooLargeError(payload.length, this.#maxFrame);
    if (!this.#channel.send(payload)) {
      this.#cancelStall ??= this.#clock.schedule(writeStallMs, () => this.#shut('write_stalled', true));
    }
    return this.writable;
  }

  #endStall(): void {
    this.#cancelStall?.();
    this.#cancelStall = undefined;
  }

  #receive(payload: Uint8Array, listener: LinkListener<In>): void {
    const value = this.#parse(payload);
    if (value === undefined) return this.close('bad_json');
    const { type, id } = envelopeOf(value);
    if (type === undefined) return this.close('bad_message');
    if (!this.#types.has(type)) {
      this.#refuse('unknown_type', 'This version does not know the message type.', id);
      return;
    }
    const result = this.#schema.safeParse(value);
    if (result.success) return listener.onMessage(result.data);
    const where = result.error.issues[0]?.path.join('.') ?? '';
    // An error that is itself broken is not answered: two such peers would never stop.
    if (type !== 'error') this.#refuse('bad_request', `${type}: ${where} does not fit the protocol.`, id);
    listener.onInvalid?.(type, id);
  }

  #refuse(code: DeviceErrorCode, message: string, id: number | undefined): void {
    this.#send({
      t: 'error',
      ...(id === undefined ? {} : { id }),
      code,
      message: message.slice(0, 200),
      retryable: false,
    });
  }

  #parse(payload: Uint8Array): unknown {
    try {
      return JSON.parse(this.#codec.decode(payload));
    } catch {
      return undefined;
    }
  }
}

function envelopeOf(value: unknown): { readonly type: string | undefined; readonly id: number | undefined } {
  if (typeof value !== 'object' || value === null) return { type: undefined, id: undefined };
  const type = 't' in value && typeof value.t === 'string' ? value.t : undefined;
  const id =
    'id' in value && typeof value.id === 'number' && Number.isSafeInteger(value.id) && value.id >= 0
      ? value.id
      : undefined;
  return { type, id };
}

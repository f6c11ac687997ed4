import type { Channel } from './channel.ts';
import type { Clock } from './clock.ts';
import { maxFrameBytes, MessageTooLargeError } from './frame.ts';
import { deviceMessages, protocolVersions, routerMessages } from './messages/messages.ts';
import type { DeviceMessage, MessageReader, RouterMessage } from './messages/messages.ts';
import type { ByeCode, DeviceErrorCode } from './messages/shapes.ts';
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

interface ByeMessage {
  readonly t: 'bye';
  readonly code: string;
  readonly after_ms?: number;
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
  /** Says `bye` with the code, and when to dial again, and ends. Idempotent. */
  close(code: ByeCode, afterMs?: number): void;
}

export interface LinkListener<In> {
  onMessage(message: In): void;
  onDrain?(): void;
  /** Fields of the message that follows were cut or left out; paths without indices. */
  onClipped?(fields: readonly string[]): void;
  /** A message of a known type that did not fit its schema; the peer has been told. */
  onInvalid?(type: string, id: number | undefined): void;
  /** Once, and last: our own code, the channel's, or `carrier_closed`. */
  onClose(code: string): void;
}

/**
 * The router's end: reads what devices say. The first message it hands out is a `hello` of a version this build speaks,
 * and there is no second one.
 */
export function routerLink(channel: Channel, clock: Clock): Link<DeviceMessage, RouterMessage> {
  return new MessageLink<DeviceMessage, RouterMessage>(channel, clock, deviceMessages, speaksOurs);
}

function speaksOurs(message: DeviceMessage): boolean {
  return message.t !== 'hello' || protocolVersions.some((ours) => message.v.includes(ours));
}

/** The device's end: reads what the router says. */
export function deviceLink(channel: Channel, clock: Clock): Link<RouterMessage, DeviceMessage> {
  return new MessageLink<RouterMessage, DeviceMessage>(channel, clock, routerMessages);
}

/** So many messages that cannot be used end the link. */
const maxRefused = 20;

class MessageLink<In extends { readonly t: string }, Out extends { readonly t: string }> implements Link<In, Out> {
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #reader: MessageReader<In>;
  readonly #codec = textCodec();
  #maxFrame = maxFrameBytes;
  #closed = false;
  #refused = 0;
  readonly #isWelcome: (message: In) => boolean;
  #awaitsHello: boolean;
  #cancelStall: (() => void) | undefined;

  /** With `isWelcome` the peer must say `hello` first, and is sent away for its version where that says no. */
  constructor(channel: Channel, clock: Clock, reader: MessageReader<In>, isWelcome?: (message: In) => boolean) {
    this.#channel = channel;
    this.#clock = clock;
    this.#reader = reader;
    this.#isWelcome = isWelcome ?? (() => true);
    this.#awaitsHello = isWelcome !== undefined;
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

  close(code: string, afterMs?: number): void {
    if (this.#closed) return;
    this.#send({ t: 'bye', code, ...(afterMs === undefined ? {} : { after_ms: afterMs }) });
    this.#shut(code);
  }

  #shut(code: string, now = false): void {
    this.#closed = true;
    this.#endStall();
    this.#channel.close(code, now);
    if (!now) this.#cancelStall = this.#clock.schedule(writeStallMs, () => this.#channel.close(code, true));
  }

  #send(message: Out | ErrorMessage | ByeMessage): boolean {
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
    const isHello = type === 'hello' && this.#reader.types.has(type);
    if (this.#awaitsHello && !isHello && type !== 'bye') return this.close('no_hello');
    if (!this.#awaitsHello && isHello) return this.close('bad_message');
    if (!this.#reader.types.has(type))
      return this.#refuse('unknown_type', 'This version does not know the message type.', id);
    const read = this.#reader.read(value);
    if ('misfit' in read) {
      if (isHello) return this.close('bad_hello');
      // An error that is itself broken is not answered: two such peers would never stop.
      if (type !== 'error') this.#refuse('bad_request', `${type}: ${read.misfit} does not fit the protocol.`, id);
      return listener.onInvalid?.(type, id);
    }
    if (!this.#isWelcome(read.message)) return this.close('unsupported_version');
    this.#awaitsHello = false;
    if (read.clipped.length > 0) listener.onClipped?.(read.clipped);
    listener.onMessage(read.message);
  }

  #refuse(code: DeviceErrorCode, message: string, id: number | undefined): void {
    this.#send({
      t: 'error',
      ...(id === undefined ? {} : { id }),
      code,
      message: message.slice(0, 200),
      retryable: false,
    });
    if (++this.#refused >= maxRefused) this.close('bad_message');
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

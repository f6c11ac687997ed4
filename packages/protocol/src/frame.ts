/** Largest payload before the peer has proved who it is. */
export const handshakeFrameBytes = 1024;
/** Largest message, and largest payload where frames carry messages themselves. Negotiated down, never up. */
export const maxFrameBytes = 1024 * 1024;
/** Each side must take messages as large as this. */
export const minFrameBytes = 65_536;

const headerBytes = 4;
const noBytes = new Uint8Array(0);

/** The peer sent bytes that are no frame, or one larger than agreed. A decoder that threw is of no further use. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  readonly code: 'bad_frame' | 'frame_too_large';

  constructor(code: FrameError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** A message of our own is larger than the link takes. Nothing was sent; the link is as good as before. */
export class MessageTooLargeError extends Error {
  override readonly name = 'MessageTooLargeError';
  readonly code = 'message_too_large';
  readonly bytes: number;
  readonly limitBytes: number;

  constructor(bytes: number, limitBytes: number) {
    super(`A message of ${bytes} bytes; the link takes at most ${limitBytes}.`);
    this.bytes = bytes;
    this.limitBytes = limitBytes;
  }
}

/** One frame: `u32be length`, then the payload. */
export function encodeFrame(payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(headerBytes + payload.length);
  new DataView(frame.buffer).setUint32(0, payload.length);
  frame.set(payload, headerBytes);
  return frame;
}

/** Cuts a byte stream into payloads. Linear in the bytes received, however they are split. */
export class FrameDecoder {
  /** Largest payload accepted; read anew for every frame, so that a payload's own receiver may change it. */
  limitBytes: number;
  #headerSeen = 0;
  #length = 0;
  /** Grows with what arrived, never with what was announced: a length field alone costs the peer's 4 bytes only. */
  #partial: Uint8Array = noBytes;
  #filled = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /**
   * Takes the next bytes and hands out each payload they complete; a payload may share memory with `chunk`.
   * @throws FrameError as soon as a header is wrong.
   */
  push(chunk: Uint8Array, onPayload: (payload: Uint8Array) => void): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#headerSeen < headerBytes) {
        at = this.#readHeader(chunk, at);
        continue;
      }
      const rest = chunk.subarray(at, at + this.#length - this.#filled);
      at += rest.length;
      const payload = this.#take(rest);
      if (payload !== undefined) onPayload(payload);
    }
  }

  #readHeader(chunk: Uint8Array, start: number): number {
    let at = start;
    for (; at < chunk.length && this.#headerSeen < headerBytes; at++, this.#headerSeen++) {
      // Multiplied, not shifted: a shift would make lengths of 2 GiB and more negative.
      this.#length = this.#length * 256 + (chunk[at] ?? 0);
    }
    if (this.#headerSeen < headerBytes) return at;
    if (this.#length === 0) throw new FrameError('bad_frame', 'A frame of length 0.');
    if (this.#length > this.limitBytes) {
      throw new FrameError(
        'frame_too_large',
        `A frame of ${this.#length} bytes; at most ${this.limitBytes} are allowed.`,
      );
    }
    return at;
  }

  #take(bytes: Uint8Array): Uint8Array | undefined {
    if (this.#filled === 0 && bytes.length === this.#length) return this.#finish(bytes);
    this.#append(bytes);
    return this.#filled === this.#length ? this.#finish(this.#partial.subarray(0, this.#length)) : undefined;
  }

  #append(bytes: Uint8Array): void {
    const needed = this.#filled + bytes.length;
    if (needed > this.#partial.length) {
      const grown = new Uint8Array(Math.min(this.#length, Math.max(256, needed * 2)));
      grown.set(this.#partial.subarray(0, this.#filled));
      this.#partial = grown;
    }
    this.#partial.set(bytes, this.#filled);
    this.#filled = needed;
  }

  #finish(payload: Uint8Array): Uint8Array {
    this.#headerSeen = 0;
    this.#length = 0;
    this.#partial = noBytes;
    this.#filled = 0;
    return payload;
  }
}

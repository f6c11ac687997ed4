import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Socket } from 'node:net';

import type { Clock } from '../core/clock.ts';
import { DueTimer } from '../core/due-timer.ts';

/** Text gathered beyond this is written at once rather than at the end of the turn. */
const flushChars = 16_384;

/**
 * Writes to one client no faster than it reads, and cuts it off when it stops reading. What is pushed within one turn
 * of the event loop leaves in one write: a system call costs more than encoding a chunk.
 */
export class ResponseWriter {
  readonly #response: ServerResponse;
  readonly #clock: Clock;
  readonly #slowReaderMs: number;
  #pending = '';
  #scheduled: NodeJS.Immediate | undefined;
  #lastWriteMs: number;
  /** The framing of a body without a length is ours: Node writes a chunk as four parts, we write one text. */
  #framesChunks = false;

  constructor(response: ServerResponse, clock: Clock, slowReaderMs: number) {
    this.#response = response;
    this.#clock = clock;
    this.#slowReaderMs = slowReaderMs;
    this.#lastWriteMs = clock.nowMs();
  }

  /** Whether the client has yet to take what was written: await `drained` before pushing more. */
  get isBlocked(): boolean {
    return this.#response.writableNeedDrain;
  }

  /** Monotonic time of the last write. */
  get lastWriteMs(): number {
    return this.#lastWriteMs;
  }

  /** Writes the head of a stream. */
  begin(status: number, headers: OutgoingHttpHeaders): void {
    const response = this.#response;
    response.writeHead(status, headers);
    this.#framesChunks = response.chunkedEncoding && response.socket instanceof Socket;
    if (this.#framesChunks) response.chunkedEncoding = false;
  }

  /** Text to leave by the end of this turn. */
  push(text: string): void {
    this.#pending += text;
    if (this.#pending.length >= flushChars) this.flush();
    else this.#scheduled ??= setImmediate(() => this.flush());
  }

  flush(): void {
    const text = this.#takePending();
    if (text === '') return;
    if (this.#framesChunks) this.#writeText(chunkOf(text));
    else this.write(text);
  }

  /** Writes at once, past what is pending. */
  write(bytes: string | Buffer): void {
    if (this.#response.destroyed) return;
    this.#lastWriteMs = this.#clock.nowMs();
    this.#response.write(bytes);
  }

  #writeText({ text, encoding }: Framed): void {
    if (this.#response.destroyed) return;
    this.#lastWriteMs = this.#clock.nowMs();
    this.#response.write(text, encoding);
  }

  /** Resolves once the client has taken what was written, or is gone. */
  async drained(): Promise<void> {
    if (this.isBlocked) await this.#taken('drain');
  }

  /** Ends the response with `bytes`; resolves when its last byte has left, or the client is gone. */
  async end(bytes: string | Buffer, encoding: Framed['encoding'] = 'utf8'): Promise<void> {
    if (this.#framesChunks && typeof bytes === 'string') {
      const last = chunkOf(this.#takePending() + bytes);
      if (this.#response.destroyed) return;
      this.#response.end(`${last.text}0\r\n\r\n`, last.encoding);
    } else {
      this.flush();
      if (this.#response.destroyed) return;
      this.#response.end(bytes, encoding);
    }
    if (!this.#hasLeft) await this.#taken('finish');
  }

  /** As a rule the system takes a short answer at once, a turn before Node says so. */
  get #hasLeft(): boolean {
    return this.#response.writableFinished || this.#response.socket?.writableLength === 0;
  }

  #takePending(): string {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    const text = this.#pending;
    this.#pending = '';
    return text;
  }

  #taken(event: 'drain' | 'finish'): Promise<void> {
    const response = this.#response;
    if (response.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = (): void => {
        timer.clear();
        response.off(event, settle).off('close', settle);
        resolve();
      };
      // Destroying it closes it, which aborts the exchange and with it whatever still works for this client.
      const timer = new DueTimer(this.#clock, () => response.destroy());
      timer.set(this.#clock.nowMs() + this.#slowReaderMs);
      response.once(event, settle).once('close', settle);
    });
  }
}

interface Framed {
  readonly text: string;
  readonly encoding: 'latin1' | 'utf8';
}

/** One chunk of a body (RFC 9112, section 7.1). */
function chunkOf(text: string): Framed {
  const bytes = Buffer.byteLength(text);
  return { text: `${bytes.toString(16)}\r\n${text}\r\n`, encoding: encodingOf(text, bytes) };
}

/** What is ASCII, with as many bytes as characters, is written without being converted. */
export function encodingOf(text: string, bytes: number): Framed['encoding'] {
  return bytes === text.length ? 'latin1' : 'utf8';
}

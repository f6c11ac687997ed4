import type { ServerResponse } from 'node:http';

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

  /** Text to leave by the end of this turn. */
  push(text: string): void {
    this.#pending += text;
    if (this.#pending.length >= flushChars) this.flush();
    else this.#scheduled ??= setImmediate(() => this.flush());
  }

  flush(): void {
    const text = this.#takePending();
    if (text !== '') this.write(text);
  }

  /** Writes at once, past what is pending. */
  write(bytes: string | Buffer): void {
    if (this.#response.destroyed) return;
    this.#lastWriteMs = this.#clock.nowMs();
    this.#response.write(bytes);
  }

  /** Resolves once the client has taken what was written, or is gone. */
  async drained(): Promise<void> {
    if (this.isBlocked) await this.#taken('drain');
  }

  /** Ends the response with `bytes`; resolves when its last byte has left, or the client is gone. */
  async end(bytes: string | Buffer): Promise<void> {
    this.flush();
    if (this.#response.destroyed) return;
    this.#response.end(bytes);
    if (!this.#response.writableFinished) await this.#taken('finish');
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

import type { Socket } from 'node:net';
import { type AnswerHead, AnswerParser } from './answer-parser.ts';
import type { Connector, SocketEvents } from './connector.ts';

/** A request on its way, which hears of its answer. */
export interface Asking {
  /** The whole request as it is sent. */
  readonly text: string;
  readonly encoding: 'latin1' | 'utf8';
  began(head: AnswerHead): void;
  /** Bytes of the body, its own. */
  came(bytes: Buffer): void;
  ended(): void;
  /** No more of the answer will come. @param isStale the connection was a kept one, and none of the answer had come */
  lost(error: Error | undefined, isStale: boolean): void;
}

/** Who keeps connections that nothing is asked on. */
export interface Keeper {
  /** @param hint what the other side said of how long it keeps it, if anything */
  keep(connection: Connection, hint: string): void;
  forget(connection: Connection): void;
}

/** One connection, on which one request at a time is asked. */
export class Connection implements SocketEvents {
  /** Until when it may be used again. */
  idleUntilMs = 0;
  readonly #socket: Socket;
  readonly #keeper: Keeper;
  readonly #parser = new AnswerParser();
  #asking: Asking | undefined;
  #isOpen = false;
  #isWritten = false;
  /** It answered a request before. */
  #isKept = false;
  #isPaused = false;

  /** @throws what the connector throws */
  constructor(url: URL, connect: Connector, keeper: Keeper) {
    this.#keeper = keeper;
    this.#socket = connect(url, this);
  }

  /** Takes the request; it is sent by `write`, at the earliest when the connection has opened. */
  ask(asking: Asking): void {
    this.#asking = asking;
    if (this.#isKept) this.#socket.ref();
  }

  /** Sends the request, if nothing was heard or ended meanwhile. */
  write(): void {
    if (!this.#isOpen || this.#isWritten || this.#asking === undefined) return;
    this.#isWritten = true;
    this.#socket.write(this.#asking.text, this.#asking.encoding);
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  /** Whoever asked hears no more. */
  destroy(): void {
    this.#asking = undefined;
    this.#socket.destroy();
  }

  opened(): void {
    this.#isOpen = true;
    this.write();
  }

  read(bytes: Buffer): void {
    const asking = this.#asking;
    // Nobody asked, or has yet: what this says belongs to no request.
    if (asking === undefined || !this.#isWritten) return this.#lose(undefined);
    const parser = this.#parser;
    const hadHead = parser.head !== undefined;
    const body = parser.read(bytes);
    const { head } = parser;
    if (head !== undefined && !hadHead) asking.began(head);
    // Each call may end it.
    if (body !== undefined && this.#asking !== undefined) asking.came(body);
    if (this.#asking === undefined) return;
    if (parser.error !== undefined) this.#lose(parser.error);
    else if (parser.isDone) this.#done();
  }

  ended(): void {
    if (this.#asking !== undefined && this.#parser.endsWithConnection()) this.#done();
    else this.#lose(undefined);
  }

  closed(error: Error | undefined): void {
    this.#isOpen = false;
    this.#lose(error);
  }

  /** The answer has come whole. */
  #done(): void {
    const asking = this.#asking;
    const { head, isKept } = this.#parser;
    this.#asking = undefined;
    this.#isWritten = false;
    this.#isKept = true;
    this.#parser.next();
    this.resume();
    if (isKept && this.#isOpen && this.#socket.writableLength === 0) {
      this.#socket.unref();
      this.#keeper.keep(this, String(head?.headers['keep-alive'] ?? ''));
    } else {
      this.#socket.destroy();
    }
    asking?.ended();
  }

  #lose(error: Error | undefined): void {
    const asking = this.#asking;
    this.#asking = undefined;
    this.#socket.destroy();
    this.#keeper.forget(this);
    asking?.lost(error, this.#isKept && !this.#parser.hasBegun);
  }
}

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';

/** One request as the upstream received it. */
export interface ReceivedRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The parsed body; `undefined` when it is not JSON. */
  readonly json: unknown;
  /** 1, 2 … the connection it came over. */
  readonly connection: number;
}

/** How an exchange ended: `answered` in full, `aborted` by the caller, or `broken` by the script. */
export type ExchangeEnd = 'answered' | 'aborted' | 'broken';

/** One request under way and the raw means to answer it, well or badly. */
export class Exchange {
  readonly request: ReceivedRequest;
  /** Resolves when nothing more can be sent. */
  readonly ended: Promise<ExchangeEnd>;
  #end: ExchangeEnd | undefined;
  readonly #response: ServerResponse;
  readonly #incoming: IncomingMessage;
  #isBroken = false;

  constructor(request: ReceivedRequest, incoming: IncomingMessage, response: ServerResponse) {
    this.request = request;
    this.#incoming = incoming;
    this.#response = response;
    this.ended = new Promise((resolve) => {
      response.on('close', () => {
        this.#end = this.#isBroken ? 'broken' : response.writableFinished ? 'answered' : 'aborted';
        resolve(this.#end);
      });
    });
  }

  /** `undefined` while it is under way. */
  get end(): ExchangeEnd | undefined {
    return this.#end;
  }

  /** Sends the head at once. Without a `content-length` the body is chunked. */
  head(status: number, headers: Readonly<Record<string, string>>): void {
    this.#response.writeHead(status, headers);
    this.#response.flushHeaders();
  }

  /** Sends a part of the body; resolves when the caller has room for more or is gone. */
  async write(part: string | Uint8Array): Promise<void> {
    if (this.#end !== undefined || this.#response.write(part)) return;
    await Promise.race([new Promise((resolve) => this.#response.once('drain', resolve)), this.ended]);
  }

  /** Ends the body properly. */
  finish(part = ''): void {
    this.#response.end(part);
  }

  /** Answers with JSON in one go. */
  json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
    const text = JSON.stringify(body);
    this.#response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      ...headers,
    });
    this.#response.end(text);
  }

  /** Breaks the connection with a reset. */
  reset(): void {
    this.#isBroken = true;
    this.#incoming.socket.resetAndDestroy();
  }

  /** Closes the connection in an orderly way, with the body unfinished. */
  hangUp(): void {
    this.#isBroken = true;
    this.#incoming.socket.end();
  }

  /** Says nothing more until the caller leaves. */
  async silence(): Promise<void> {
    await this.ended;
  }

  /** Waits, or less when the caller leaves. */
  async pause(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([new Promise((resolve) => (timer = setTimeout(resolve, ms))), this.ended]);
    clearTimeout(timer);
  }
}

/** Answers one exchange. */
export type Script = (exchange: Exchange) => void | Promise<void>;

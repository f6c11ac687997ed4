import { Agent, type Dispatcher } from 'undici';
import type { Clock } from '../../core/clock.ts';
import type { Tier } from '../../core/request.ts';
import type { BackendError } from '../../core/errors.ts';
import { type Flow, type Sink, sourceOf } from '../../core/flow.ts';
import type { HttpClient, HttpRequest, HttpResponse } from './client.ts';
import { createConnector } from './connector.ts';
import { bodyError, failed, isLostBeforeAnswer, sendError } from './send-error.ts';

export interface HttpClientOptions {
  /** Id of the backend this client serves, for its errors. */
  readonly backend: string;
  /** `local`: connects only to addresses of the user's own network, whatever a name resolves to. */
  readonly tier: Tier;
  /** Origins (`https://host:port`, no default port) it may send to; a request to any other never leaves. */
  readonly origins: ReadonlySet<string>;
  readonly clock: Clock;
  /** Name resolution, TCP and TLS together. */
  readonly connectMs: number;
  /** An idle connection is kept this long; default 60 s. A backend's own keep-alive hint wins. */
  readonly keepAliveMs?: number;
}

/** One backend's way out: HTTP/1.1 with keep-alive; no redirects, no compression, no time-outs but that of connecting. */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { backend, origins } = options;
  /** Errors of sockets that had answered before: a kept connection which the backend closed meanwhile. */
  const staleErrors = new WeakSet<Error>();
  const agent = new Agent({
    connect: createConnector({
      clock: options.clock,
      connectMs: options.connectMs,
      onlyLocal: options.tier === 'local',
      onSocketError: (socket, error) => socket.bytesRead > 0 && staleErrors.add(error),
    }),
    allowH2: false,
    keepAliveTimeout: options.keepAliveMs ?? 60_000,
    // Budgets are the caller's, who knows what a backend is doing; undici's timers are coarse besides.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    async send(request) {
      request.signal.throwIfAborted();
      if (!origins.has(request.url.origin)) throw failed('foreignOrigin', backend);
      return await new Exchange(request, { agent, backend, staleErrors }).head;
    },
    async close() {
      if (!agent.destroyed) await agent.destroy(failed('closed', backend));
    },
  };
}

interface Way {
  readonly agent: Agent;
  readonly backend: string;
  readonly staleErrors: WeakSet<Error>;
}

type Body = HttpResponse['body'];

/** Read before anybody takes it, beyond which the backend is told to wait. */
const highWaterBytes = 65_536;

/**
 * One request and its answer, as undici's own handler: no stream and no promise a chunk stands between its parser and
 * whoever reads. What came in one turn of the event loop is told as one piece.
 */
class Exchange implements Dispatcher.DispatchHandler, Body, Flow {
  readonly #request: HttpRequest;
  readonly #way: Way;
  readonly #head = Promise.withResolvers<HttpResponse>();
  readonly #onAbort = (): void => this.#giveUp(this.#request.signal.reason);
  readonly #tell = (): void => this.#told();
  #controller: Dispatcher.DispatchController | undefined;
  #to: Sink<Uint8Array> | undefined;
  #hasHead = false;
  #hasRetried = false;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #isPaused = false;
  #isTellingSoon = false;
  #isOver = false;
  /** In our terms; told once what came before it was. */
  #error: unknown;

  constructor(request: HttpRequest, way: Way) {
    this.#request = request;
    this.#way = way;
    request.signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#dispatch();
  }

  get head(): Promise<HttpResponse> {
    return this.#head.promise;
  }

  #dispatch(): void {
    const { method, url, headers, body } = this.#request;
    this.#way.agent.dispatch(
      {
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers: { ...headers, 'accept-encoding': 'identity' },
        body: body ?? null,
      },
      this,
    );
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isOver) controller.abort(over);
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: HttpResponse['headers']): void {
    // An interim answer; the real one follows.
    if (status < 200) return;
    const refusal = refusalOf(status, headers, this.#way.backend);
    if (refusal !== undefined) {
      this.#giveUp(refusal);
      return;
    }
    this.#controller = controller;
    this.#hasHead = true;
    this.#head.resolve({ status, headers, body: this });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > highWaterBytes) controller.pause();
    this.#tellSoon();
  }

  onResponseEnd(): void {
    this.#end(undefined);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#isOver) return;
    const { staleErrors, backend } = this.#way;
    if (this.#hasHead) {
      this.#end(bodyError(error, backend));
    } else if (!this.#hasRetried && isLostBeforeAnswer(error, staleErrors)) {
      this.#hasRetried = true;
      this.#dispatch();
    } else {
      this.#end(sendError(error, backend));
    }
  }

  pipe(to: Sink<Uint8Array>): Flow {
    this.#to = to;
    this.#tellSoon();
    return this;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return sourceOf<Uint8Array>((to) => this.pipe(to))[Symbol.asyncIterator]();
  }

  destroy(error?: Error): void {
    this.#giveUp(error);
  }

  pause(): void {
    this.#isPaused = true;
    this.#controller?.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#controller?.resume();
    this.#tellSoon();
  }

  stop(): void {
    this.#to = undefined;
    this.#giveUp(undefined);
  }

  /** Once all that came in this turn is there. */
  #tellSoon(): void {
    if (this.#isTellingSoon || this.#to === undefined) return;
    this.#isTellingSoon = true;
    queueMicrotask(this.#tell);
  }

  #told(): void {
    this.#isTellingSoon = false;
    if (this.#isPaused) return;
    const chunks = this.#chunks;
    const [first] = chunks;
    if (first !== undefined) {
      this.#chunks = [];
      this.#bytes = 0;
      if (this.#controller?.paused === true) this.#controller.resume();
      this.#to?.put(chunks.length === 1 ? first : Buffer.concat(chunks));
      if (this.#isPaused) return;
    }
    if (!this.#isOver) return;
    const to = this.#to;
    this.#to = undefined;
    to?.end(this.#error);
  }

  #giveUp(reason: unknown): void {
    if (this.#isOver) return;
    this.#chunks = [];
    this.#end(reason);
    this.#controller?.abort(over);
  }

  #end(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    this.#request.signal.removeEventListener('abort', this.#onAbort);
    if (!this.#hasHead) this.#head.reject(error);
    this.#tellSoon();
  }
}

/** Ends the exchange on undici's side; nobody hears of it. */
const over = new Error('The exchange is over.');

function refusalOf(status: number, headers: HttpResponse['headers'], backend: string): BackendError | undefined {
  if (status >= 300 && status < 400) return failed('redirect', backend);
  const encoding = headers['content-encoding'];
  return encoding === undefined || encoding === 'identity' ? undefined : failed('encoded', backend);
}

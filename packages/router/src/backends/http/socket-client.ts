import type { Clock } from '../../core/clock.ts';
import type { Tier } from '../../core/request.ts';
import type { BackendError } from '../../core/errors.ts';
import { type Flow, type Sink, sourceOf } from '../../core/flow.ts';
import type { AnswerHead } from './answer-parser.ts';
import type { HttpClient, HttpRequest, HttpResponse } from './client.ts';
import type { Asking, Connection } from './connection.ts';
import { ConnectionPool } from './connection-pool.ts';
import { createConnector } from './connector.ts';
import { bodyError, failed, sendError } from './send-error.ts';

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
  return new SocketClient(options);
}

/** What does not change between requests to one URL. */
interface Place {
  readonly pool: ConnectionPool;
  /** Of the request, after its method. */
  readonly head: string;
}

class SocketClient implements HttpClient {
  readonly #options: HttpClientOptions;
  readonly #connect;
  readonly #pools = new Map<string, ConnectionPool>();
  readonly #places = new WeakMap<URL, Place>();
  readonly #running = new Set<Exchange>();
  #isClosed = false;

  constructor(options: HttpClientOptions) {
    const { clock, connectMs, tier } = options;
    this.#options = options;
    this.#connect = createConnector({ clock, connectMs, onlyLocal: tier === 'local' });
  }

  async send(request: HttpRequest): Promise<HttpResponse> {
    const { backend, clock, connectMs } = this.#options;
    request.signal.throwIfAborted();
    const place = this.#places.get(request.url) ?? this.#placeOf(request.url);
    if (this.#isClosed) throw failed('closed', backend);
    return await new Exchange(request, place, { backend, clock, connectMs, running: this.#running }).head;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const exchange of this.#running) exchange.destroy(failed('closed', this.#options.backend));
    for (const pool of this.#pools.values()) pool.close();
  }

  #placeOf(url: URL): Place {
    const { origins, backend, clock, keepAliveMs = 60_000 } = this.#options;
    if (!origins.has(url.origin)) throw failed('foreignOrigin', backend);
    let pool = this.#pools.get(url.origin);
    if (pool === undefined) {
      pool = new ConnectionPool(new URL(url.origin), { connect: this.#connect, clock, keepAliveMs });
      this.#pools.set(url.origin, pool);
    }
    const head = ` ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\nconnection: keep-alive\r\naccept-encoding: identity\r\n`;
    const place = { pool, head };
    this.#places.set(url, place);
    return place;
  }
}

type Body = HttpResponse['body'];

/** Read before anybody takes it, beyond which the backend is told to wait. */
const highWaterBytes = 65_536;

interface Way extends Pick<HttpClientOptions, 'backend' | 'clock' | 'connectMs'> {
  readonly running: Set<Exchange>;
}

/** One request and its answer: no stream and no promise a chunk stands between the socket and whoever reads. */
class Exchange implements Asking, Body, Flow {
  readonly text: string;
  readonly encoding: 'latin1' | 'utf8';
  readonly #request: HttpRequest;
  readonly #place: Place;
  readonly #way: Way;
  readonly #head = Promise.withResolvers<HttpResponse>();
  readonly #onAbort = (): void => this.#giveUp(this.#request.signal.reason);
  #connection: Connection | undefined;
  #to: Sink<Uint8Array> | undefined;
  #hasHead = false;
  #askedMs = 0;
  #hasRetried = false;
  /** Not told yet. */
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #isPaused = false;
  #isTellingSoon = false;
  #isOver = false;
  /** In our terms; told once what came before it was. */
  #error: unknown;

  /** @throws BackendError for headers that must not be sent */
  constructor(request: HttpRequest, place: Place, way: Way) {
    const { method, headers, body, signal } = request;
    this.#request = request;
    this.#place = place;
    this.#way = way;
    const head = method + place.head + linesOf(headers, way.backend);
    if (body === undefined) {
      this.text = `${head}\r\n`;
      this.encoding = 'latin1';
    } else {
      const bytes = Buffer.byteLength(body);
      this.text = `${head}content-length: ${bytes}\r\n\r\n${body}`;
      this.encoding = bytes === body.length ? 'latin1' : 'utf8';
    }
    signal.addEventListener('abort', this.#onAbort, { once: true });
    way.running.add(this);
    this.#ask(false);
  }

  get head(): Promise<HttpResponse> {
    return this.#head.promise;
  }

  #ask(onNewOne: boolean): void {
    this.#askedMs = this.#way.clock.nowMs();
    try {
      this.#connection = this.#place.pool.ask(this, onNewOne);
    } catch (error) {
      this.#end(sendError(error, this.#way.backend));
    }
  }

  began({ status, headers }: AnswerHead): void {
    const refusal = refusalOf(status, headers, this.#way.backend);
    if (refusal !== undefined) return this.#giveUp(refusal);
    this.#hasHead = true;
    this.#head.resolve({ status, headers, body: this });
  }

  came(bytes: Uint8Array): void {
    if (this.#to !== undefined && !this.#isPaused && !this.#isTellingSoon) return this.#to.put(bytes);
    this.#kept.push(bytes);
    this.#keptBytes += bytes.length;
    if (this.#keptBytes > highWaterBytes) this.#connection?.pause();
  }

  ended(): void {
    this.#connection = undefined;
    this.#end(undefined);
  }

  lost(error: Error | undefined, isStale: boolean): void {
    this.#connection = undefined;
    const { backend, clock, connectMs } = this.#way;
    if (this.#hasHead) return this.#end(bodyError(error, backend));
    // A backend that had closed it while nothing was asked is heard of in one round trip; later, it was lost at work.
    const wasClosed = isStale && clock.nowMs() - this.#askedMs <= connectMs;
    if (!wasClosed || this.#hasRetried) return this.#end(sendError(error, backend));
    this.#hasRetried = true;
    this.#ask(true);
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
    this.#connection?.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#tellSoon();
  }

  stop(): void {
    this.#to = undefined;
    this.#giveUp(undefined);
  }

  /** What was kept is told in a turn of its own, since the taker may not have returned yet. */
  #tellSoon(): void {
    if (this.#isTellingSoon || this.#to === undefined) return;
    this.#isTellingSoon = true;
    queueMicrotask(() => this.#tell());
  }

  #tell(): void {
    this.#isTellingSoon = false;
    if (this.#isPaused) return;
    const kept = this.#kept;
    const [first] = kept;
    if (first !== undefined) {
      this.#kept = [];
      this.#keptBytes = 0;
      this.#to?.put(kept.length === 1 ? first : Buffer.concat(kept));
      if (this.#isPaused) return;
    }
    if (this.#isOver) this.#tellEnd();
    else this.#connection?.resume();
  }

  #tellEnd(): void {
    const to = this.#to;
    this.#to = undefined;
    to?.end(this.#error);
  }

  #giveUp(reason: unknown): void {
    if (this.#isOver) return;
    this.#kept = [];
    this.#connection?.destroy();
    this.#end(reason);
  }

  #end(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    this.#request.signal.removeEventListener('abort', this.#onAbort);
    this.#way.running.delete(this);
    if (!this.#hasHead) this.#head.reject(error);
    this.#tellSoon();
  }
}

const headerName = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/;

/** @throws BackendError for what would end a line early */
function linesOf(headers: HttpRequest['headers'], backend: string): string {
  let lines = '';
  for (const name in headers) {
    const value = headers[name] ?? '';
    if (!headerName.test(name) || !headerValue.test(value)) throw failed('header', backend);
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}

function refusalOf(status: number, headers: HttpResponse['headers'], backend: string): BackendError | undefined {
  if (status >= 300 && status < 400) return failed('redirect', backend);
  const encoding = headers['content-encoding'];
  return encoding === undefined || encoding === 'identity' ? undefined : failed('encoded', backend);
}

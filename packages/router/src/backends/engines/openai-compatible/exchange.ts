import type { Cancellation } from '../../../core/abort.ts';
import type { Clock } from '../../../core/clock.ts';
import { BackendError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import { type Flow, pipe, type Sink } from '../../../core/flow.ts';
import { type JsonValue, parseJson } from '../../../core/json.ts';
import type { Tier } from '../../../core/request.ts';
import type { HttpClient, HttpResponse } from '../../http/client.ts';
import { readErrorBody } from '../../http/error-body.ts';
import { readJsonBody, WholeBody } from '../../http/json-body.ts';
import { type SseEvent, SseReader } from '../../http/sse.ts';
import { errorInAnswer, errorOfStatus, isLimitTooLarge } from './errors.ts';
import { violationIn } from './egress.ts';
import type { AnswerReader } from './events.ts';
import { type Feature, featuresNamedIn } from './supported-features.ts';

export interface ExchangeOptions {
  readonly client: HttpClient;
  readonly clock: Clock;
  readonly backend: string;
  /** A local server is told so, and its answer refused where it went through a cloud. */
  readonly tier: Tier;
  /** It is another LFO, which says of every answer where its prompt went. */
  readonly isLfo?: boolean;
  /** With the `/v1`. */
  readonly baseUrl: string;
  readonly maxEventBytes: number;
  readonly maxBodyBytes: number;
}

/** The server answered with an error status. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly status: number;
  /** The error for the client. */
  readonly shown: BackendError;
  /** Features of the request that the answer names. */
  readonly named: readonly Feature[];
  /** It refuses how long the answer may be. */
  readonly isAboutLimit: boolean;

  constructor(status: number, shown: BackendError, text: string) {
    super(shown.message);
    this.status = status;
    this.shown = shown;
    this.named = featuresNamedIn(text);
    this.isAboutLimit = shown.fault === 'rejected' && isLimitTooLarge(text);
  }
}

/** How long the end of a finished stream is waited for, so that its connection can be used again. */
const drainMs = 1000;

/** The HTTP side of one server: sends requests and reads answers as they come, streamed or whole. */
export class Exchanges {
  readonly #options: ExchangeOptions;
  readonly #urls = new Map<string, URL>();

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** Sends and waits for the head. @throws StatusError for a status other than 2xx */
  async send(
    path: string,
    key: string | undefined,
    signal: Cancellation,
    body?: string,
    headers?: Readonly<Record<string, string>>,
  ): Promise<HttpResponse> {
    const { client, clock, backend, tier, isLfo = false } = this.#options;
    const response = await client.send({
      method: body === undefined ? 'GET' : 'POST',
      url: this.#urlOf(path),
      headers: {
        ...headers,
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(tier === 'local' ? { 'x-lfo-mode': 'local' } : {}),
      },
      signal,
      ...(body === undefined ? {} : { body }),
    });
    const refusal = tier === 'local' && body !== undefined ? violationIn(response, backend, isLfo) : undefined;
    if (refusal !== undefined) {
      response.body.destroy();
      throw refusal;
    }
    if (response.status >= 200 && response.status < 300) return response;
    const text = await readErrorBody(response, backend, clock);
    response.body.destroy();
    signal.throwIfAborted();
    throw new StatusError(response.status, errorOfStatus(response, text, backend, clock), text);
  }

  /** The whole body as JSON. */
  async json({ body }: HttpResponse): Promise<JsonValue> {
    const { backend, maxBodyBytes } = this.#options;
    return await readJsonBody(body, { backend, maxBytes: maxBodyBytes });
  }

  /** The events of an answer that was asked for whole. Servers that stream all the same are read as they come. */
  async whole(response: HttpResponse, reader: AnswerReader): Promise<InferenceEvent[]> {
    if (isJson(response)) return wholeAnswer(await this.json(response), reader);
    const events: InferenceEvent[] = [];
    await new Promise<void>((resolve, reject) => {
      this.tell(response, reader, {
        put: (batch) => events.push(...batch),
        end: (error) => (error === undefined ? resolve() : reject(error)),
      });
    });
    return events;
  }

  /**
   * Tells the answer's events, those of one read together. Servers that answer whole when asked for a stream are taken
   * at their word.
   */
  tell(response: HttpResponse, reader: AnswerReader, to: Sink<InferenceEvent[]>): Flow {
    const { backend } = this.#options;
    if (/^text\/html|^image\//i.test(typeOf(response))) {
      response.body.destroy();
      throw new BackendError('The backend answered with a page, not with a completion; check its base URL.', {
        fault: 'bad_answer',
        backend,
      });
    }
    return new StreamedAnswer(response, reader, to, this.#options);
  }

  #urlOf(path: string): URL {
    const known = this.#urls.get(path);
    if (known !== undefined) return known;
    const url = new URL(this.#options.baseUrl.replace(/\/+$/, '') + path);
    this.#urls.set(path, url);
    return url;
  }
}

/** Tells the events of one answer as its bytes come. */
class StreamedAnswer implements Sink<Uint8Array>, Flow {
  readonly #options: ExchangeOptions;
  readonly #body: HttpResponse['body'];
  readonly #reader: AnswerReader;
  readonly #to: Sink<InferenceEvent[]>;
  readonly #frames: SseReader;
  readonly #flow: Flow;
  #hasBegun = false;
  /** Of an answer that comes in one piece all the same. */
  #whole: WholeBody | undefined;
  /** Its taker has heard of its end. */
  #isOver = false;
  #hasBodyEnded = false;
  #cancelDrain: (() => void) | undefined;

  constructor(response: HttpResponse, reader: AnswerReader, to: Sink<InferenceEvent[]>, options: ExchangeOptions) {
    const { backend, maxEventBytes } = options;
    this.#options = options;
    this.#body = response.body;
    this.#reader = reader;
    this.#to = to;
    this.#frames = new SseReader({ backend, maxEventBytes });
    if (isJson(response)) this.#takeWhole();
    this.#flow = pipe(response.body, this);
  }

  put(bytes: Uint8Array): void {
    if (this.#isOver) return;
    try {
      // An error under an event-stream type.
      if (!this.#hasBegun && beginsLikeJson(bytes)) this.#takeWhole();
      this.#hasBegun = true;
      if (this.#whole !== undefined) this.#whole.add(bytes);
      else this.#read(this.#frames.read(bytes));
    } catch (error) {
      this.#fail(error);
    }
  }

  end(error?: unknown): void {
    this.#hasBodyEnded = true;
    this.#cancelDrain?.();
    if (this.#isOver) return;
    // A connection lost after the model's last word lost nothing.
    const isComplete = this.#whole === undefined && this.#reader.isFinished && error instanceof BackendError;
    if (error !== undefined && !isComplete) return this.#fail(error);
    try {
      this.#finish(this.#whole === undefined ? this.#reader.end() : wholeAnswer(this.#whole.json(), this.#reader));
    } catch (failure) {
      this.#fail(failure);
    }
  }

  pause(): void {
    this.#flow.pause();
  }

  resume(): void {
    this.#flow.resume();
  }

  /** An answer that was heard out is read on to the end of its response: a connection left in the middle cannot be kept. */
  stop(): void {
    if (this.#hasBodyEnded) return;
    if (this.#isOver) this.#cancelDrain ??= this.#options.clock.schedule(drainMs, () => this.#body.destroy());
    else this.#flow.stop();
    this.#isOver = true;
  }

  #takeWhole(): void {
    const { backend, maxBodyBytes } = this.#options;
    this.#whole = new WholeBody({ backend, maxBytes: maxBodyBytes });
  }

  /** What the frames of one read say, up to the first that is an error or the end. */
  #read(frames: readonly SseEvent[]): void {
    const events: InferenceEvent[] = [];
    let isDone = false;
    let failure: unknown;
    try {
      for (const { event, data } of frames) {
        isDone = data.length < 16 && data.trim() === '[DONE]';
        if (isDone) break;
        for (const one of this.#readFrame(event, data)) events.push(one);
      }
    } catch (error) {
      failure = error;
    }
    if (isDone) {
      for (const event of this.#reader.end()) events.push(event);
      return this.#finish(events);
    }
    if (events.length > 0) this.#to.put(events);
    failure ??= this.#frames.error;
    if (failure !== undefined) this.#fail(failure);
  }

  #readFrame(type: string | undefined, data: string): InferenceEvent[] {
    const { backend } = this.#options;
    const value = parseJson(data);
    if (type === 'error') {
      throw (
        errorInAnswer(value, backend) ??
        new BackendError('The backend failed in the middle of its answer; try again.', { fault: 'server', backend })
      );
    }
    return this.#reader.read(value);
  }

  #finish(events: InferenceEvent[]): void {
    this.#isOver = true;
    this.#to.put(events);
    this.#to.end();
  }

  #fail(error: unknown): void {
    this.#isOver = true;
    this.#hasBodyEnded = true;
    this.#flow.stop();
    this.#to.end(error);
  }
}

/** One completion as the events of an answer. */
function wholeAnswer(value: JsonValue, reader: AnswerReader): InferenceEvent[] {
  const events = reader.read(value);
  for (const event of reader.end(true)) events.push(event);
  return events;
}

function typeOf({ headers }: HttpResponse): string {
  return String(headers['content-type'] ?? '');
}

function isJson(response: HttpResponse): boolean {
  return /json/i.test(typeOf(response));
}

/** Looks at the first byte that is no white space. */
function beginsLikeJson(bytes: Uint8Array): boolean {
  return /^\s*[[{]/.test(Buffer.from(bytes.subarray(0, 64)).toString('latin1'));
}

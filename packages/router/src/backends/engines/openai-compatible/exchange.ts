import type { Clock } from '../../../core/clock.ts';
import { BackendError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import { type JsonValue, parseJson } from '../../../core/json.ts';
import type { Tier } from '../../../core/request.ts';
import type { HttpClient, HttpResponse } from '../../http/client.ts';
import { readErrorBody } from '../../http/error-body.ts';
import { readJsonBody } from '../../http/json-body.ts';
import { type SseEvent, SseReader } from '../../http/sse.ts';
import { errorInAnswer, errorOfStatus } from './errors.ts';
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

  constructor(status: number, shown: BackendError, named: readonly Feature[]) {
    super(shown.message);
    this.status = status;
    this.shown = shown;
    this.named = named;
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
    signal: AbortSignal,
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
    throw new StatusError(response.status, errorOfStatus(response, text, backend, clock), featuresNamedIn(text));
  }

  /** The whole body as JSON. */
  async json({ body }: HttpResponse): Promise<JsonValue> {
    const { backend, maxBodyBytes } = this.#options;
    return await readJsonBody(body, { backend, maxBytes: maxBodyBytes });
  }

  /** The events of an answer that was asked for whole. Servers that stream all the same are read as they come. */
  async whole(response: HttpResponse, reader: AnswerReader): Promise<InferenceEvent[]> {
    if (!isJson(response)) return (await Array.fromAsync(this.batches(response, reader))).flat();
    const events = reader.read(await this.json(response));
    for (const event of reader.end(true)) events.push(event);
    return events;
  }

  /**
   * The answer's events, those of one read together. Servers that answer whole when asked for a stream are taken at
   * their word.
   */
  async *batches(response: HttpResponse, reader: AnswerReader): AsyncGenerator<InferenceEvent[], void> {
    const { backend, maxEventBytes } = this.#options;
    const { body } = response;
    if (/^text\/html|^image\//i.test(typeOf(response))) {
      body.destroy();
      throw new BackendError('The backend answered with a page, not with a completion; check its base URL.', {
        fault: 'bad_answer',
        backend,
      });
    }
    if (isJson(response)) {
      yield await this.whole(response, reader);
      return;
    }
    const reads = body[Symbol.asyncIterator]();
    const frames = new SseReader({ backend, maxEventBytes });
    let isOver = false;
    try {
      for (let isFirst = true; !isOver; isFirst = false) {
        const bytes = await nextRead(reads, reader);
        if (bytes === undefined) break;
        if (isFirst && beginsLikeJson(bytes)) {
          // An error under an event-stream type.
          yield await this.whole({ ...response, headers: asJson, body: resumed(bytes, reads, body) }, reader);
          return;
        }
        const { events, isDone, error } = this.#take(frames.read(bytes), reader);
        isOver = isDone;
        if (isOver) for (const event of reader.end()) events.push(event);
        if (events.length > 0) yield events;
        const failure = error ?? (isOver ? undefined : frames.error);
        if (failure !== undefined) throw failure;
      }
      if (!isOver) yield reader.end();
    } finally {
      // Read on to the end of the response: a connection left in the middle of one cannot be kept.
      if (isOver) void this.#drain(reads, body);
      else body.destroy();
    }
  }

  /** What the frames of one read say, up to the first that is an error or the end. */
  #take(
    frames: readonly SseEvent[],
    reader: AnswerReader,
  ): { readonly events: InferenceEvent[]; readonly isDone: boolean; readonly error?: unknown } {
    const events: InferenceEvent[] = [];
    try {
      for (const frame of frames) {
        if (frame.data.length < 16 && frame.data.trim() === '[DONE]') return { events, isDone: true };
        for (const event of this.#read(frame, reader)) events.push(event);
      }
      return { events, isDone: false };
    } catch (error) {
      return { events, isDone: false, error };
    }
  }

  #read({ event, data }: SseEvent, reader: AnswerReader): InferenceEvent[] {
    const { backend } = this.#options;
    const value = parseJson(data);
    if (event === 'error') {
      throw (
        errorInAnswer(value, backend) ??
        new BackendError('The backend failed in the middle of its answer; try again.', { fault: 'server', backend })
      );
    }
    return reader.read(value);
  }

  async #drain(reads: AsyncIterator<Uint8Array, unknown>, body: HttpResponse['body']): Promise<void> {
    const cancel = this.#options.clock.schedule(drainMs, () => body.destroy());
    try {
      while ((await reads.next()).done !== true) continue;
    } catch {
      // Everything that was wanted has been read.
    }
    cancel();
  }

  #urlOf(path: string): URL {
    const known = this.#urls.get(path);
    if (known !== undefined) return known;
    const url = new URL(this.#options.baseUrl.replace(/\/+$/, '') + path);
    this.#urls.set(path, url);
    return url;
  }
}

/** The next bytes, or `undefined` at the end; a connection lost after the model's last word lost nothing. */
async function nextRead(
  reads: AsyncIterator<Uint8Array, unknown>,
  reader: AnswerReader,
): Promise<Uint8Array | undefined> {
  try {
    const read = await reads.next();
    return read.done === true ? undefined : read.value;
  } catch (error) {
    if (!(error instanceof BackendError) || !reader.isFinished) throw error;
    return undefined;
  }
}

function typeOf({ headers }: HttpResponse): string {
  return String(headers['content-type'] ?? '');
}

function isJson(response: HttpResponse): boolean {
  return /json/i.test(typeOf(response));
}

const asJson = { 'content-type': 'application/json' };

/** Looks at the first byte that is no white space. */
function beginsLikeJson(bytes: Uint8Array): boolean {
  return /^\s*[[{]/.test(Buffer.from(bytes.subarray(0, 64)).toString('latin1'));
}

/** The body with what was read of it. */
function resumed(
  first: Uint8Array,
  reads: AsyncIterator<Uint8Array, unknown>,
  body: HttpResponse['body'],
): HttpResponse['body'] {
  let isFirst = true;
  const iterator: AsyncIterator<Uint8Array, unknown> = {
    next() {
      if (!isFirst) return reads.next();
      isFirst = false;
      return Promise.resolve({ done: false, value: first });
    },
    return: (value) => reads.return?.(value) ?? Promise.resolve({ done: true, value }),
  };
  return { [Symbol.asyncIterator]: () => iterator, destroy: (error) => body.destroy(error) };
}

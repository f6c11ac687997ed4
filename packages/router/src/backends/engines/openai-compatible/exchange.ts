import { type ChildAbort, childOf } from '../../../core/abort.ts';
import type { Clock } from '../../../core/clock.ts';
import { BackendError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import { parseJson } from '../../../core/json.ts';
import type { Tier } from '../../../core/request.ts';
import type { HttpClient, HttpResponse } from '../../http/client.ts';
import { readErrorBody } from '../../http/error-body.ts';
import { readJsonBody } from '../../http/json-body.ts';
import { readSse, type SseEvent } from '../../http/sse.ts';
import { errorInAnswer, errorOfStatus } from './errors.ts';
import { checkHead } from './egress.ts';
import type { AnswerReader } from './events.ts';
import { type Feature, featuresNamedIn } from './supported-features.ts';

export interface ExchangeOptions {
  readonly client: HttpClient;
  readonly clock: Clock;
  readonly backend: string;
  /** A local server is told so, and its answer refused where it went through a cloud. */
  readonly tier: Tier;
  /** With the `/v1`. */
  readonly baseUrl: string;
  readonly maxEventBytes: number;
  readonly maxBodyBytes: number;
}

/** An answer whose head has come, with a status of 2xx. */
export interface Answer {
  readonly response: HttpResponse;
  readonly abort: ChildAbort;
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

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** Sends and waits for the head. @throws StatusError for a status other than 2xx */
  async send(path: string, key: string | undefined, signal: AbortSignal, body?: string): Promise<Answer> {
    const { client, clock, backend, tier, baseUrl } = this.#options;
    const abort = childOf(signal);
    try {
      const response = await client.send({
        method: body === undefined ? 'GET' : 'POST',
        url: new URL(baseUrl.replace(/\/+$/, '') + path),
        headers: {
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(tier === 'local' ? { 'x-lfo-mode': 'local' } : {}),
        },
        signal: abort.signal,
        ...(body === undefined ? {} : { body }),
      });
      if (tier === 'local' && body !== undefined) checkHead(response, backend);
      if (response.status >= 200 && response.status < 300) return { response, abort };
      const text = await readErrorBody(response, backend, clock);
      signal.throwIfAborted();
      throw new StatusError(response.status, errorOfStatus(response, text, backend, clock), featuresNamedIn(text));
    } catch (error) {
      abort.abort();
      abort.release();
      throw error;
    }
  }

  /** The whole body as JSON. */
  async json({ response, abort }: Answer): Promise<ReturnType<typeof parseJson>> {
    const { backend, maxBodyBytes } = this.#options;
    try {
      return await readJsonBody(response.body, { backend, maxBytes: maxBodyBytes });
    } finally {
      abort.release();
    }
  }

  /** The answer's events. Servers that answer whole when asked for a stream are taken at their word. */
  async *events(answer: Answer, reader: AnswerReader): AsyncGenerator<InferenceEvent, void> {
    const type = String(answer.response.headers['content-type'] ?? '');
    if (/^text\/html|^image\//i.test(type)) {
      answer.abort.abort();
      answer.abort.release();
      throw new BackendError('The backend answered with a page, not with a completion; check its base URL.', {
        fault: 'bad_answer',
        backend: this.#options.backend,
      });
    }
    if (/json/i.test(type)) {
      yield* this.#whole(answer, reader);
      return;
    }
    const peeked = await peek(answer.response.body);
    const resumed = { ...answer, response: { ...answer.response, body: peeked.body } };
    // An error under an event-stream type.
    if (peeked.isJson) yield* this.#whole(resumed, reader);
    else yield* this.#stream(resumed, reader);
  }

  async *#whole(answer: Answer, reader: AnswerReader): AsyncGenerator<InferenceEvent, void> {
    yield* reader.read(await this.json(answer));
    yield* reader.end(true);
  }

  async *#stream({ response, abort }: Answer, reader: AnswerReader): AsyncGenerator<InferenceEvent, void> {
    const { backend, maxEventBytes } = this.#options;
    const batches = readSse(response.body, { backend, maxEventBytes });
    let isOver = false;
    try {
      while (!isOver) {
        const batch = await nextBatch(batches, reader, abort.signal);
        if (batch === undefined) break;
        for (const event of batch) {
          isOver = event.data.trim() === '[DONE]';
          if (isOver) break;
          for (const said of this.#read(event, reader)) yield said;
        }
      }
      yield* reader.end();
    } finally {
      abort.release();
      if (isOver) void this.#drain(batches, abort);
      else abort.abort();
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

  /** Reads on to the end of the response: a connection left in the middle of one cannot be kept. */
  async #drain(batches: AsyncGenerator<SseEvent[], void>, abort: ChildAbort): Promise<void> {
    const cancel = this.#options.clock.schedule(drainMs, () => abort.abort());
    try {
      while ((await batches.next()).done !== true) continue;
    } catch {
      // Everything that was wanted has been read.
    }
    cancel();
  }
}

/** The next events, or `undefined` at the end; a connection lost after the model's last word lost nothing. */
async function nextBatch(
  batches: AsyncGenerator<SseEvent[], void>,
  reader: AnswerReader,
  signal: AbortSignal,
): Promise<SseEvent[] | undefined> {
  try {
    const { done, value } = await batches.next();
    return done === true ? undefined : value;
  } catch (error) {
    if (signal.aborted || !reader.isFinished) throw error;
    return undefined;
  }
}

/** Looks at the first byte that is no white space; the body given back is whole. */
async function peek(
  body: HttpResponse['body'],
): Promise<{ readonly isJson: boolean; readonly body: HttpResponse['body'] }> {
  const reads = body[Symbol.asyncIterator]();
  const first = await reads.next();
  let pending: IteratorResult<Uint8Array, unknown> | undefined = first;
  const resumed: AsyncIterator<Uint8Array> = {
    next: () => {
      if (pending === undefined) return reads.next();
      const read = Promise.resolve(pending);
      pending = undefined;
      return read;
    },
    return: (value) => reads.return?.(value) ?? Promise.resolve({ done: true, value }),
  };
  return {
    isJson: first.done !== true && /^\s*[[{]/.test(Buffer.from(first.value.subarray(0, 64)).toString('latin1')),
    body: { [Symbol.asyncIterator]: () => resumed, destroy: (error) => body.destroy(error) },
  };
}

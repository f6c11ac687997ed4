import type { Cancellation } from '../../../core/abort.ts';
import type { Clock } from '../../../core/clock.ts';
import type { GeminiBackendConfig, LimitsConfig } from '../../../config/config.ts';
import { BackendError } from '../../../core/errors.ts';
import type { JsonValue } from '../../../core/json.ts';
import { parseJson } from '../../../core/json.ts';
import type { HttpClient, HttpResponse } from '../../http/client.ts';
import { readErrorBody } from '../../http/error-body.ts';
import { readTextBody } from '../../http/json-body.ts';
import { type SseEvent, SseReader } from '../../http/sse.ts';
import type { Refusal, RefusalContext } from './errors.ts';
import { findError, readRefusal, refusalOf } from './errors.ts';
import { bareModelName } from './models.ts';
import type { AnswerChunk } from './wire.ts';
import { answerChunk } from './wire.ts';

/** Gemini refused the call; the engine may know a way round. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.error.message);
    this.refusal = refusal;
  }
}

/** One call of a model. */
export interface GeminiCall {
  readonly model: string;
  /** Serialised body. */
  readonly body: string;
  /** Absent behind a proxy that adds it. */
  readonly secret: string | undefined;
  readonly signal: Cancellation;
}

export interface TransportOptions {
  readonly config: GeminiBackendConfig;
  readonly client: HttpClient;
  readonly clock: Clock;
  readonly limits: Pick<LimitsConfig, 'upstreamEventBytes' | 'answerBytes'>;
}

/** Clients name models; those of so many are kept. */
const maxUrls = 100;

/** The REST interface of the Gemini API and of Vertex AI. */
export class GeminiTransport {
  readonly #options: TransportOptions;
  readonly #base: string;
  readonly #backend: string;
  readonly #urls = new Map<string, URL>();

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#base = versioned(options.config.baseUrl);
    this.#backend = options.config.name;
  }

  /**
   * The chunks of one answer, batched as they arrive.
   * @throws RefusedError for an error answer; BackendError for what is no answer at all
   */
  async *generate(call: GeminiCall): AsyncGenerator<AnswerChunk[], void> {
    const response = await this.#send(call, this.#urlOf(call.model, true));
    const body = await peek(response.body);
    if (body.isJson) yield this.#whole(await this.#readText(body.bytes), call.model);
    else if (isEventStream(response)) yield* this.#streamed(body.bytes, call.model);
    else {
      response.body.destroy();
      throw this.#noJson();
    }
  }

  /** As `generate`, in one piece. */
  async complete(call: GeminiCall): Promise<AnswerChunk[]> {
    const response = await this.#send(call, this.#urlOf(call.model, false));
    const text = await this.#readText(response.body);
    if (/^[\s\uFEFF]*[[{]/.test(text)) return this.#whole(text, call.model);
    if (!isEventStream(response)) throw this.#noJson();
    const frames = this.#frames();
    const chunks: AnswerChunk[] = [];
    this.#read(frames.read(Buffer.from(text)), chunks, call.model);
    if (frames.error !== undefined) throw frames.error;
    return chunks;
  }

  async #send(call: GeminiCall, url: URL): Promise<HttpResponse> {
    const response = await this.#options.client.send({
      method: 'POST',
      url,
      headers: { 'content-type': 'application/json', ...this.#credentials(call.secret) },
      body: call.body,
      signal: call.signal,
    });
    if (response.status >= 400) throw new RefusedError(await this.#readRefusal(response, call.model));
    return response;
  }

  /**
   * The vectors of a batch of texts, as they come.
   * @throws RefusedError for an error answer; BackendError for what is no answer at all
   */
  async embed(call: GeminiCall): Promise<JsonValue | undefined> {
    const model = encodeURIComponent(bareModelName(call.model));
    const response = await this.#send(call, new URL(`${this.#base}/models/${model}:batchEmbedContents`));
    return parseJson(await this.#readText(response.body));
  }

  #urlOf(model: string, stream: boolean): URL {
    const way = `${stream ? 'streamG' : 'g'}enerateContent${stream ? '?alt=sse' : ''}`;
    const key = `${model}:${way}`;
    const known = this.#urls.get(key);
    if (known !== undefined) return known;
    const url = new URL(`${this.#base}/models/${encodeURIComponent(bareModelName(model))}:${way}`);
    if (this.#urls.size < maxUrls) this.#urls.set(key, url);
    return url;
  }

  /** The list of models, as it comes. */
  async listModels(secret: string | undefined, signal: Cancellation): Promise<JsonValue | undefined> {
    const response = await this.#options.client.send({
      method: 'GET',
      url: new URL(`${this.#base}/models?pageSize=1000`),
      headers: this.#credentials(secret),
      signal,
    });
    const text = await this.#readText(response.body);
    return response.status === 200 ? parseJson(text) : undefined;
  }

  async *#streamed(bytes: AsyncIterable<Uint8Array>, model: string): AsyncGenerator<AnswerChunk[], void> {
    const frames = this.#frames();
    for await (const read of bytes) {
      const chunks: AnswerChunk[] = [];
      let failure: unknown;
      try {
        this.#read(frames.read(read), chunks, model);
      } catch (error) {
        failure = error;
      }
      // What came whole before the fault in the same read still counts.
      if (chunks.length > 0) yield chunks;
      failure ??= frames.error;
      if (failure !== undefined) throw failure;
    }
  }

  #frames(): SseReader {
    return new SseReader({ backend: this.#backend, maxEventBytes: this.#options.limits.upstreamEventBytes });
  }

  /** Adds what the frames say; what came before one that is broken stays. */
  #read(frames: readonly SseEvent[], chunks: AnswerChunk[], model: string): void {
    for (const { data } of frames) if (data !== '[DONE]') chunks.push(this.#chunk(parseJson(data), model));
  }

  /** Without `alt=sse`, as behind some proxies, a stream is an array of chunks. */
  #whole(text: string, model: string): AnswerChunk[] {
    const value = parseJson(text);
    return Array.isArray(value)
      ? value.map((item: JsonValue) => this.#chunk(item, model))
      : [this.#chunk(value, model)];
  }

  #chunk(value: JsonValue | undefined, model: string): AnswerChunk {
    const parsed = answerChunk.safeParse(value);
    const error = hasError(value) ? findError(value) : undefined;
    if (error !== undefined) throw new RefusedError(refusalOf(200, error, this.#refusalContext(model)));
    if (parsed.success) return parsed.data;
    throw this.#badAnswer('The cloud provider sent an answer that is not in its own format; try again.');
  }

  async #readRefusal(response: HttpResponse, model: string): Promise<Refusal> {
    const text = await readErrorBody(response, this.#backend, this.#options.clock);
    const retryAfter = response.headers['retry-after'];
    return readRefusal(response.status, text, {
      ...this.#refusalContext(model),
      retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
    });
  }

  #refusalContext(model: string): RefusalContext {
    return { backend: this.#backend, model, wallMs: this.#options.clock.wallMs() };
  }

  #readText(bytes: AsyncIterable<Uint8Array>): Promise<string> {
    return readTextBody(bytes, { backend: this.#backend, maxBytes: this.#options.limits.answerBytes });
  }

  /** In a header, never in the URL, which ends up in logs. */
  #credentials(secret: string | undefined): Record<string, string> {
    if (secret === undefined) return {};
    return this.#options.config.auth === 'bearer'
      ? { authorization: `Bearer ${secret}` }
      : { 'x-goog-api-key': secret };
  }

  #noJson(): BackendError {
    return this.#badAnswer('The cloud provider answered with something other than JSON; check its base URL.');
  }

  #badAnswer(message: string): BackendError {
    return new BackendError(message, { fault: 'bad_answer', backend: this.#backend });
  }
}

/** The Gemini API has its version added; a base with one (Vertex AI, a proxy) stays as it is. */
function versioned(baseUrl: string): string {
  const base = baseUrl.replace(/\/+$/, '');
  return /\/v\d\w*(\/|$)/.test(new URL(base).pathname) ? base : `${base}/v1beta`;
}

function isEventStream({ headers }: HttpResponse): boolean {
  return String(headers['content-type']).toLowerCase().startsWith('text/event-stream');
}

function hasError(value: JsonValue | undefined): boolean {
  const item: JsonValue | undefined = Array.isArray(value) ? value[0] : value;
  return typeof item === 'object' && item !== null && 'error' in item;
}

/** Looks at the first character: Gemini sends bare JSON under an event-stream type when it fails early. */
async function peek(body: AsyncIterable<Uint8Array>): Promise<{ isJson: boolean; bytes: AsyncIterable<Uint8Array> }> {
  const iterator = body[Symbol.asyncIterator]();
  const held: Uint8Array[] = [];
  let first: number | undefined;
  while (first === undefined) {
    const { done, value } = await iterator.next();
    if (done === true) break;
    held.push(value);
    first = value.find((byte) => !skipped.has(byte));
  }
  return { isJson: first === openBrace || first === openBracket, bytes: resumed(held, iterator) };
}

const openBrace = 0x7b;
const openBracket = 0x5b;
/** White space and the byte order mark. */
const skipped: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf]);

function resumed(held: Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncIterable<Uint8Array> {
  const iterator: AsyncIterator<Uint8Array> = {
    next() {
      const value = held.shift();
      return value === undefined ? rest.next() : Promise.resolve({ done: false, value });
    },
    return: async () => (await rest.return?.()) ?? { done: true, value: undefined },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}

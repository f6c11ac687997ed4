import { isObject } from './gemini/check-fields.ts';
import { checkRequest } from './gemini/check-request.ts';
import type { FakeTurn } from './gemini/fake-answer.ts';
import { helpfulTurn, streamedAnswer, unaryAnswer } from './gemini/fake-answer.ts';
import type { FakeRefusal } from './gemini/fake-errors.ts';
import { invalidKey, refusal } from './gemini/fake-errors.ts';
import type { FakeModel } from './gemini/fake-models.ts';
import { fakeModels } from './gemini/fake-models.ts';
import { ScriptedUpstream } from './scripted-upstream.ts';
import type { Exchange, ReceivedRequest, Script } from './upstream/exchange.ts';

export type { FakeTurn } from './gemini/fake-answer.ts';
export { asEventStream, inArray, invalidKey, rateLimit, refusal, upstreamSecret } from './gemini/fake-errors.ts';
export type { FakeRefusal } from './gemini/fake-errors.ts';

/** An answer by script: a turn of the model, raw chunks, an error, or the bare means to answer. */
export type FakeAnswer = FakeTurn | { readonly chunks: readonly object[] } | FakeRefusal | Script;

export interface FakeGeminiOptions {
  /** Keys it takes; default `fake-key`. A bearer token is checked against the same list. */
  readonly keys?: readonly string[];
  /** Vertex AI: bearer tokens, no ids on calls and results. */
  readonly isVertex?: boolean;
}

/**
 * A real HTTP server on loopback that plays the Gemini API and is as strict as it: whatever Google documents or users
 * report as a 400 is one here. Answers helpfully by itself, or by script.
 */
export class FakeGemini {
  readonly #upstream: ScriptedUpstream;
  readonly #keys: readonly string[];
  readonly #isVertex: boolean;
  readonly #queued: FakeAnswer[] = [];
  readonly #limits = new Map<string, FakeRefusal>();
  /** Why requests were refused with 400, in order; empty when all were sound. */
  readonly complaints: string[] = [];

  /** Listens on a free port; close it after use. */
  static async start(options: FakeGeminiOptions = {}): Promise<FakeGemini> {
    return new FakeGemini(await ScriptedUpstream.start(), options);
  }

  private constructor(upstream: ScriptedUpstream, { keys = ['fake-key'], isVertex = false }: FakeGeminiOptions) {
    this.#upstream = upstream;
    this.#keys = keys;
    this.#isVertex = isVertex;
    upstream.always((exchange) => this.#serve(exchange));
  }

  /** `http://127.0.0.1:port` */
  get origin(): string {
    return this.#upstream.origin;
  }

  /** Calls of models, model lists left out. */
  get requests(): ReceivedRequest[] {
    return this.#upstream.requests.filter(({ method }) => method === 'POST');
  }

  /** Everything received, answered or not. */
  get exchanges(): readonly Exchange[] {
    return this.#upstream.exchanges;
  }

  /** Answers the next sound requests so, one each. */
  next(...answers: FakeAnswer[]): void {
    this.#queued.push(...answers);
  }

  /** Answers every request with this key so, until told `undefined`. */
  limit(key: string, answer: FakeRefusal | undefined): void {
    if (answer === undefined) this.#limits.delete(key);
    else this.#limits.set(key, answer);
  }

  close(): Promise<void> {
    return this.#upstream.close();
  }

  async #serve(exchange: Exchange): Promise<void> {
    const { method, path, headers, json } = exchange.request;
    const key = this.#isVertex ? headers.authorization?.replace(/^Bearer /, '') : headers['x-goog-api-key'];
    if (path.includes('key=')) return this.#complain(exchange, 'Keys do not belong into the URL.');
    if (typeof key !== 'string' || !this.#keys.includes(key)) return sendRefusal(exchange, invalidKey());
    const limit = this.#limits.get(key);
    if (limit !== undefined) return sendRefusal(exchange, limit);
    if (method === 'GET') return exchange.json(200, { models: fakeModels.map(listed) });
    const called = /\/models\/([^/:]+):(generateContent|streamGenerateContent)(\?alt=sse)?$/.exec(path);
    const model = fakeModels.find(({ name }) => name === called?.[1]);
    if (model === undefined)
      return sendRefusal(exchange, refusal(404, 'NOT_FOUND', 'The model is not found for API version v1beta.'));
    const complaint = checkRequest(json, model, !this.#isVertex);
    if (complaint !== undefined) return this.#complain(exchange, complaint);
    const answer = this.#queued.shift() ?? helpfulTurn(isObject(json) ? json : {}, model);
    await sendAnswer(exchange, answer, model, called?.[2] === 'streamGenerateContent');
  }

  #complain(exchange: Exchange, complaint: string): void {
    this.complaints.push(complaint);
    sendRefusal(exchange, refusal(400, 'INVALID_ARGUMENT', complaint));
  }
}

async function sendAnswer(
  exchange: Exchange,
  answer: FakeAnswer,
  model: FakeModel,
  isStreamed: boolean,
): Promise<void> {
  if (typeof answer === 'function') await answer(exchange);
  else if ('status' in answer) sendRefusal(exchange, answer);
  else if (isStreamed) sendStream(exchange, 'chunks' in answer ? answer.chunks : streamedAnswer(answer, model));
  else exchange.json(200, 'chunks' in answer ? answer.chunks[0] : unaryAnswer(answer, model));
}

/** Gemini ends its lines with CRLF and sends no `[DONE]`. */
function sendStream(exchange: Exchange, chunks: readonly object[]): void {
  exchange.head(200, { 'content-type': 'text/event-stream' });
  exchange.finish(chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\r\n\r\n`).join(''));
}

function sendRefusal(exchange: Exchange, { status, body, contentType = 'application/json' }: FakeRefusal): void {
  exchange.json(status, body, { 'content-type': contentType });
}

function listed({ name }: FakeModel): object {
  return {
    name: `models/${name}`,
    inputTokenLimit: 1_000_000,
    outputTokenLimit: 65_536,
    supportedGenerationMethods: ['generateContent'],
  };
}

import { Abort, type Cancellation } from '../core/abort.ts';
import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';
import type { LimitsConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import { ClientGoneError, LfoError } from '../core/errors.ts';
import type { ChatExchange, EmbeddingExchange, ListedModel, RouteExplanation } from '../core/exchange.ts';
import type { KeyQuota, QuotaAsk, QuotaTicket, Spent } from '../core/identity.ts';
import { errorFields, type Logger } from '../core/logger.ts';
import type { ChatRequest } from '../core/request.ts';
import { receivedBody } from '../server/body-parser.ts';
import type { ServedReply, ServedRequest } from '../server/early-route.ts';
import { setRaw } from '../server/raw-headers.ts';
import type { ReadEmbedding } from './embedding.ts';
import { type FindModel, modelFinder } from './find-model.ts';
import { answerMetadata } from './metadata.ts';
import { type NameRule, nameRuleFinder } from './names.ts';
import { PromptCounts } from './prompt-counts.ts';
import { canonicalHead } from './prompt-head.ts';
import type { ReaderDeps, Received } from './reading.ts';
import { openWriter, type ResponsePace, sendFailure, sendWhole } from './respond.ts';
import type { ReadRequest } from './wire.ts';
import { type LocalLoad, loadHeader, loadText } from '../core/local-load.ts';
import { tokensOf } from '../core/token-estimate.ts';

/** What the clients' wires need of the rest. */
export interface DialectDeps {
  readonly limits: LimitsConfig;
  /** What Ollama's clients are told: numbers, and recent ones, or some refuse. */
  readonly ollamaVersion: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** The operator's numbers of the moment for a response. */
  readonly pace: () => ResponsePace;
  /** Answers one exchange completely; resolves when its response has ended, with what it used where that is known. */
  readonly chat: (exchange: ChatExchange) => Promise<Spent | void>;
  /** Turns texts into vectors completely; resolves when the response has ended, with what it used. Absent: nobody can. */
  readonly embed?: (exchange: EmbeddingExchange) => Promise<Spent>;
  /** Holds keys to their limits; absent: nothing is counted. */
  readonly quota?: KeyQuota;
  /** Whether what changes with every request is taken out of system texts; absent: it is. */
  readonly isHeadCanonical?: () => boolean;
  /** The operator's rules for names that nobody serves; cheap: looked at for every such name. */
  readonly modelNames?: () => readonly NameRule[];
  /** Aliases and every model id of every backend; ids are unique. Cheap: called for every request. */
  readonly models: () => readonly ListedModel[];
  readonly explain: (request: ChatRequest, signal: Cancellation) => Promise<RouteExplanation>;
  /** How busy the local tier is, for another LFO that asks; absent: it is not told. */
  readonly localLoad?: () => LocalLoad;
  /** Why no further chat is admitted; absent: every one is. Cheap: called twice for each. */
  readonly admissionError?: () => LfoError | undefined;
}

/** The way of an answer through HTTP, the same for every wire: admission, quota, the exchange with the pipeline. */
export class Serving {
  readonly deps: DialectDeps;
  readonly findModel: FindModel;
  /** What readers of bodies work with. */
  readonly reading: ReaderDeps;
  /** Sessions in which a request with tools runs, and how many. */
  readonly #working = new Map<string, number>();
  readonly #counts = new PromptCounts();
  /** Refuses before the body is read. */
  readonly admit: onRequestHookHandler;

  constructor(deps: DialectDeps) {
    this.deps = deps;
    const ruleOf = nameRuleFinder(() => deps.modelNames?.() ?? []);
    this.findModel = modelFinder(deps.models, ruleOf);
    this.reading = {
      limits: deps.limits,
      findModel: this.findModel,
      canonicalHead: (text) => (deps.isHeadCanonical?.() === false ? text : canonicalHead(text)),
    };
    this.admit = (_request, _reply, done) => done(this.#refusal());
  }

  /** Whether a chat would be admitted now. */
  get isAdmitting(): boolean {
    return this.#refusal() === undefined;
  }

  /** What a reader is given of a request. */
  received(request: ServedRequest): Received {
    const { id, headers, identity } = request;
    return { id, headers, identity, body: receivedBody(request) };
  }

  /** Models that this key may name. */
  modelsOf({ identity }: FastifyRequest): readonly ListedModel[] {
    const { models } = identity;
    return this.deps.models().filter(({ id }) => models === undefined || models.includes(id));
  }

  /** Tokens of a prompt, as the local model counts them, or an estimate. Runs no model and leaves no record. */
  async countTokens({ request }: ReadRequest, reply: FastifyReply): Promise<number> {
    const signal = departureSignal(reply);
    return await this.#counts.count(request, async (part) => {
      const { promptTokens, expectedTokens = promptTokens } = await this.deps.explain(part, signal);
      return expectedTokens;
    });
  }

  /**
   * Answers one request of any wire; `reply` is the pipeline's from here on. A promise for keys with limits that are
   * counted elsewhere. @throws LfoError 429 or 503 before that
   */
  serve(request: ServedRequest, reply: ServedReply, read: ReadRequest): void | Promise<void> {
    // Asked again after the body: others have come in meanwhile.
    const refused = this.#refusal();
    if (refused !== undefined) throw refused;
    const ticket = this.#admitted(request, chatAsk(read.request));
    if (!(ticket instanceof Promise)) return this.#serve(request, reply, read, ticket);
    const signal = departureSignal(reply);
    return ticket.then((admitted) => this.#serve(request, reply, read, admitted, signal));
  }

  #serve(
    request: ServedRequest,
    reply: ServedReply,
    { request: read, warnings, format }: ReadRequest,
    ticket: QuotaTicket | undefined,
    signal = departureSignal(reply),
  ): void {
    const { deps } = this;
    if (ticket !== undefined && deps.quota !== undefined) setRaw(reply, deps.quota.headers(request.identity));
    if (read.hints.caller !== undefined && deps.localLoad !== undefined)
      setRaw(reply, { [loadHeader]: loadText(deps.localLoad()) });
    const keptLocal = ticket?.keptLocal;
    const runs = this.#inLane(keptLocal === undefined ? read : { ...read, hints: { ...read.hints, mode: 'local' } });
    const finished = this.#begun(runs);
    const limitsWarning = keptLocal ?? ticket?.warning;
    if (limitsWarning !== undefined) warnings.set('limits', limitsWarning);
    const response = reply.raw;
    const exchange: ChatExchange = {
      request: runs,
      signal,
      receivedMs: request.receivedMs,
      bodyMs: receivedBody(request).arrivedMs,
      hasHead: () => response.headersSent,
      open(trace) {
        for (const [param, why] of warnings) trace.warnings.set(param, why);
        trace.dialect = format.dialect;
        trace.tools = runs.tools.length;
        const open = { isStream: runs.stream, format, response, signal, clock: deps.clock, pace: deps.pace() };
        return openWriter(open, trace);
      },
    };
    const abandoned = (error: unknown): void => this.#abandon(runs.id, response, error);
    reply.hijack();
    deps
      .chat(exchange)
      .catch(abandoned)
      .then((spent) => {
        finished();
        return ticket?.settle(spent ?? { tokens: 0, usd: 0 });
      })
      .catch(abandoned);
  }

  /**
   * Titles and summaries that an agent asks for beside its work wait for it: in a session where a request with tools
   * runs, one without them is in nobody's way.
   */
  #inLane(request: ChatRequest): ChatRequest {
    const { sessionKey, lane } = request.hints;
    const isBeside = sessionKey !== undefined && request.tools.length === 0 && this.#working.has(sessionKey);
    if (!isBeside || lane !== undefined || request.hints.headers?.['x-lfo-lane'] !== undefined) return request;
    return { ...request, hints: { ...request.hints, lane: 'background' } };
  }

  /** Counts a request of a session that works with tools; returns what to call at its end. */
  #begun({ hints: { sessionKey }, tools }: ChatRequest): () => void {
    if (sessionKey === undefined || tools.length === 0) return () => undefined;
    this.#working.set(sessionKey, (this.#working.get(sessionKey) ?? 0) + 1);
    return () => {
      const left = (this.#working.get(sessionKey) ?? 1) - 1;
      if (left > 0) this.#working.set(sessionKey, left);
      else this.#working.delete(sessionKey);
    };
  }

  /** Turns texts of any wire into vectors; `reply` is the pipeline's from here on. @throws LfoError 429 or 503 before that */
  embed(request: FastifyRequest, reply: FastifyReply, read: ReadEmbedding): void | Promise<void> {
    const refused = this.#refusal();
    if (refused !== undefined) throw refused;
    const { hints, model, bodyBytes: bytes } = read.request;
    const ticket = this.#admitted(request, { mode: hints.mode, model, bytes, maxTokens: 0 });
    if (!(ticket instanceof Promise)) return this.#embed(request, reply, read, ticket);
    const signal = departureSignal(reply);
    return ticket.then((admitted) => this.#embed(request, reply, read, admitted, signal));
  }

  #embed(
    request: FastifyRequest,
    reply: FastifyReply,
    { request: read, dialect, body, errorBody }: ReadEmbedding,
    ticket: QuotaTicket | undefined,
    signal = departureSignal(reply),
  ): void {
    const { clock, embed, pace, quota } = this.deps;
    if (embed === undefined) throw new LfoError('There are no embeddings here.', { code: 'not_found', status: 404 });
    if (ticket !== undefined && quota !== undefined) setRaw(reply, quota.headers(request.identity));
    const response = reply.raw;
    const { receivedMs } = request;
    reply.hijack();
    const open = { response, signal, clock, pace: pace() };
    embed({
      request: read,
      signal,
      receivedMs,
      bodyMs: receivedBody(request).arrivedMs,
      deliver: (answer, usage, trace) => {
        trace.dialect = dialect;
        const nowMs = clock.nowMs();
        return sendWhole(open, trace, body(answer, usage, answerMetadata(trace, nowMs, {}), nowMs - receivedMs));
      },
      fail: (error, trace) => {
        trace.dialect = dialect;
        return sendFailure(open, trace, error, errorBody);
      },
    })
      .then((spent) => ticket?.settle(spent))
      .catch((error: unknown) => this.#abandon(read.id, response, error));
  }

  #refusal(): LfoError | undefined {
    return this.deps.admissionError?.();
  }

  /** Takes the request's place among its key's. */
  #admitted(
    { identity }: Pick<FastifyRequest, 'identity'>,
    { bytes, ...ask }: Ask,
  ): QuotaTicket | undefined | Promise<QuotaTicket> {
    const { quota } = this.deps;
    if (quota === undefined || identity.limits === undefined) return undefined;
    return quota.admit(identity, { ...ask, promptTokens: tokensOf(bytes) });
  }

  /** The pipeline itself failed, which it must not: nothing more can be said than that. */
  #abandon(requestId: string, response: ServerResponse, error: unknown): void {
    this.deps.log.error({ requestId, ...errorFields(error) }, 'chat failed');
    response.destroy();
  }
}

/** What a request may use at most, the prompt as the size of its body. */
type Ask = Omit<QuotaAsk, 'promptTokens'> & { readonly bytes: number };

function chatAsk(chat: ChatRequest): Ask {
  const { maxTokens } = chat.sampling;
  const { mode } = chat.hints;
  return {
    // What has to be fetched from elsewhere cannot stay local.
    mode: mode === 'auto' && hasRemoteImages(chat) ? 'cloud' : mode,
    model: chat.model,
    bytes: chat.bodyBytes,
    ...(maxTokens === undefined ? {} : { maxTokens }),
  };
}

function hasRemoteImages({ messages }: ChatRequest): boolean {
  return messages.some(({ content }) => content.some((part) => part.type === 'image' && !part.url.startsWith('data:')));
}

/** Aborts when the client leaves before its answer is finished; nothing else in Node says so after the body is read. */
export function departureSignal({ raw }: Pick<FastifyReply, 'raw'>): Cancellation {
  const abort = new Abort();
  raw.once('close', () => {
    if (!raw.writableFinished) abort.abort(new ClientGoneError());
  });
  return abort;
}

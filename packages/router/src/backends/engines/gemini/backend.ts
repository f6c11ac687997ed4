import { createHash } from 'node:crypto';
import { type Cancellation, childOf } from '../../../core/abort.ts';
import type { Backend, BackendStatus, CallContext, Capabilities } from '../../../core/backend.ts';
import { type Clock, sleep } from '../../../core/clock.ts';
import type { GeminiBackendConfig, LimitsConfig } from '../../../config/config.ts';
import type { Embedder } from '../../../core/embedding.ts';
import { BackendError, RequestError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import { setRecent } from '../../../core/recent.ts';
import type { ChatRequest } from '../../../core/request.ts';
import type { SignatureStore } from './signature-store.ts';
import type { HttpClient } from '../../http/client.ts';
import type { ImageFetch } from '../../http/fetch-image.ts';
import { type KeyPermit, KeyRing } from '../../key-ring.ts';
import { geminiEmbedder } from './embeddings.ts';
import { ModelCatalogue } from './catalogue.ts';
import type { Refusal } from './errors.ts';
import { AnswerReader } from './events.ts';
import { withImages } from './images.ts';
import type { ModelTraits } from './models.ts';
import { traitsOf } from './models.ts';
import { serialise, translateRequest } from './request.ts';
import { sentinelsOnly, signaturesFor } from './signatures.ts';
import { ToolCallIds } from './tool-call-ids.ts';
import { ToolNames } from './tool-names.ts';
import { GeminiTransport, RefusedError } from './transport.ts';

/** What a Gemini backend works with; it closes the client. */
export interface GeminiDependencies {
  readonly client: HttpClient;
  readonly clock: Clock;
  readonly signatures: SignatureStore;
  readonly limits: Pick<LimitsConfig, 'upstreamEventBytes' | 'answerBytes'>;
  /** Fetches `http(s)` images; absent where the operator does not allow it. */
  readonly images?: ImageFetch;
  /** Called for each call sent with the sentinel in place of its signature: it costs quality. */
  readonly onSentinel?: () => void;
}

/** Gemini through its REST interface, on the Gemini API (`api_key`) or Vertex AI (`bearer`). No I/O before a request. */
export function createGeminiBackend(config: GeminiBackendConfig, dependencies: GeminiDependencies): Backend {
  return new GeminiBackend(config, dependencies);
}

/** Longest wait for signatures of an earlier run. */
const restoreMs = 2_000;
/** Longest that a call waits for what another router may have kept. */
const fetchMs = 50;

/** Refused signatures that are kept in mind. */
const maxRefused = 10_000;

type Disliked = NonNullable<Refusal['disliked']>;
const nothing: ReadonlySet<Disliked> = new Set();

class GeminiBackend implements Backend {
  readonly id: string;
  readonly tier = 'cloud';
  readonly standIns: readonly string[];
  readonly runsGoogleTools = true;
  readonly embedder: Embedder;
  readonly #config: GeminiBackendConfig;
  readonly #dependencies: GeminiDependencies;
  readonly #transport: GeminiTransport;
  readonly #keys: KeyRing;
  /** Absent where images may not be fetched. */
  readonly #images: ImageFetch | undefined;
  readonly #catalogue = new ModelCatalogue();
  readonly #closing = new AbortController();
  /** What a model turned out not to take, so that it is not asked twice again. */
  readonly #disliked = new Map<string, ReadonlySet<Disliked>>();
  /** Digests of signatures that a model refused: a history brings them again with each request. */
  readonly #refused = new Map<string, true>();
  #hasListed = false;
  #active = 0;

  constructor(config: GeminiBackendConfig, dependencies: GeminiDependencies) {
    const { client, clock, limits, images } = dependencies;
    this.id = config.name;
    this.standIns = config.fallbackModels;
    this.#config = config;
    this.#dependencies = dependencies;
    this.#transport = new GeminiTransport({ config, client, clock, limits });
    this.#images = images;
    this.#keys = new KeyRing(config.name, config.apiKeys, clock);
    const [transport, keys] = [this.#transport, this.#keys];
    this.embedder = geminiEmbedder({ backend: config.name, models: config.embeddingModels, transport, keys });
  }

  get models(): readonly string[] {
    return this.#config.models.length > 0 ? this.#config.models : this.#catalogue.names;
  }

  get capabilities(): Capabilities {
    return this.capabilitiesOf(this.models[0] ?? '');
  }

  capabilitiesOf(model: string): Capabilities {
    const { tools, logprobs, thinking } = traitsOf(model);
    const contextTokens = this.#catalogue.contextTokens(model);
    const maxOutputTokens = this.#catalogue.maxOutputTokens(model);
    return {
      tools,
      jsonSchema: true,
      images: true,
      audio: true,
      logprobs,
      ...(thinking.type !== 'fixed' && { reasoning: true }),
      ...(contextTokens === undefined ? {} : { contextTokens }),
      ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
    };
  }

  status(): BackendStatus {
    const { refused } = this.#keys;
    const detail =
      refused === 0
        ? {}
        : { detail: `${refused} of ${this.#config.apiKeys.length} API keys were refused; check them.` };
    return { state: 'ready', active: this.#active, ...detail };
  }

  /** Asks nobody: nothing goes to the cloud but requests that may be answered there. */
  probe(): Promise<BackendStatus> {
    return Promise.resolve(this.status());
  }

  /**
   * Asks the model, with the next key where one is limited or refused, and without what the model turns out not to take.
   * Anything else is for the plan to try again.
   */
  async *infer(request: ChatRequest, call: CallContext): AsyncGenerator<InferenceEvent[], void> {
    this.#active++;
    try {
      const asked = await this.#ready(request, call);
      for (let without = this.#dislikedBy(call.model); ;) {
        const attempt = this.#begin(asked, call, without);
        let hasBegun = false;
        try {
          for await (const events of this.#run(attempt, call)) {
            if (attempt.reader.hasEnded) this.#answered(attempt, call.model);
            if (events.length === 0) continue;
            hasBegun = true;
            yield events;
          }
          return;
        } catch (error) {
          without = this.#afterFailure(error, attempt.permit, call, without, !hasBegun);
        }
      }
    } finally {
      this.#active--;
    }
  }

  async complete(request: ChatRequest, call: CallContext): Promise<InferenceEvent[]> {
    this.#active++;
    try {
      const asked = await this.#ready(request, call);
      for (let without = this.#dislikedBy(call.model); ;) {
        const attempt = this.#begin(asked, call, without);
        const { body, reader, permit } = attempt;
        try {
          const { model, signal } = call;
          const chunks = await this.#transport.complete({ model, body, secret: permit.secret, signal });
          const events = chunks.flatMap((chunk) => reader.read(chunk));
          for (const event of reader.end()) events.push(event);
          this.#answered(attempt, call.model);
          return events;
        } catch (error) {
          without = this.#afterFailure(error, permit, call, without, true);
        }
      }
    } finally {
      this.#active--;
    }
  }

  async #withImages(request: ChatRequest, signal: Cancellation): Promise<ChatRequest> {
    if (this.#images === undefined) return request;
    try {
      return await withImages(request, this.#images, signal);
    } catch (error) {
      throw error instanceof RequestError ? rejectedHere(error, this.id) : error;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#dependencies.client.close(), this.#images?.close()]);
  }

  /** The request with what it needs from elsewhere. */
  async #ready(asked: ChatRequest, call: CallContext): Promise<ChatRequest> {
    await this.#signaturesRestored(asked, call);
    return await this.#withImages(asked, call.signal);
  }

  #dislikedBy(model: string): ReadonlySet<Disliked> {
    return this.#disliked.get(model) ?? nothing;
  }

  #begin(request: ChatRequest, call: CallContext, without: ReadonlySet<Disliked>): Begun {
    call.signal.throwIfAborted();
    return { ...this.#prepare(request, call, without), permit: this.#keys.take(call.model) };
  }

  /** What went well without them was refused for them. */
  #answered({ permit, leftOut }: Begun, model: string): void {
    permit.succeeded();
    for (const signature of leftOut) setRecent(this.#refused, refusalKey(model, signature), true, maxRefused);
    this.#listModelsOnce(permit.secret);
  }

  /** A conversation may go on right after a restart, or at another router; a database that is slow does not stop it. */
  async #signaturesRestored({ messages, hints }: ChatRequest, { clock, signal }: CallContext): Promise<void> {
    const { signatures } = this.#dependencies;
    const unsigned = messages.flatMap((message) =>
      message.role === 'assistant' ? message.toolCalls.filter((call) => call.thoughtSignature === undefined) : [],
    );
    const { restoring } = signatures;
    const waiting = restoring ?? signatures.fetch?.(hints.clientKey, unsigned);
    if (waiting === undefined) return;
    const patience = childOf(signal);
    try {
      await Promise.race([waiting, sleep(clock, restoring === undefined ? fetchMs : restoreMs, patience.signal)]);
    } finally {
      patience.abort();
      patience.release();
    }
  }

  /** @throws BackendError `rejected` for what this model cannot be asked, though another backend may well be */
  #prepare(request: ChatRequest, call: CallContext, without: ReadonlySet<Disliked>): Prepared {
    try {
      return this.#translate(request, call, without);
    } catch (error) {
      throw error instanceof RequestError ? rejectedHere(error, this.id) : error;
    }
  }

  #translate(request: ChatRequest, call: CallContext, without: ReadonlySet<Disliked>): Prepared {
    const { signatures, onSentinel = () => undefined } = this.#dependencies;
    const traits = lacking(traitsOf(call.model), without);
    const names = new ToolNames(request.tools.map(({ name }) => name));
    const { clientKey } = request.hints;
    const leftOut = new Set<string>();
    const isRefused = (signature: string): boolean =>
      this.#refused.size > 0 && this.#refused.has(refusalKey(call.model, signature));
    const found = (tell: () => void) => signaturesFor(traits, signatures, clientKey, tell, isRefused);
    const body = serialise(
      translateRequest(request, {
        traits,
        names,
        sendsIds: this.#config.auth === 'api_key',
        wantScores: call.wantScores,
        signatures: without.has('signatures')
          ? sentinelsOnly(
              found(() => undefined),
              onSentinel,
              (signature) => leftOut.add(signature),
            )
          : found(onSentinel),
        warn: (param, why) => call.warn(param, why),
      }),
    );
    const reader = new AnswerReader({
      backend: this.id,
      model: call.model,
      names,
      ids: new ToolCallIds(),
      keepsFirstCall: request.parallelToolCalls === false,
      promptCharacters: body.length,
      onSigned: (signed, signature) => signatures.put(clientKey, signed, signature),
    });
    return { body, reader, leftOut };
  }

  async *#run({ body, reader, permit }: Begun, call: CallContext): AsyncGenerator<InferenceEvent[], void> {
    const { model, signal } = call;
    try {
      for await (const chunks of this.#transport.generate({ model, body, secret: permit.secret, signal })) {
        // Thoughts that are not told, or counts alone.
        call.keepAlive();
        yield chunks.flatMap((chunk) => reader.read(chunk));
      }
    } catch (error) {
      // Cut after its last word: nothing is missing but counts that may have followed.
      if (signal.aborted || !reader.isOver || !(error instanceof BackendError)) throw error;
    }
    yield reader.end();
  }

  /** What to leave out when asking again. The key is told in any case. @throws what there is no way round */
  #afterFailure(
    error: unknown,
    permit: KeyPermit,
    call: CallContext,
    without: ReadonlySet<Disliked>,
    mayAskAgain: boolean,
  ): ReadonlySet<Disliked> {
    if (!(error instanceof RefusedError)) throw error;
    const next = this.#wayRound(error.refusal, permit, call, without);
    if (next === undefined || !mayAskAgain) throw error.refusal.error;
    return next;
  }

  #wayRound(
    { limit, isKeyBad, disliked }: Refusal,
    permit: KeyPermit,
    call: CallContext,
    without: ReadonlySet<Disliked>,
  ): ReadonlySet<Disliked> | undefined {
    if (limit !== undefined) permit.limited(limit);
    if (isKeyBad === true) permit.refused();
    if (limit !== undefined || isKeyBad === true) return this.#keys.size > 1 ? without : undefined;
    if (disliked === undefined || without.has(disliked)) return undefined;
    const next = new Set([...without, disliked]);
    // A history's signatures are the request's own; the others are the model's.
    if (disliked !== 'signatures') this.#disliked.set(call.model, next);
    return next;
  }

  /** Once, after the first answer: limits of the models as the provider states them. Not worth failing for. */
  #listModelsOnce(secret: string | undefined): void {
    if (this.#hasListed || this.#config.auth === 'bearer') return;
    this.#hasListed = true;
    this.#transport.listModels(secret, this.#closing.signal).then(
      (answer) => this.#catalogue.read(answer),
      () => undefined,
    );
  }
}

interface Prepared {
  readonly body: string;
  readonly reader: AnswerReader;
  /** Signatures that the history has and the body has not, since the body with them was refused. */
  readonly leftOut: ReadonlySet<string>;
}

/** With the key that it goes by. */
type Begun = Prepared & { readonly permit: KeyPermit };

function refusalKey(model: string, signature: string): string {
  return createHash('sha256').update(`${model} ${signature}`).digest('base64url');
}

function lacking(traits: ModelTraits, without: ReadonlySet<Disliked>): ModelTraits {
  return {
    ...traits,
    penalties: traits.penalties && !without.has('penalties'),
    logprobs: traits.logprobs && !without.has('logprobs'),
    thoughts: traits.thoughts && !without.has('thoughts'),
  };
}

/** A refusal of our own, made while translating: what is wrong with the request is so for this backend alone. */
function rejectedHere(error: RequestError, backend: string): BackendError {
  const { code, status, param, source } = error;
  const where = param === undefined ? {} : { param };
  return new BackendError(error.message, { fault: 'rejected', backend, code, status, source, cause: error, ...where });
}

import { childOf } from '../../../core/abort.ts';
import type { Backend, BackendStatus, CallContext, Capabilities } from '../../../core/backend.ts';
import { type Clock, sleep } from '../../../core/clock.ts';
import type { GeminiBackendConfig, LimitsConfig } from '../../../config/config.ts';
import { BackendError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import type { ChatRequest } from '../../../core/request.ts';
import type { SignatureStore } from './signature-store.ts';
import type { HttpClient } from '../../http/client.ts';
import type { ImageFetch } from '../../http/fetch-image.ts';
import { ModelCatalogue } from './catalogue.ts';
import type { Refusal } from './errors.ts';
import { AnswerReader, malformedCall } from './events.ts';
import { withImages } from './images.ts';
import type { KeyPermit } from './keys.ts';
import { KeyRing } from './keys.ts';
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

type Disliked = NonNullable<Refusal['disliked']>;

/** How a request is put after Gemini refused to take it as it was. */
interface Wording {
  readonly without: ReadonlySet<Disliked>;
  readonly hasRetriedCall: boolean;
}

class GeminiBackend implements Backend {
  readonly id: string;
  readonly tier = 'cloud';
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
  #hasListed = false;
  #active = 0;

  constructor(config: GeminiBackendConfig, dependencies: GeminiDependencies) {
    const { client, clock, limits, images } = dependencies;
    this.id = config.name;
    this.#config = config;
    this.#dependencies = dependencies;
    this.#transport = new GeminiTransport({ config, client, clock, limits });
    this.#images = images;
    this.#keys = new KeyRing(config.name, config.apiKeys, clock);
  }

  get models(): readonly string[] {
    return this.#config.models.length > 0 ? this.#config.models : this.#catalogue.names;
  }

  get capabilities(): Capabilities {
    const model = this.models[0] ?? '';
    const { tools, logprobs } = traitsOf(model);
    const contextTokens = this.#catalogue.contextTokens(model);
    return {
      tools,
      jsonSchema: true,
      images: true,
      audio: true,
      logprobs,
      ...(contextTokens === undefined ? {} : { contextTokens }),
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

  async *infer(request: ChatRequest, call: CallContext): AsyncGenerator<InferenceEvent, void> {
    this.#active++;
    try {
      await this.#signaturesRestored(call);
      yield* this.#answer(
        this.#images === undefined ? request : await withImages(request, this.#images, call.signal),
        call,
      );
    } finally {
      this.#active--;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#dependencies.client.close(), this.#images?.close()]);
  }

  /** Tries the model, then those configured to stand in for it; each with every key, and reworded where need be. */
  async *#answer(request: ChatRequest, call: CallContext): AsyncGenerator<InferenceEvent, void> {
    const standIns = this.#config.fallbackModels.filter((model) => model !== call.model);
    let current = call;
    let wording = this.#wordingFor(call.model);
    let failure: unknown;
    while (true) {
      call.signal.throwIfAborted();
      let permit: KeyPermit | undefined;
      let hasBegun = false;
      try {
        const attempt = this.#prepare(request, current, wording);
        permit = this.#keys.take(current.model);
        for await (const events of this.#run(attempt, permit.secret, current)) {
          for (const event of events) {
            hasBegun = true;
            yield event;
          }
        }
        permit.succeeded();
        this.#listModelsOnce(permit.secret);
        return;
      } catch (error) {
        const next = permit === undefined ? undefined : this.#afterFailure(error, permit, current, wording);
        const shown = error instanceof RefusedError ? error.refusal.error : error;
        if (hasBegun) throw shown;
        if (next !== undefined) {
          wording = next;
          continue;
        }
        failure = soonerOf(failure, shown);
        const standIn = isOfTheModel(shown) ? standIns.shift() : undefined;
        if (standIn === undefined) throw failure;
        current = { ...call, model: standIn };
        wording = this.#wordingFor(standIn);
      }
    }
  }

  /** A conversation may go on right after a restart; a database that is slow does not stop it. */
  async #signaturesRestored({ clock, signal }: CallContext): Promise<void> {
    const { restoring } = this.#dependencies.signatures;
    if (restoring === undefined) return;
    const patience = childOf(signal);
    try {
      await Promise.race([restoring, sleep(clock, restoreMs, patience.signal)]);
    } finally {
      patience.abort();
      patience.release();
    }
  }

  #wordingFor(model: string): Wording {
    return { without: this.#disliked.get(model) ?? new Set(), hasRetriedCall: false };
  }

  #prepare(request: ChatRequest, call: CallContext, { without }: Wording): Prepared {
    const { signatures, onSentinel = () => undefined } = this.#dependencies;
    const traits = lacking(traitsOf(call.model), without);
    const names = new ToolNames(request.tools.map(({ name }) => name));
    const { clientKey } = request.hints;
    const body = serialise(
      translateRequest(request, {
        traits,
        names,
        sendsIds: this.#config.auth === 'api_key',
        wantScores: call.wantScores,
        signatures: without.has('signatures')
          ? sentinelsOnly(onSentinel)
          : signaturesFor(traits, signatures, clientKey, onSentinel),
        warn: (param, why) => call.warn(param, why),
      }),
    );
    const reader = new AnswerReader({
      backend: this.id,
      model: call.model,
      names,
      ids: new ToolCallIds(),
      keepsFirstCall: request.parallelToolCalls === false,
      showsThoughts: request.sampling.reasoningEffort !== undefined,
      promptCharacters: body.length,
      onSigned: (signed, signature) => signatures.put(clientKey, signed, signature),
    });
    return { body, reader };
  }

  async *#run({ body, reader }: Prepared, secret: string, call: CallContext): AsyncGenerator<InferenceEvent[], void> {
    const { model, signal } = call;
    try {
      for await (const chunks of this.#transport.generate({ model, body, secret, signal })) {
        // Thoughts that are not told, or counts alone.
        call.keepAlive();
        for (const chunk of chunks) yield reader.read(chunk);
      }
    } catch (error) {
      // Cut after its last word: nothing is missing but counts that may have followed.
      if (signal.aborted || !reader.isOver || !(error instanceof BackendError)) throw error;
    }
    yield reader.end();
  }

  /** How to ask again, or `undefined`. The key is told in any case. */
  #afterFailure(error: unknown, permit: KeyPermit, call: CallContext, wording: Wording): Wording | undefined {
    if (error instanceof BackendError && error.code === malformedCall && !wording.hasRetriedCall) {
      return { ...wording, hasRetriedCall: true };
    }
    if (!(error instanceof RefusedError)) return undefined;
    const { limit, isKeyBad, disliked } = error.refusal;
    if (limit !== undefined) permit.limited(limit);
    if (isKeyBad === true) permit.refused();
    if (limit !== undefined || isKeyBad === true) return this.#keys.size > 1 ? wording : undefined;
    if (disliked === undefined || wording.without.has(disliked)) return undefined;
    const without = new Set([...wording.without, disliked]);
    // A history's signatures are the request's own; the others are the model's.
    if (disliked !== 'signatures') this.#disliked.set(call.model, without);
    return { ...wording, without };
  }

  /** Once, after the first answer: limits of the models as the provider states them. Not worth failing for. */
  #listModelsOnce(secret: string): void {
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
}

function lacking(traits: ModelTraits, without: ReadonlySet<Disliked>): ModelTraits {
  return {
    ...traits,
    penalties: traits.penalties && !without.has('penalties'),
    logprobs: traits.logprobs && !without.has('logprobs'),
    thoughts: traits.thoughts && !without.has('thoughts'),
  };
}

/** Whether another model with the same keys may do better. */
function isOfTheModel(error: unknown): boolean {
  if (!(error instanceof BackendError)) return false;
  return error.fault === 'rate_limit' || error.fault === 'server' || error.status === 404;
}

/** The first failure says most; of two limits it is the one that ends first. */
function soonerOf(first: unknown, later: unknown): unknown {
  if (!(first instanceof BackendError)) return first ?? later;
  const bothLimited = first.fault === 'rate_limit' && later instanceof BackendError && later.fault === 'rate_limit';
  return bothLimited && (later.retryAfterMs ?? Infinity) < (first.retryAfterMs ?? Infinity) ? later : first;
}

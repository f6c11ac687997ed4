import { type Cancellation, childOf } from '../../../core/abort.ts';
import type { Backend, BackendStatus, CallContext, Capabilities } from '../../../core/backend.ts';
import type { Clock } from '../../../core/clock.ts';
import { isCloudModel } from '../../../config/cloud-models.ts';
import type { HttpBackendConfig, LimitsConfig } from '../../../config/config.ts';
import type { Embedder } from '../../../core/embedding.ts';
import { BackendError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import { type Flow, type Sink, type Source, sourceOf, tellLater } from '../../../core/flow.ts';
import { loadHeader, readLoadText } from '../../../core/local-load.ts';
import { setRecent } from '../../../core/recent.ts';
import type { ChatRequest, Tier } from '../../../core/request.ts';
import { warnOfMessage, warnOfOne, withoutInfill } from '../../../core/unused-fields.ts';
import type { HttpClient, HttpResponse } from '../../http/client.ts';
import { type KeyPermit, KeyRing } from '../../key-ring.ts';
import type { Sleeper } from '../../wake.ts';
import { openAiEmbedder } from './embeddings.ts';
import { type OpaqueIds, opaqueIds } from '../../opaque-ids.ts';
import { headersForLfo, modelsOfLfo } from './another-lfo.ts';
import { egressViolation } from './egress.ts';
import { headersForEngine } from './engine-headers.ts';
import { EngineLoad, metricsUrlOf } from './engine-load.ts';
import { AnswerReader } from './events.ts';
import { Exchanges, StatusError } from './exchange.ts';
import { ModelPlaces, silence } from './model-places.ts';
import { type ListedModel, listedModels } from './models.ts';
import { requestText, type WireStyle } from './request.ts';
import { type Feature, type RequestShape, shapeOf, SupportedFeatures, type Way } from './supported-features.ts';
import { pathOf, textRequestBody } from './text-request.ts';

/** What the backend works with; it closes the client. */
export interface OpenAiCompatibleDependencies {
  readonly client: HttpClient;
  readonly clock: Clock;
  readonly limits: Pick<LimitsConfig, 'upstreamEventBytes' | 'answerBytes'>;
  /** Its machine, where it may be woken. */
  readonly sleeper?: Sleeper;
  /** What engines and other LFOs are told instead of names of keys and conversations. */
  readonly opaque?: OpaqueIds;
}

/**
 * Any server that speaks OpenAI's chat completions: Ollama, llama-server, LM Studio, vLLM, OpenRouter, OpenAI … In the
 * local tier `probe` asks for its models; in the cloud tier nothing is sent before the first request. Another LFO is one
 * that says more: where the prompt went, by which way the answer came, and how busy it is.
 */
export function createOpenAiCompatibleBackend(
  config: HttpBackendConfig,
  dependencies: OpenAiCompatibleDependencies,
): Backend {
  return new OpenAiCompatibleBackend(config, dependencies);
}

/** A 429 that does not say how long. */
const defaultPauseMs = 1000;

const probeMs = 5000;

/** Models whose capabilities are kept. */
const maxKnownModels = 1_000;

/** What somebody else's load was said to be counts so long. */
const loadBelievedMs = 6_000;

/** What runs and waits there for others, and how many it answers at once where it says. */
interface Foreign {
  readonly running: number;
  readonly waiting: number;
  readonly slots?: number;
  readonly untilMs: number;
}

/** It is of the local tier and has sent a prompt out of the own network. */
const outForEgress: BackendStatus = {
  state: 'down',
  detail:
    'has sent a prompt out of the network though its tier is local: it gets none until its entry is corrected or LFO restarted',
};

/** It answers, but has no model list, which a server whose models are configured may do without. */
function isWithoutList(error: unknown): boolean {
  return error instanceof BackendError && (error.fault === 'rejected' || error.fault === 'bad_answer');
}

const silent: BackendStatus = { state: 'down', detail: silence };

/** All models of its entry are handed on to a cloud. */
const allHandedOn: BackendStatus = {
  state: 'down',
  detail:
    'hands every model of its entry on to a cloud: they are a backend of the tier cloud; name others in its entry',
};

const waking: BackendStatus = { state: 'loading', detail: 'Its machine is being woken.' };

class OpenAiCompatibleBackend implements Backend {
  readonly id: string;
  readonly tier: Tier;
  readonly embedder: Embedder;
  readonly scoresOnDemand = true;
  readonly goesOnWithTexts = true;
  readonly #config: HttpBackendConfig;
  readonly #dependencies: OpenAiCompatibleDependencies;
  readonly #exchanges: Exchanges;
  readonly #keys: KeyRing;
  readonly #features = new SupportedFeatures();
  /** Only where the prompts must stay in the network, and nothing else says whether they do. */
  readonly #places: ModelPlaces | undefined;
  readonly isRouter?: true;
  readonly affinity: 'strict' | 'loose';
  readonly #opaque: OpaqueIds;
  readonly readLoad?: (signal: Cancellation) => Promise<void>;
  /** Of other routers there, and what it can take, as it said last. */
  #foreign: Foreign | undefined;
  #listed: readonly ListedModel[] = [];
  /** Of models of the list as it is, by what the server has been seen to take; asked for several times a request. */
  readonly #capabilities = new Map<string, { readonly learned: number; readonly capabilities: Capabilities }>();
  #status: BackendStatus = { state: 'ready' };
  #handedOn: readonly string[] = [];
  #active = 0;

  constructor(config: HttpBackendConfig, dependencies: OpenAiCompatibleDependencies) {
    const { client, clock, limits } = dependencies;
    this.id = config.name;
    this.tier = config.tier;
    this.#config = config;
    this.#dependencies = dependencies;
    this.#opaque = dependencies.opaque ?? opaqueIds();
    this.affinity = config.engine === undefined ? 'loose' : 'strict';
    if (config.kind === 'lfo') this.isRouter = true;
    const metrics = metricsUrlOf(config);
    if (metrics !== undefined) {
      const load = new EngineLoad(client, clock, metrics);
      this.readLoad = async (signal) => {
        const reading = await load.read(signal);
        if (reading !== undefined) this.#noteLoad(reading);
      };
    }
    this.#keys = new KeyRing(config.name, config.apiKeys, clock);
    this.#exchanges = new Exchanges({
      client,
      clock,
      backend: config.name,
      tier: config.tier,
      isLfo: config.kind === 'lfo',
      baseUrl: config.baseUrl,
      maxEventBytes: limits.upstreamEventBytes,
      maxBodyBytes: limits.answerBytes,
    });
    if (config.tier === 'local' && config.kind !== 'lfo' && config.engine === undefined) {
      const [key] = config.apiKeys;
      this.#places = new ModelPlaces({ exchanges: this.#exchanges, clock, backend: config.name, key });
    }
    this.embedder = openAiEmbedder({
      stays: (model, signal) => this.#mustStay(model, signal),
      backend: config.name,
      models: () => this.#thatStay(config.embeddingModels),
      exchanges: this.#exchanges,
      keys: this.#keys,
      isOfTheKey,
    });
  }

  get models(): readonly string[] {
    const { models, embeddingModels } = this.#config;
    if (models.length > 0) return this.#thatStay(models);
    return this.#listed.map(({ id }) => id).filter((id) => !embeddingModels.includes(id));
  }

  get handedOn(): readonly string[] {
    return this.#handedOn;
  }

  get standIns(): readonly string[] {
    return this.#thatStay(this.#config.fallbackModels);
  }

  #thatStay(models: readonly string[]): readonly string[] {
    const places = this.#places;
    if (places === undefined || !models.some((model) => places.placeOf(model) === 'cloud')) return models;
    return models.filter((model) => places.placeOf(model) !== 'cloud');
  }

  get capabilities(): Capabilities {
    return this.capabilitiesOf(this.models[0] ?? '');
  }

  capabilitiesOf(model: string): Capabilities {
    const { changes } = this.#features;
    const known = this.#capabilities.get(model);
    if (known?.learned === changes) return known.capabilities;
    const capabilities = this.#readCapabilities(model);
    setRecent(this.#capabilities, model, { learned: changes, capabilities }, maxKnownModels);
    return capabilities;
  }

  #readCapabilities(model: string): Capabilities {
    const { capabilities, tier } = this.#config;
    const listed = this.#listed.find(({ id }) => id === model);
    const contextTokens = this.#config.contextTokens ?? listed?.contextTokens;
    const images = capabilities.images ?? listed?.images ?? tier === 'cloud';
    return {
      tools: capabilities.tools ?? listed?.tools ?? true,
      jsonSchema: capabilities.jsonSchema ?? listed?.jsonSchema ?? true,
      infill: capabilities.infill ?? listed?.infill ?? this.#learnedInfill(model),
      images,
      audio: images,
      logprobs: capabilities.logprobs ?? this.#features.takes('scores', model, 'plain/stream') ?? true,
      ...(listed?.reasoning === true && { reasoning: true }),
      ...(contextTokens === undefined ? {} : { contextTokens }),
      ...(listed?.maxOutputTokens === undefined ? {} : { maxOutputTokens: listed.maxOutputTokens }),
    };
  }

  /** Unknown until it has taken one way or refused both. */
  #learnedInfill(model: string): boolean | 'unknown' {
    if (this.#config.dialect === 'google') return false;
    const [bySuffix, byInfill] = (['suffix', 'infill'] as const).map((way) => this.#features.takes(way, model, 'text'));
    if (bySuffix === true || byInfill === true) return true;
    return bySuffix === false && byInfill === false ? false : 'unknown';
  }

  status(): BackendStatus {
    const foreign = this.#foreign;
    if (foreign === undefined || this.#dependencies.clock.nowMs() >= foreign.untilMs) {
      const isComing = this.#status.state === 'down' && this.#dependencies.sleeper?.isWaking === true;
      return { ...this.#status, ...(isComing ? waking : {}), active: this.#active };
    }
    const { running, waiting } = foreign;
    // Without a queue there is room, however much is running.
    const slots = foreign.slots ?? (waiting > 0 ? Math.max(1, running) : this.#active + running + 1);
    return { ...this.#status, active: this.#active + running, queued: waiting, slots };
  }

  /** Only where its machine may be woken. */
  get wake(): (() => void) | undefined {
    const { sleeper } = this.#dependencies;
    return sleeper === undefined ? undefined : () => sleeper.wake();
  }

  /** Ours among them are counted by ourselves, up to date. */
  #noteLoad({ running, waiting, slots }: { running: number; waiting: number; slots?: number }): void {
    const untilMs = this.#dependencies.clock.nowMs() + loadBelievedMs;
    const known = slots === undefined || slots === 0 ? {} : { slots };
    this.#foreign = { running: Math.max(0, running - this.#active), waiting, untilMs, ...known };
  }

  async probe(signal: Cancellation): Promise<BackendStatus> {
    if (this.tier === 'cloud') return this.status();
    const abort = childOf(signal);
    const cancel = this.#dependencies.clock.schedule(probeMs, () => abort.abort(new Error('late')));
    try {
      await this.#list(abort.signal);
      this.#noteFound();
    } catch (error) {
      signal.throwIfAborted();
      if (this.#config.models.length > 0 && isWithoutList(error)) {
        await this.#places?.look(null);
        this.#noteFound();
        return this.status();
      }
      this.#places?.forget();
      const detail = error instanceof BackendError ? error.message : 'The backend did not list its models in time.';
      if (this.#status !== outForEgress) this.#status = { state: 'down', detail };
    } finally {
      cancel();
      abort.release();
    }
    return this.status();
  }

  infer(request: ChatRequest, call: CallContext): Source<InferenceEvent[]> {
    return sourceOf((to) => {
      this.#active++;
      const noted = {
        put: (events: InferenceEvent[]) => to.put(events),
        end: (error?: unknown) => to.end(error === undefined ? undefined : this.#noted(error)),
      };
      return tellLater(this.#tellerOf(request, call), noted, () => this.#active--);
    });
  }

  async complete(request: ChatRequest, call: CallContext): Promise<InferenceEvent[]> {
    this.#active++;
    try {
      const { response, reader } = await this.#open(request, call, false);
      const events = await this.#exchanges.whole(response, reader);
      this.#isUp();
      return events;
    } catch (error) {
      throw this.#noted(error);
    } finally {
      this.#active--;
    }
  }

  async #tellerOf(request: ChatRequest, call: CallContext): Promise<(to: Sink<InferenceEvent[]>) => Flow> {
    const { response, reader } = await this.#open(request, call, true);
    return (to) =>
      this.#exchanges.tell(response, reader, {
        put: (events) => {
          if (reader.isOver) this.#isUp();
          to.put(events);
        },
        end: (error) => to.end(error),
      });
  }

  close(): Promise<void> {
    this.#dependencies.sleeper?.close();
    return this.#dependencies.client.close();
  }

  /** A server that comes back may be another version, which takes what the last one refused. */
  #isUp(): void {
    if (this.#status === outForEgress) return;
    if (this.#status.state === 'down') this.#features.forget();
    this.#status = { state: 'ready' };
    this.#dependencies.sleeper?.isUp();
  }

  #noteFound(): void {
    const { models, fallbackModels, embeddingModels } = this.#config;
    const named = [...models, ...fallbackModels, ...embeddingModels];
    if (this.#places?.isSilent === false) {
      this.#handedOn = named.filter((model) => this.#places?.placeOf(model) === 'cloud');
    }
    const out = this.#places?.isSilent === true ? silent : this.#haveAllGone() ? allHandedOn : undefined;
    if (out === undefined) this.#isUp();
    else if (this.#status !== outForEgress) this.#status = out;
  }

  #haveAllGone(): boolean {
    return this.#config.models.length > 0 && this.models.length === 0;
  }

  /** @throws BackendError where a prompt for the model would leave the network though it must not, or nobody says so */
  async #mustStay(model: string, signal: Cancellation): Promise<void> {
    if (this.tier === 'cloud') return;
    if (isCloudModel(model) || (await this.#places?.isHandedOn(model, signal)) === true) throw egressViolation(this.id);
  }

  /** Whoever sent a prompt out of the network gets none until somebody has looked. */
  #noted(error: unknown): unknown {
    if (error instanceof BackendError && error.egress !== undefined) this.#status = outForEgress;
    return error;
  }

  /** Asks, and prepares to read what is answered. */
  async #open(
    request: ChatRequest,
    call: CallContext,
    stream: boolean,
  ): Promise<{ readonly response: HttpResponse; readonly reader: AnswerReader }> {
    call.signal.throwIfAborted();
    const model = call.model === '' ? await this.#defaultModel(call.signal) : call.model;
    const { tier, id: backend } = this;
    await this.#mustStay(model, call.signal);
    const { response, way, wanted } = await this.#ask(request, { ...call, model }, stream);
    const load = this.isRouter === true ? readLoadText(String(response.headers[loadHeader] ?? '')) : undefined;
    if (load !== undefined) this.#noteLoad(load);
    const { id: requestId, bodyBytes, continuation } = request;
    const isAnswered = way === undefined || (this.isRouter === true && hasWarning(response, 'prompt'));
    const warn: CallContext['warn'] = (param, why) => call.warn(param, why);
    if (continuation !== undefined && isAnswered) warnOfMessage(continuation, warn);
    else if (continuation?.bestOf !== undefined && !wanted.includes('best_of')) warnOfOne(warn);
    const context = { backend, tier, model, requestId, bodyBytes, isInfill: way === 'infill' };
    const cameVia: CallContext['cameVia'] = (hops) => call.cameVia?.(hops);
    return { response, reader: new AnswerReader(this.isRouter === true ? { ...context, cameVia } : context) };
  }

  /**
   * Asks until the head of an answer comes: with the next key where one is limited or refused, without the features that
   * the server refuses, and without a limit for the answer that it has no room for.
   */
  async #ask(asked: ChatRequest, call: CallContext, stream: boolean): Promise<Asked> {
    let request = asked;
    const tried = new Set<string | undefined>();
    const dropped = new Map<Feature, RequestShape>();
    const headers = this.#headersFor(request, call);
    let permit = this.#keys.take(call.model);
    while (true) {
      const way = this.#wayOf(request, call.model, dropped);
      const shape = shapeOf(request, stream, way);
      const wanted = this.#wantedFeatures(request, call, shape, way).filter((one) => dropped.get(one) !== shape);
      try {
        const body = this.#bodyOf(request, call, stream, wanted, way);
        const response = await this.#exchanges.send(pathOf(way), permit.secret, call.signal, body, headers);
        permit.succeeded();
        for (const feature of wanted) this.#features.learn(feature, call.model, shape, true);
        for (const [feature, refusedIn] of dropped) this.#features.learn(feature, call.model, refusedIn, false);
        return { response, way, wanted };
      } catch (error) {
        if (!(error instanceof StatusError)) throw error;
        if (error.isAboutLimit && request.sampling.maxTokens !== undefined) {
          call.warn('max_tokens', 'more than there is room for; the model’s own limit holds');
          request = withoutLimit(request);
          continue;
        }
        const refused = this.#refusedFeatures(error, wanted, call.model, shape);
        for (const feature of refused) dropped.set(feature, shape);
        const isKnown = this.#features.takes('suffix', call.model, 'text') === false;
        if (way !== undefined && refused.includes(way) && (isAboutWay(error) || isKnown)) {
          this.#features.learn(way, call.model, shape, false);
        }
        if (refused.length > 0) continue;
        if (!isOfTheKey(error, permit)) throw error.shown;
        tried.add(permit.secret);
        permit = this.#nextKey(call.model, tried, error.shown);
      }
    }
  }

  /**
   * How a text that is to be gone on with is asked for; undefined: as a chat.
   * @throws BackendError where the middle of one is wanted and every way to it was refused
   */
  #wayOf({ continuation }: ChatRequest, model: string, dropped: ReadonlyMap<Feature, RequestShape>): Way | undefined {
    if (continuation === undefined || this.#config.dialect === 'google') return undefined;
    const ways: readonly Way[] = continuation.suffix === undefined ? ['completions'] : ['suffix', 'infill'];
    const way = ways.find((one) => !dropped.has(one) && this.#features.takes(one, model, 'text') !== false);
    if (way === undefined && continuation.suffix !== undefined) throw withoutInfill(this.id);
    return way;
  }

  #bodyOf(
    request: ChatRequest,
    call: CallContext,
    stream: boolean,
    wanted: readonly Feature[],
    way: Way | undefined,
  ): string {
    const style = this.#styleOf(stream, wanted);
    const { continuation, sampling } = request;
    if (way === undefined || continuation === undefined) return requestText(request, call, style);
    const bestOf = wanted.includes('best_of');
    return JSON.stringify(textRequestBody({ continuation, sampling }, call, way, { ...style, bestOf }));
  }

  #headersFor(request: ChatRequest, call: CallContext): Readonly<Record<string, string>> | undefined {
    const { kind, engine } = this.#config;
    if (kind === 'lfo') return headersForLfo(request, call, this.#opaque);
    return engine === undefined ? undefined : headersForEngine(engine, request, this.#opaque);
  }

  #styleOf(stream: boolean, features: readonly Feature[]): WireStyle {
    const { dialect, capabilities } = this.#config;
    return {
      dialect,
      stream,
      scores: features.includes('scores'),
      sampler: features.includes('sampler'),
      verbosity: features.includes('verbosity'),
      maxTokensField: features.includes('max_completion_tokens') ? 'max_completion_tokens' : 'max_tokens',
      jsonSchema: capabilities.jsonSchema !== false,
    };
  }

  /** What this request would ask for that not every server takes, refusals of earlier ones left out. */
  #wantedFeatures(
    { sampling, continuation }: ChatRequest,
    call: CallContext,
    shape: RequestShape,
    way: Way | undefined,
  ): readonly Feature[] {
    const { tier, dialect, capabilities, kind } = this.#config;
    const { topK, minP, repeatPenalty } = sampling;
    const wanted: Feature[] = way === undefined ? [] : [way];
    if (way !== undefined && way !== 'infill' && continuation?.bestOf !== undefined) wanted.push('best_of');
    if ((call.wantScores || sampling.logprobs) && capabilities.logprobs !== false) wanted.push('scores');
    const isForOpenAi = way === undefined && tier === 'cloud' && dialect === 'standard';
    if (sampling.maxTokens !== undefined && isForOpenAi) wanted.push('max_completion_tokens');
    if (sampling.verbosity !== undefined && (isForOpenAi || (kind === 'lfo' && way === undefined)))
      wanted.push('verbosity');
    const isRare = topK !== undefined || minP !== undefined || repeatPenalty !== undefined;
    if (isRare && tier === 'local' && dialect === 'standard' && kind !== 'lfo') wanted.push('sampler');
    return wanted.filter((feature) => this.#features.takes(feature, call.model, shape) !== false);
  }

  /**
   * Features to try without: those that the refusal names, also in a 500 as older versions of llama-server send it; else,
   * where the request was refused as such, those that the model has not been seen to take, the way of it first.
   */
  #refusedFeatures(
    { shown, named, status }: StatusError,
    wanted: readonly Feature[],
    model: string,
    shape: RequestShape,
  ): readonly Feature[] {
    const way = wanted.find(isWay);
    if (way !== undefined && (status === 404 || status === 405 || status === 501)) return [way];
    if (shown.code === 'context_length_exceeded') return [];
    const isRejected = shown.fault === 'rejected' && (shown.status === 400 || shown.status === 422);
    if (!isRejected && shown.fault !== 'server') return [];
    const blamed = wanted.filter((feature) => named.includes(feature));
    if (blamed.length > 0 || !isRejected) return blamed;
    if (way !== undefined && this.#features.takes(way, model, shape) === undefined) return [way];
    return wanted.filter((feature) => this.#features.takes(feature, model, shape) === undefined);
  }

  /** @throws the failure of the last key where no other may be used now */
  #nextKey(model: string, tried: ReadonlySet<string | undefined>, failure: BackendError): KeyPermit {
    try {
      return this.#keys.take(model, tried);
    } catch (error) {
      const isLimit = error instanceof BackendError && error.fault === 'rate_limit' && failure.fault === 'rate_limit';
      throw isLimit ? error : failure;
    }
  }

  async #defaultModel(signal: Cancellation): Promise<string> {
    const known = this.models[0];
    if (known !== undefined) return known;
    if (this.#haveAllGone()) throw egressViolation(this.id);
    const [first] = await this.#list(signal);
    if (first !== undefined) return first.id;
    throw new BackendError('The backend lists no models; load one there or name one in lfo.yaml.', {
      fault: 'server',
      backend: this.id,
    });
  }

  async #list(signal: Cancellation): Promise<readonly ListedModel[]> {
    const { secret } = this.#keys.take('');
    try {
      const answer = await this.#exchanges.send('/models', secret, signal);
      const list = (await this.#exchanges.json(answer)) ?? null;
      const all = listedModels(list);
      const listed = this.isRouter === true ? modelsOfLfo(list, all, this.tier) : all;
      await this.#places?.look(list);
      this.#listed = this.tier === 'local' ? listed.filter(({ id }) => this.#runsThere(id)) : listed;
      this.#capabilities.clear();
      return this.#listed;
    } catch (error) {
      throw error instanceof StatusError ? error.shown : error;
    }
  }

  #runsThere(model: string): boolean {
    return !isCloudModel(model) && (this.#places?.placeOf(model) ?? 'here') === 'here';
  }
}

/** A limit beyond a model's own changes nothing, and some servers refuse it. */
function withoutLimit({ source: _source, sampling, ...request }: ChatRequest): ChatRequest {
  const { maxTokens: _limit, ...rest } = sampling;
  return { ...request, sampling: rest };
}

/** An answer's head, and how it was asked for. */
interface Asked {
  readonly response: HttpResponse;
  readonly way: Way | undefined;
  /** What not every server takes, and this one took. */
  readonly wanted: readonly Feature[];
}

function isWay(feature: Feature): feature is Way {
  return feature === 'completions' || feature === 'suffix' || feature === 'infill';
}

/** Whether a refusal is about the way itself; any other may be about a model that is not there or the rest of the request. */
function isAboutWay({ status, named }: StatusError): boolean {
  return status === 405 || status === 501 || named.includes('suffix');
}

/** Another LFO says what of the request it did not honour. */
function hasWarning({ headers }: HttpResponse, param: string): boolean {
  return String(headers['x-lfo-warning'] ?? '').includes(`${param}: `);
}

/** Whether another key may do better; the key is told. */
function isOfTheKey({ status, shown }: StatusError, permit: KeyPermit): boolean {
  if (shown.fault === 'rate_limit') {
    permit.limited({ delayMs: shown.retryAfterMs ?? defaultPauseMs, isPerModel: false });
    return true;
  }
  if (shown.fault !== 'auth') return false;
  // What is forbidden may be this request alone, so only a key that is unknown or out of credit rests.
  if (status !== 403) permit.refused();
  return true;
}

import { childOf } from '../../../core/abort.ts';
import type { Backend, BackendStatus, CallContext, Capabilities } from '../../../core/backend.ts';
import type { Clock } from '../../../core/clock.ts';
import type { HttpBackendConfig, LimitsConfig } from '../../../config/config.ts';
import { BackendError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import type { ChatRequest, Tier } from '../../../core/request.ts';
import type { HttpClient } from '../../http/client.ts';
import { type ApiKey, KeyRing } from '../../key-ring.ts';
import { AnswerReader } from './events.ts';
import { type Answer, Exchanges } from './exchange.ts';
import { type ListedModel, listedModels } from './models.ts';
import { requestBody, type WireStyle } from './request.ts';

/** What the backend works with; it closes the client. */
export interface OpenAiCompatibleDependencies {
  readonly client: HttpClient;
  readonly clock: Clock;
  readonly limits: Pick<LimitsConfig, 'upstreamEventBytes' | 'answerBytes'>;
}

/**
 * Any server that speaks OpenAI's chat completions: Ollama, llama-server, LM Studio, vLLM, OpenRouter, OpenAI … In the
 * local tier `probe` asks for its models; in the cloud tier nothing is sent before the first request.
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

/** Models whose taste is remembered. */
const maxStyles = 1000;

/** It answers, but has no model list, which a server whose models are configured may do without. */
function isWithoutList(error: unknown): boolean {
  return error instanceof BackendError && (error.fault === 'rejected' || error.fault === 'bad_answer');
}

class OpenAiCompatibleBackend implements Backend {
  readonly id: string;
  readonly tier: Tier;
  readonly #config: HttpBackendConfig;
  readonly #dependencies: OpenAiCompatibleDependencies;
  readonly #exchanges: Exchanges;
  readonly #keys: KeyRing;
  /** Whether a model takes what not every server knows; absent until one such request was answered. */
  readonly #takesExtras = new Map<string, boolean>();
  #listed: readonly ListedModel[] = [];
  #status: BackendStatus = { state: 'ready' };
  #active = 0;

  constructor(config: HttpBackendConfig, dependencies: OpenAiCompatibleDependencies) {
    const { client, clock, limits } = dependencies;
    this.id = config.name;
    this.tier = config.tier;
    this.#config = config;
    this.#dependencies = dependencies;
    this.#keys = new KeyRing(config.apiKeys, clock);
    this.#exchanges = new Exchanges({
      client,
      clock,
      backend: config.name,
      baseUrl: config.baseUrl,
      maxEventBytes: limits.upstreamEventBytes,
      maxBodyBytes: limits.answerBytes,
    });
  }

  get models(): readonly string[] {
    return this.#config.models.length > 0 ? this.#config.models : this.#listed.map(({ id }) => id);
  }

  get capabilities(): Capabilities {
    const { capabilities, tier } = this.#config;
    const model = this.models[0] ?? '';
    const contextTokens = this.#config.contextTokens ?? this.#listed.find(({ id }) => id === model)?.contextTokens;
    const images = capabilities.images ?? tier === 'cloud';
    return {
      tools: capabilities.tools ?? true,
      jsonSchema: capabilities.jsonSchema ?? true,
      images,
      audio: images,
      logprobs: capabilities.logprobs ?? this.#takesExtras.get(model) ?? true,
      ...(contextTokens === undefined ? {} : { contextTokens }),
    };
  }

  status(): BackendStatus {
    return { ...this.#status, active: this.#active };
  }

  async probe(signal: AbortSignal): Promise<BackendStatus> {
    if (this.tier === 'cloud') return this.status();
    const abort = childOf(signal);
    const cancel = this.#dependencies.clock.schedule(probeMs, () => abort.abort(new Error('late')));
    try {
      await this.#list(abort.signal);
      this.#status = { state: 'ready' };
    } catch (error) {
      signal.throwIfAborted();
      if (this.#config.models.length > 0 && isWithoutList(error)) {
        this.#status = { state: 'ready' };
        return this.status();
      }
      const detail = error instanceof BackendError ? error.message : 'The backend did not list its models in time.';
      this.#status = { state: 'down', detail };
    } finally {
      cancel();
      abort.release();
    }
    return this.status();
  }

  async *infer(request: ChatRequest, call: CallContext): AsyncGenerator<InferenceEvent, void> {
    this.#active++;
    try {
      call.signal.throwIfAborted();
      const { answer, model } = await this.#askModels(request, call);
      const reader = new AnswerReader({ backend: this.id, model, requestId: request.id, bodyBytes: request.bodyBytes });
      yield* this.#exchanges.events(answer, reader);
      this.#status = { state: 'ready' };
    } finally {
      this.#active--;
    }
  }

  close(): Promise<void> {
    return this.#dependencies.client.close();
  }

  /** Asks the model, then, where that one is limited, broken or unknown, those configured to stand in for it. */
  async #askModels(
    request: ChatRequest,
    call: CallContext,
  ): Promise<{ readonly answer: Answer; readonly model: string }> {
    const first = call.model === '' ? await this.#defaultModel(call.signal) : call.model;
    const standIns = this.#config.fallbackModels.filter((model) => model !== first);
    for (const [at, model] of [first, ...standIns].entries()) {
      try {
        return { model, answer: await this.#ask(request, { ...call, model }) };
      } catch (error) {
        if (at === standIns.length || !isOfTheModel(error)) throw error;
      }
    }
    throw this.#allLimited();
  }

  /** Asks until the head of an answer comes: with the next key where one is limited or refused, once in plainer words. */
  async #ask(request: ChatRequest, call: CallContext): Promise<Answer> {
    const tried = new Set<ApiKey>();
    let extras = this.#takesExtras.get(call.model) ?? true;
    let last: unknown;
    while (true) {
      const key = this.#keys.pick(tried);
      if (key === undefined && this.#keys.size > 0) throw last ?? this.#allLimited();
      const style = this.#styleOf(request, call, extras);
      const asksExtras =
        style.scores || (style.maxTokensField === 'max_completion_tokens' && request.sampling.maxTokens !== undefined);
      try {
        const body = JSON.stringify(requestBody(request, call, style));
        const answer = await this.#exchanges.send('/chat/completions', key?.value, call.signal, body);
        if (asksExtras || !extras) this.#learn(call.model, extras);
        return answer;
      } catch (error) {
        last = error;
        const isPlainRefusal =
          error instanceof BackendError && error.fault === 'rejected' && (error.status === 400 || error.status === 422);
        if (isPlainRefusal && asksExtras && !this.#takesExtras.has(call.model)) extras = false;
        else if (key === undefined || !this.#retired(key, error)) throw error;
        else tried.add(key);
      }
    }
  }

  #styleOf({ stream, sampling }: ChatRequest, { wantScores }: CallContext, extras: boolean): WireStyle {
    const { tier, dialect, capabilities } = this.#config;
    return {
      dialect,
      // Whole only from the cloud: a slow local model must show that it is at work, or its budget ends.
      stream: stream || wantScores || tier === 'local',
      scores: extras && (wantScores || sampling.logprobs) && capabilities.logprobs !== false,
      maxTokensField: extras && tier === 'cloud' && dialect === 'standard' ? 'max_completion_tokens' : 'max_tokens',
    };
  }

  #learn(model: string, extras: boolean): void {
    if (this.#takesExtras.size < maxStyles) this.#takesExtras.set(model, extras);
  }

  /** Whether the error is the key's alone. */
  #retired(key: ApiKey, error: unknown): boolean {
    if (!(error instanceof BackendError)) return false;
    if (error.fault === 'auth') this.#keys.refuse(key);
    else if (error.fault === 'rate_limit') this.#keys.limit(key, error.retryAfterMs ?? defaultPauseMs);
    else return false;
    return true;
  }

  #allLimited(): BackendError {
    return new BackendError('The backend limits the rate of requests; try again later.', {
      fault: 'rate_limit',
      backend: this.id,
      retryAfterMs: Math.max(1, this.#keys.waitMs),
    });
  }

  async #defaultModel(signal: AbortSignal): Promise<string> {
    const known = this.models[0];
    if (known !== undefined) return known;
    const [first] = await this.#list(signal);
    if (first !== undefined) return first.id;
    throw new BackendError('The backend lists no models; load one there or name one in lfo.yaml.', {
      fault: 'server',
      backend: this.id,
    });
  }

  async #list(signal: AbortSignal): Promise<readonly ListedModel[]> {
    const key = this.#keys.pick(new Set());
    const answer = await this.#exchanges.send('/models', key?.value, signal);
    this.#listed = listedModels((await this.#exchanges.json(answer)) ?? null);
    return this.#listed;
  }
}

/** Whether another model of the same server may do better. */
function isOfTheModel(error: unknown): boolean {
  if (!(error instanceof BackendError)) return false;
  return error.fault === 'rate_limit' || error.fault === 'server' || error.status === 404;
}

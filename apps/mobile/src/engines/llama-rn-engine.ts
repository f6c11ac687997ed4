import { AnswerWriter, logProbability, newCallId, scoreOrigin, type Score } from '@lfo/device-core/answer';
import { disarmed } from '@lfo/device-core/prompt';
import { EngineError } from '@lfo/device-core';
import type {
  Engine,
  EngineDone,
  EngineEvent,
  EnginePrompt,
  EngineRequest,
  LoadedModel,
  ModelFile,
} from '@lfo/device-core';
import type { Clock, ModelInfo, WireMessage, WireTool } from '@lfo/protocol';
import { initLlama, type LlamaContext, type RNLlamaOAICompatibleMessage, type TokenData } from 'llama.rn';
import { abortable, reasonOf, throwIfAborted } from './abort';
import { Rate, ratesOf } from './rate';
import { TokenStream } from './token-stream';
import { mustCall, offeredTools } from './tool-choice';

export const llamaRnVersion = '0.12.9';

const defaultMaxTokens = 512;
/** Tokens of a prompt that llama.cpp reads at once. */
const batchTokens = 256;

type FormattedChat = Awaited<ReturnType<LlamaContext['getFormattedChat']>>;
type Completion = Parameters<LlamaContext['parallel']['completion']>[0];
type Result = Awaited<Awaited<ReturnType<LlamaContext['parallel']['completion']>>['promise']>;

export interface LlamaRnEngineOptions {
  readonly clock: Clock;
  readonly random: (length: number) => Uint8Array;
}

/** Any GGUF by llama.cpp, several answers at once. */
export function llamaRnEngine(options: LlamaRnEngineOptions): Engine {
  const loaded = new Set<LlamaRnModel>();
  return {
    name: 'llama.rn',
    version: llamaRnVersion,
    async load(model, { contextTokens, slots, threads }, onProgress, signal) {
      throwIfAborted(signal);
      const opening = initLlama(
        {
          model: model.path,
          n_ctx: contextTokens * slots,
          n_parallel: slots,
          n_batch: batchTokens,
          use_mmap: true,
          // One pool of cells for all slots: a long prompt may use what others leave.
          kv_unified: true,
          ...(threads === undefined ? {} : { n_threads: threads }),
        },
        (percent) => onProgress(percent, 100),
      );
      let context: LlamaContext;
      try {
        context = await abortable(opening, signal);
      } catch (cause) {
        void opening.then((late) => late.release()).catch(() => {});
        throwIfAborted(signal);
        throw new EngineError(
          'no_model',
          'llama.cpp cannot load this file: fetch it again, or choose a smaller model.',
          false,
          { cause },
        );
      }
      await context.parallel.enable({ n_parallel: slots, n_batch: batchTokens });
      const ready = new LlamaRnModel(context, model, { contextTokens, slots }, options);
      loaded.add(ready);
      return ready;
    },
    async close() {
      await Promise.all([...loaded].map((model) => model.close()));
      loaded.clear();
    },
  };
}

class LlamaRnModel implements LoadedModel {
  readonly info: ModelInfo;
  readonly slots: number;
  readonly #context: LlamaContext;
  readonly #clock: Clock;
  readonly #random: LlamaRnEngineOptions['random'];
  readonly #prefill = new Rate();
  readonly #decode = new Rate();
  #active = 0;
  /** Whose prompts the caches hold. */
  #prefixKey: string | undefined;
  /** They hold another's too, who began beside the first. */
  #isMixed = false;
  #isClosed = false;

  constructor(
    context: LlamaContext,
    { id, quant }: ModelFile,
    { contextTokens, slots }: { readonly contextTokens: number; readonly slots: number },
    options: LlamaRnEngineOptions,
  ) {
    this.#context = context;
    this.#clock = options.clock;
    this.#random = options.random;
    this.slots = slots;
    this.info = {
      id,
      ctx: contextTokens,
      caps: ['tools', 'json_schema', 'scores'],
      ...(context.model.nParams > 0 ? { params: context.model.nParams } : {}),
      ...(quant === undefined ? {} : { quant }),
    };
  }

  async count(prompt: EnginePrompt, signal: AbortSignal): Promise<{ readonly tokens: number; readonly warm: number }> {
    const chat = await abortable(this.#formatted(prompt, {}), signal);
    return { tokens: await this.#tokens(chat.prompt, signal), warm: 0 };
  }

  async *run(
    request: EngineRequest,
    signal: AbortSignal,
    onPrefill: (done: number, total: number) => void,
  ): AsyncGenerator<EngineEvent, void, void> {
    throwIfAborted(signal);
    const startedMs = this.#clock.nowMs();
    const offered = offeredTools(request);
    const chat = await abortable(this.#formatted({ ...request, tools: offered }, request), signal);
    const promptTokens = await this.#tokens(chat.prompt, signal);
    if (promptTokens >= this.info.ctx)
      throw new EngineError('too_long', `The prompt has ${promptTokens} tokens, the context ${this.info.ctx}.`, false);
    const isAlone = this.#active === 0;
    this.#active += 1;
    try {
      await this.#keepApart(request.prefixKey, isAlone);
      onPrefill(0, promptTokens);
      yield* this.#answer({ request, signal, chat, offered, promptTokens, startedMs, onPrefill });
    } finally {
      this.#active -= 1;
    }
  }

  async *#answer(asked: {
    readonly request: EngineRequest;
    readonly signal: AbortSignal;
    readonly chat: FormattedChat;
    readonly offered: readonly WireTool[];
    readonly promptTokens: number;
    readonly startedMs: number;
    readonly onPrefill: (done: number, total: number) => void;
  }): AsyncGenerator<EngineEvent, void, void> {
    const { request, signal, chat, promptTokens, onPrefill } = asked;
    const limit = Math.min(request.maxTokens ?? defaultMaxTokens, this.info.ctx - promptTokens);
    const stream = new TokenStream<TokenData>();
    const handingOver = this.#context.parallel.completion(completionOf(chat, request, limit), (_id, token) =>
      stream.push(token),
    );
    let running: Awaited<typeof handingOver>;
    try {
      running = await abortable(handingOver, signal);
    } catch (cause) {
      // It was cancelled before it could be: else it would keep its slot to the end.
      void handingOver.then((late) => late.stop()).catch(() => {});
      throw cause;
    }
    let isOver = false;
    const stop = (): void => {
      if (!isOver) void running.stop().catch(() => {});
    };
    const onAbort = (): void => {
      stream.fail(reasonOf(signal), true);
      stop();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    void stream.follow(running.promise).then(() => (isOver = true));
    // The engine says how far it is while it reads a long prompt.
    const status = await this.#context.parallel.subscribeToStatus(({ requests }) => {
      if (requests.some(({ request_id: id, state }) => id === running.requestId && state === 'processing_prompt'))
        onPrefill(0, promptTokens);
    });
    try {
      yield* this.#read({ ...asked, stream, result: running.promise, limit, stop });
    } finally {
      signal.removeEventListener('abort', onAbort);
      status.remove();
      stop();
    }
  }

  rates(): { readonly prefill?: number; readonly decode?: number } {
    return ratesOf(this.#prefill, this.#decode);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#context.parallel.disable();
    await this.#context.release();
  }

  async *#read(run: {
    readonly request: EngineRequest;
    readonly signal: AbortSignal;
    readonly chat: FormattedChat;
    readonly offered: readonly WireTool[];
    readonly stream: TokenStream<TokenData>;
    readonly result: Promise<Result>;
    readonly limit: number;
    readonly promptTokens: number;
    readonly startedMs: number;
    readonly stop: () => void;
    readonly onPrefill: (done: number, total: number) => void;
  }): AsyncGenerator<EngineEvent, void, void> {
    const { request, promptTokens, startedMs, limit } = run;
    const writer = new AnswerWriter({
      tools: run.offered.map(({ name }) => name),
      stop: request.stop,
      taken: originOf(request),
      scoredTokens: request.scores === undefined ? 0 : (request.scores.first ?? Infinity),
      newCallId: () => newCallId(this.#random),
      isThinking: /<think>\s*$/.test(run.chat.prompt),
      isForced: mustCall(request) || (request.responseFormat !== undefined && request.responseFormat.type !== 'text'),
      checks: {},
    });
    let written = 0;
    let firstMs: number | undefined;
    let result: Result | undefined;
    try {
      for await (const token of run.stream.read()) {
        if (written === 0) run.onPrefill(promptTokens, promptTokens);
        firstMs ??= this.#clock.nowMs();
        written += 1;
        const scored = request.scores !== undefined && writer.wantsScore;
        yield* writer.push(token.token, scored ? scoreOf(token, request.scores?.top ?? 0) : undefined);
        if (writer.stopped || written >= limit) break;
      }
      if (writer.stopped) run.stop();
      else result = await run.result;
    } catch (cause) {
      throwIfAborted(run.signal);
      throw new EngineError('engine', 'llama.cpp failed while computing; ask again.', true, { cause });
    }
    const lastMs = this.#clock.nowMs();
    // A stop text met natively ends the answer with the last token that is allowed.
    const { hasLooped } = writer;
    const isCut = hasLooped || (written >= limit && !writer.stopped && (result?.stopping_word ?? '') === '');
    yield* writer.end(isCut ? 'cut' : 'stopped');
    const cached = result?.timings.cache_n ?? 0;
    this.#prefill.add(promptTokens - cached, (firstMs ?? lastMs) - startedMs);
    this.#decode.add(written - 1, lastMs - (firstMs ?? lastMs));
    yield doneOf(result, {
      isCut,
      hasLooped,
      calls: writer.calls,
      promptTokens,
      cached,
      written,
      ttftMs: (firstMs ?? lastMs) - startedMs,
    });
  }

  /** What one client's prompts left in the caches is not reused for another's; slots that run keep theirs. */
  async #keepApart(prefixKey: string | undefined, isAlone: boolean): Promise<void> {
    const isForeign = prefixKey !== this.#prefixKey;
    if (!isAlone) {
      this.#isMixed ||= isForeign;
      return;
    }
    if (!isForeign && !this.#isMixed) return;
    this.#prefixKey = prefixKey;
    this.#isMixed = false;
    await this.#context.clearCache(false);
  }

  /** The model's own template, with what its grammar needs. */
  async #formatted(prompt: EnginePrompt, request: Partial<EngineRequest>): Promise<FormattedChat> {
    const { responseFormat } = request;
    try {
      return await this.#context.getFormattedChat(prompt.messages.map(chatMessage), null, {
        jinja: true,
        ...(prompt.tools.length === 0
          ? {}
          : { tools: chatTools(prompt.tools), tool_choice: mustCall(request) ? 'required' : 'auto' }),
        ...(responseFormat === undefined || responseFormat.type === 'text'
          ? {}
          : { response_format: formatOf(responseFormat) }),
      });
    } catch (cause) {
      throw new EngineError(
        'bad_request',
        'The chat template of this model does not take such a conversation.',
        false,
        {
          cause,
        },
      );
    }
  }

  async #tokens(text: string, signal: AbortSignal): Promise<number> {
    return (await abortable(this.#context.tokenize(text), signal)).tokens.length;
  }
}

function completionOf(chat: FormattedChat, request: EngineRequest, limit: number): Completion {
  const { temperature, topP, seed, frequencyPenalty, presencePenalty, stop, scores } = request;
  return {
    prompt: chat.prompt,
    n_predict: limit,
    stop: [...stop, ...('additional_stops' in chat ? (chat.additional_stops ?? []) : [])],
    ...('grammar' in chat && chat.grammar !== undefined && chat.grammar !== ''
      ? {
          grammar: chat.grammar,
          grammar_lazy: chat.grammar_lazy,
          grammar_triggers: chat.grammar_triggers,
          preserved_tokens: chat.preserved_tokens,
        }
      : {}),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(seed === undefined ? {} : { seed }),
    ...(frequencyPenalty === undefined ? {} : { penalty_freq: frequencyPenalty }),
    ...(presencePenalty === undefined ? {} : { penalty_present: presencePenalty }),
    ...(scores === undefined ? {} : { n_probs: Math.max(1, scores.top) }),
  };
}

/** Where a form is forced, the grammar decides among what it allows. */
function originOf(request: EngineRequest): ReturnType<typeof scoreOrigin> {
  const { responseFormat, ...sampling } = request;
  const isForced = (responseFormat !== undefined && responseFormat.type !== 'text') || mustCall(request);
  return scoreOrigin({
    temperature: sampling.temperature ?? 0.8,
    penalised: (sampling.frequencyPenalty ?? 0) !== 0 || (sampling.presencePenalty ?? 0) !== 0,
    grammar: isForced,
  });
}

/** Undefined where the token chosen is not among those that llama.cpp tells of. */
function scoreOf({ token, completion_probabilities: all = [] }: TokenData, top: number): Score | undefined {
  const probs = all[0]?.probs ?? [];
  const chosen = probs.find(({ tok_str: text }) => text === (all[0]?.content ?? token));
  if (chosen === undefined) return undefined;
  return {
    token,
    lp: logProbability(chosen.prob),
    ...(top === 0
      ? {}
      : { top: probs.slice(0, top).map(({ tok_str: text, prob }) => ({ token: text, lp: logProbability(prob) })) }),
  };
}

function doneOf(
  result: Result | undefined,
  run: {
    readonly isCut: boolean;
    readonly hasLooped: boolean;
    readonly calls: number;
    readonly promptTokens: number;
    readonly cached: number;
    readonly written: number;
    readonly ttftMs: number;
  },
): EngineDone {
  const { prompt_per_second: prefill = 0, predicted_per_second: decode = 0 } = result?.timings ?? {};
  return {
    k: 'done',
    finishReason: run.isCut ? 'length' : run.calls > 0 ? 'tool_calls' : 'stop',
    ...(run.hasLooped ? { cut: 'repetition' as const } : {}),
    usage: {
      prompt_tokens: run.promptTokens,
      completion_tokens: run.written,
      ...(run.cached > 0 ? { cached_tokens: Math.min(run.cached, run.promptTokens) } : {}),
    },
    timing: {
      ttft_ms: run.ttftMs,
      ...(prefill > 0 ? { prefill_tps: prefill } : {}),
      ...(decode > 0 ? { decode_tps: decode } : {}),
    },
  };
}

function chatTools(tools: readonly WireTool[]): object {
  return tools.map(({ name, description = '', parameters = { type: 'object', properties: {} } }) => ({
    type: 'function',
    function: { name, description, parameters },
  }));
}

function formatOf(
  format: Exclude<NonNullable<EngineRequest['responseFormat']>, { type: 'text' }>,
): NonNullable<Parameters<LlamaContext['getFormattedChat']>[2]>['response_format'] & {} {
  if (format.type === 'json_object') return { type: 'json_object', schema: { type: 'object' } };
  return { type: 'json_schema', json_schema: { strict: true, schema: format.schema ?? { type: 'object' } } };
}

/** llama.cpp reads control tokens anywhere in a prompt: none may come from outside. */
function chatMessage({ role, content, tool_calls: calls, tool_call_id: id }: WireMessage): RNLlamaOAICompatibleMessage {
  const message = { role: role === 'developer' ? 'system' : role, content: disarmed(content) };
  if (calls !== undefined)
    return Object.assign(message, {
      tool_calls: calls.map((call) => ({
        id: call.id,
        type: 'function',
        function: { name: call.name, arguments: disarmed(call.arguments) },
      })),
    });
  return id === undefined ? message : Object.assign(message, { tool_call_id: id });
}

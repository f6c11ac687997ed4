import { AnswerWriter, newCallId } from '@lfo/device-core/answer';
import { disarmed, gemmaCall, gemmaPrompt, gemmaResponse, toolOf } from '@lfo/device-core/prompt';
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
import { CactusLM } from 'cactus-react-native';
import type {
  CactusLMCompleteOptions,
  CactusLMCompleteResult,
  CactusLMMessage,
  CactusLMTool,
} from 'cactus-react-native';
import { abortable, reasonOf, throwIfAborted } from './abort';
import { Rate, ratesOf } from './rate';
import { TokenStream } from './token-stream';
import { mustCall, offeredTools } from './tool-choice';

export const cactusVersion = '1.13.1';

/** Cactus throws for 1 to 5 and for 8: the answer is stopped early instead. */
const leastMaxTokens = 64;
const defaultMaxTokens = 512;
/** After an answer; the prompt's beginning is then read again, so that it is warm for the next one. */
const warmAfterMs = 500;
/** While an answer is held back its host must hear that the engine moves. */
const signOfLifeMs = 1_000;
/** What ends an answer beside the request's own stop texts. */
const turnEnds = ['<end_of_turn>', '<start_function_response>', '<|im_end|>'];

export interface CactusEngineOptions {
  readonly clock: Clock;
  readonly random: (length: number) => Uint8Array;
}

/** Models in Cactus' own format, as folders, one answer at a time. */
export function cactusEngine(options: CactusEngineOptions): Engine {
  const loaded = new Set<CactusModel>();
  return {
    name: 'cactus',
    version: cactusVersion,
    async load(model, { contextTokens }, onProgress, signal) {
      throwIfAborted(signal);
      const lm = new CactusLM({ model: model.path });
      onProgress(0, 1);
      const opening = lm.init();
      try {
        await abortable(opening, signal);
      } catch (cause) {
        void opening.then(() => lm.destroy()).catch(() => {});
        throwIfAborted(signal);
        throw new EngineError('no_model', 'Cactus cannot load this model: fetch it again or choose another.', false, {
          cause,
        });
      }
      onProgress(1, 1);
      const ready = new CactusModel(lm, model, contextTokens, options);
      loaded.add(ready);
      return ready;
    },
    async close() {
      await Promise.all([...loaded].map((model) => model.close()));
      loaded.clear();
    },
  };
}

/** The beginning of prompts that Cactus has read already, and whose prompts they are. */
interface Warm {
  readonly key: string;
  readonly prefix: string;
  readonly tokens: number;
}

class CactusModel implements LoadedModel {
  readonly info: ModelInfo;
  readonly slots = 1;
  readonly #lm: CactusLM;
  readonly #clock: Clock;
  readonly #random: CactusEngineOptions['random'];
  /** FunctionGemma: it answers with calls in its own notation, and is read whole. */
  readonly #isGemma: boolean;
  readonly #prefill = new Rate();
  readonly #decode = new Rate();
  /** Cactus does one thing at a time. */
  #idle: Promise<unknown> = Promise.resolve();
  #cancelWarming: (() => void) | undefined;
  #warm: Warm | undefined;
  #isClosed = false;

  constructor(lm: CactusLM, { id, quant = 'int8' }: ModelFile, contextTokens: number, options: CactusEngineOptions) {
    this.#lm = lm;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#isGemma = id.startsWith('functiongemma');
    this.info = {
      id,
      ctx: contextTokens,
      quant,
      caps: this.#isGemma ? ['tools', 'tools_only'] : ['tools'],
      ...(this.#isGemma ? { family: 'functiongemma', params: 270_000_000 } : {}),
    };
  }

  async count(prompt: EnginePrompt, signal: AbortSignal): Promise<{ readonly tokens: number; readonly warm: number }> {
    const { tokens } = await abortable(this.#lm.tokenize({ text: this.#rendered(prompt) }), signal);
    return { tokens: tokens.length, warm: this.#warmOf(prompt) };
  }

  async *run(
    request: EngineRequest,
    signal: AbortSignal,
    onPrefill: (done: number, total: number) => void,
  ): AsyncGenerator<EngineEvent, void, void> {
    throwIfAborted(signal);
    this.#cancelWarming?.();
    const offered = offeredTools(request);
    const prompt = { ...request, tools: offered };
    const promptTokens = (await this.count(prompt, signal)).tokens;
    if (promptTokens >= this.info.ctx)
      throw new EngineError('too_long', `The prompt has ${promptTokens} tokens, the context ${this.info.ctx}.`, false);
    await abortable(this.#idle, signal);
    await this.#keepApart(request.prefixKey ?? '');
    throwIfAborted(signal);
    onPrefill(0, promptTokens);

    const wanted = Math.min(request.maxTokens ?? defaultMaxTokens, this.info.ctx - promptTokens);
    const stream = new TokenStream<string>();
    const onAbort = (): void => {
      stream.fail(reasonOf(signal), true);
      void this.#lm.stop().catch(() => {});
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const startedMs = this.#clock.nowMs();
    const answering = this.#complete(request, prompt, wanted, stream);
    let isOver = false;
    try {
      yield* this.#read({ request, signal, offered, stream, answering, wanted, promptTokens, startedMs, onPrefill });
      isOver = true;
      this.#warmLater(prompt);
    } finally {
      signal.removeEventListener('abort', onAbort);
      stream.end();
      // The reader has left: what Cactus still does is nobody's concern, and the next run waits for its end.
      if (!isOver) void this.#lm.stop().catch(() => {});
    }
  }

  rates(): { readonly prefill?: number; readonly decode?: number } {
    return ratesOf(this.#prefill, this.#decode);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelWarming?.();
    await this.#lm.stop().catch(() => {});
    await this.#idle;
    await this.#lm.destroy();
  }

  /** Begins the answer; what Cactus does until it has ended keeps the next one waiting. */
  #complete(
    request: EngineRequest,
    prompt: EnginePrompt,
    wanted: number,
    stream: TokenStream<string>,
  ): Promise<CactusLMCompleteResult> {
    const { temperature = 0, topP, stop } = request;
    const options: CactusLMCompleteOptions = {
      ...safeOptions(prompt.tools.length),
      temperature,
      ...(topP === undefined ? {} : { topP }),
      maxTokens: Math.max(leastMaxTokens, wanted),
      stopSequences: [...stop, ...turnEnds],
      includeStopSequences: false,
      forceTools: mustCall(request),
    };
    const answering = this.#lm.complete({
      messages: this.#messages(prompt.messages),
      options,
      ...(prompt.tools.length === 0 ? {} : { tools: cactusTools(prompt.tools) }),
      onToken: (token) => stream.push(token),
    });
    this.#idle = stream.follow(answering);
    return answering;
  }

  async *#read({
    request,
    signal,
    offered,
    stream,
    answering,
    wanted,
    promptTokens,
    startedMs,
    onPrefill,
  }: {
    readonly request: EngineRequest;
    readonly signal: AbortSignal;
    readonly offered: readonly WireTool[];
    readonly stream: TokenStream<string>;
    readonly answering: Promise<CactusLMCompleteResult>;
    readonly wanted: number;
    readonly promptTokens: number;
    readonly startedMs: number;
    readonly onPrefill: (done: number, total: number) => void;
  }): AsyncGenerator<EngineEvent, void, void> {
    const writer = new AnswerWriter({
      tools: offered.map(({ name }) => name),
      stop: request.stop,
      taken: 'raw',
      scoredTokens: 0,
      newCallId: () => newCallId(this.#random),
      isThinking: false,
      checks: {},
    });
    const isHeld = this.#isGemma && offered.length > 0;
    let held = '';
    let written = 0;
    let firstMs: number | undefined;
    let heardMs = startedMs;
    try {
      for await (const token of stream.read()) {
        const nowMs = this.#clock.nowMs();
        firstMs ??= nowMs;
        if (written === 0 || (isHeld && nowMs - heardMs >= signOfLifeMs)) {
          onPrefill(promptTokens, promptTokens);
          heardMs = nowMs;
        }
        written += 1;
        if (isHeld) held += token;
        else yield* writer.push(token);
        if (writer.stopped || written >= wanted) break;
      }
    } catch (cause) {
      throwIfAborted(signal);
      throw new EngineError('engine', 'Cactus failed while computing; ask again.', true, { cause });
    }
    const lastMs = this.#clock.nowMs();
    const { hasLooped } = writer;
    const isCut = hasLooped || (written >= wanted && !writer.stopped);
    const isEarly = isCut || writer.stopped;
    if (isEarly) await this.#lm.stop();
    const result = await answering;
    if (isHeld) yield* writer.push(held);
    const parts = writer.end(isCut ? 'cut' : 'stopped');
    yield* writer.calls > 0 || !isHeld ? parts : this.#told(result, parts);
    const calls = writer.calls > 0 ? writer.calls : (result.functionCalls?.length ?? 0);
    this.#prefill.add(result.prefillTokens, result.timeToFirstTokenMs);
    this.#decode.add(written - 1, lastMs - (firstMs ?? lastMs));
    yield this.#done(result, {
      isCut,
      hasLooped,
      calls,
      promptTokens,
      written,
      ttftMs: (firstMs ?? lastMs) - startedMs,
    });
  }

  /** Calls that Cactus itself found where its tokens show none. */
  #told({ functionCalls = [], response }: CactusLMCompleteResult, parts: EngineEvent[]): EngineEvent[] {
    if (functionCalls.length === 0) return parts;
    const text: EngineEvent[] = response.trim() === '' ? [] : [{ k: 'text', text: response }];
    return [
      ...text,
      ...functionCalls.flatMap(({ name, arguments: args }, index): EngineEvent[] => [
        { k: 'call', index, id: newCallId(this.#random), name },
        { k: 'args', index, json: JSON.stringify(args) },
        { k: 'call_end', index },
      ]),
    ];
  }

  #done(
    result: CactusLMCompleteResult,
    run: {
      readonly isCut: boolean;
      readonly hasLooped: boolean;
      readonly calls: number;
      readonly promptTokens: number;
      readonly written: number;
      readonly ttftMs: number;
    },
  ): EngineDone {
    const { confidence, cloudHandoff, prefillTps, decodeTps } = result;
    const cached = this.#warm === undefined ? 0 : Math.max(0, run.promptTokens - result.prefillTokens);
    return {
      k: 'done',
      finishReason: run.isCut ? 'length' : run.calls > 0 ? 'tool_calls' : 'stop',
      ...(run.hasLooped ? { cut: 'repetition' as const } : {}),
      usage: {
        prompt_tokens: run.promptTokens,
        completion_tokens: run.written,
        ...(cached === 0 ? {} : { cached_tokens: cached }),
      },
      timing: {
        ttft_ms: run.ttftMs,
        ...(prefillTps > 0 ? { prefill_tps: prefillTps } : {}),
        ...(decodeTps > 0 ? { decode_tps: decodeTps } : {}),
      },
      ...(confidence === undefined ? {} : { confidence }),
      ...(cloudHandoff === undefined ? {} : { cloudHandoff }),
    };
  }

  /** Reads instructions and tools into the cache while there is nothing better to do: agents send them each time. */
  #warmLater(prompt: EnginePrompt): void {
    const messages = prompt.messages.filter(({ role }) => role === 'system' || role === 'developer');
    if (messages.length === 0 && prompt.tools.length === 0) return;
    const prefix = { ...prompt, messages };
    const known = { key: prompt.prefixKey ?? '', prefix: JSON.stringify([messages, prompt.tools]) };
    if (this.#warm?.key === known.key && this.#warm.prefix === known.prefix) return;
    this.#cancelWarming = this.#clock.schedule(warmAfterMs, () => {
      this.#idle = this.#readAgain(this.#idle, prefix, known);
    });
  }

  /** Never rejects: a prefix that is not warm costs time alone. */
  async #readAgain(idle: Promise<unknown>, prefix: EnginePrompt, known: Omit<Warm, 'tokens'>): Promise<void> {
    await idle;
    if (this.#isClosed) return;
    try {
      await this.#keepApart(known.key);
      this.#warm = undefined;
      const { success, prefillTokens } = await this.#lm.prefill({
        messages: this.#messages(prefix.messages),
        options: safeOptions(prefix.tools.length),
        ...(prefix.tools.length === 0 ? {} : { tools: cactusTools(prefix.tools) }),
      });
      if (success) this.#warm = { ...known, tokens: prefillTokens };
    } catch {
      this.#warm = undefined;
    }
  }

  /** What one client's prompts left behind must not serve another's. */
  async #keepApart(key: string): Promise<void> {
    if (this.#warm === undefined || this.#warm.key === key) return;
    this.#warm = undefined;
    await this.#lm.reset();
  }

  #warmOf({ messages, tools, prefixKey = '' }: EnginePrompt): number {
    const warm = this.#warm;
    if (warm === undefined || warm.key !== prefixKey) return 0;
    const instructions = messages.filter(({ role }) => role === 'system' || role === 'developer');
    return warm.prefix === JSON.stringify([instructions, tools]) ? warm.tokens : 0;
  }

  #rendered(prompt: EnginePrompt): string {
    return this.#isGemma ? gemmaPrompt(prompt) : plainPrompt(this.#messages(prompt.messages), prompt.tools);
  }

  /** Cactus knows three roles; calls and their results are told in the model's own words. */
  #messages(messages: readonly WireMessage[]): CactusLMMessage[] {
    return messages.map((message): CactusLMMessage => {
      const { role, content, tool_calls: calls = [] } = message;
      const text = disarmed(content);
      if (role === 'system' || role === 'developer') return { role: 'system', content: text };
      if (role === 'assistant')
        return {
          role,
          content: [text, ...calls.map((call) => this.#callText(call))].filter((part) => part !== '').join('\n'),
        };
      if (role === 'user') return { role, content: text };
      const name = toolOf(message, messages);
      return {
        role: 'user',
        content: this.#isGemma ? gemmaResponse(name, content) : `<tool_response>\n${text}\n</tool_response>`,
      };
    });
  }

  #callText(call: { readonly name: string; readonly arguments: string }): string {
    if (this.#isGemma) return gemmaCall(call);
    return `<tool_call>\n{"name": ${JSON.stringify(call.name)}, "arguments": ${disarmed(call.arguments)}}\n</tool_call>`;
  }
}

/** Nothing leaves the phone: no hand-off to Cactus' cloud, no telemetry; and no tool is dropped. */
function safeOptions(tools: number): CactusLMCompleteOptions {
  return { confidenceThreshold: 0, telemetryEnabled: false, toolRagTopK: tools };
}

/** Cactus' type is narrower than the JSON schema that it takes. */
function cactusTools(tools: readonly WireTool[]): CactusLMTool[] {
  return tools.map(({ name, description = '', parameters }) => {
    const schema: CactusLMTool['parameters'] = JSON.parse(
      JSON.stringify({ type: 'object', properties: {}, required: [], ...parameters }),
    );
    return { name, description, parameters: schema };
  });
}

/** Near enough to count by: Cactus' own template adds a few tokens a turn. */
function plainPrompt(messages: readonly CactusLMMessage[], tools: readonly WireTool[]): string {
  const offer = tools.length === 0 ? '' : `<|im_start|>system\n${JSON.stringify(tools)}<|im_end|>\n`;
  const turns = messages.map(({ role, content = '' }) => `<|im_start|>${role}\n${content}<|im_end|>\n`);
  return `${offer}${turns.join('')}<|im_start|>assistant\n`;
}

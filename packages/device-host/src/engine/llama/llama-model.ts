import { randomBytes } from 'node:crypto';
import {
  LlamaGrammarEvaluationState,
  type Llama,
  type LlamaContext,
  type LlamaModel,
  type SequenceEvaluateOptions,
  type Token,
} from 'node-llama-cpp';
import type { ModelInfo } from '@lfo/protocol';
import { AnswerWriter, logProbability, newCallId, scoreOrigin, topScores, type Score } from '@lfo/device-core/answer';
import {
  EngineError,
  type EngineDone,
  type EngineEvent,
  type EnginePrompt,
  type EngineRequest,
  type LoadedModel,
} from '@lfo/device-core';
import { ChatTemplate } from './prompt/chat-template.ts';
import { Decode, type Sampled } from './decode/decode.ts';
import { answerGrammar, type AnswerGrammar } from './grammar/grammar.ts';
import { PrefillPace, Rate } from './decode/prefill-pace.ts';
import { samplingOf } from './decode/sampling.ts';
import { SlotPool, type SlotLease } from './decode/slot-pool.ts';
import type { PromptSegment } from './prompt/special-text-guard.ts';
import { TokenDecoder } from './output/token-decoder.ts';
import type { Vocabulary } from './prompt/vocabulary.ts';

/** What a model needs from outside; all of it fixed in tests. */
export interface LlamaSources {
  readonly nowMs: () => number;
  /** Fresh unguessable letters and digits. */
  readonly nonce: () => string;
  readonly randomSeed: () => number;
}

/** A model in llama.cpp's memory with one context, whose sequences are the slots. */
export class LlamaLoadedModel implements LoadedModel {
  readonly info: ModelInfo;
  readonly slots: number;
  readonly #llama: Llama;
  readonly #model: LlamaModel;
  readonly #context: LlamaContext;
  readonly #vocabulary: Vocabulary;
  readonly #template: ChatTemplate;
  readonly #pool: SlotPool;
  readonly #sources: LlamaSources;
  readonly #pace = new PrefillPace();
  readonly #prefillRate = new Rate();
  readonly #decodeRate = new Rate();
  readonly #closing = new AbortController();

  constructor(
    loaded: {
      readonly llama: Llama;
      readonly model: LlamaModel;
      readonly context: LlamaContext;
      readonly vocabulary: Vocabulary;
    },
    name: { readonly id: string; readonly quant?: string },
    sources: LlamaSources,
  ) {
    this.#llama = loaded.llama;
    this.#model = loaded.model;
    this.#context = loaded.context;
    this.#vocabulary = loaded.vocabulary;
    this.#sources = sources;
    this.#template = new ChatTemplate(loaded.vocabulary.source, sources.nonce);
    this.slots = loaded.context.totalSequences;
    this.#pool = new SlotPool(Array.from({ length: this.slots }, () => loaded.context.getSequence()));
    this.info = {
      id: name.id,
      ctx: loaded.context.contextSize,
      ...(name.quant === undefined ? {} : { quant: name.quant }),
      caps: [
        ...(this.#template.hasTools ? ['tools' as const] : []),
        'json_schema',
        'scores',
        'text',
        ...(loaded.vocabulary.hasInfill ? ['infill' as const] : []),
      ],
    };
  }

  async count(prompt: EnginePrompt, signal: AbortSignal): Promise<{ tokens: number; warm: number }> {
    signal.throwIfAborted();
    const tokens = this.#vocabulary.tokenize(this.#template.render(prompt.messages, prompt.tools));
    return { tokens: tokens.length, warm: this.#pool.warm(tokens, prompt.prefixKey) };
  }

  async *run(
    request: EngineRequest,
    signal: AbortSignal,
    onPrefill: (done: number, total: number) => void,
  ): AsyncGenerator<EngineEvent, void, void> {
    const ended = AbortSignal.any([signal, this.#closing.signal]);
    ended.throwIfAborted();
    const started = this.#sources.nowMs();
    const offered = request.toolChoice === 'none' || request.text !== undefined ? [] : request.tools;
    const prompt = request.text === undefined ? this.#template.render(request.messages, offered) : [];
    const tokens =
      request.text === undefined ? this.#vocabulary.tokenize(prompt) : this.#vocabulary.tokensOf(request.text);
    this.#checkFits(tokens.length);
    const written: Token[] = [];
    const sampling = samplingOf(request, written, this.#sources.randomSeed);
    const { grammar, state } = await this.#grammar(request);
    const options = { ...sampling.options, ...state };
    const writer = new AnswerWriter({
      tools: offered.map((tool) => tool.name),
      stop: request.stop,
      taken: scoreOrigin({ ...sampling, grammar: grammar !== undefined }),
      scoredTokens: scoredTokens(request, grammar),
      newCallId: () => newCallId(randomBytes),
      isThinking: endsThinking(prompt),
      isForced: grammar !== undefined,
      checks: grammar ?? {},
    });
    const limit = Math.min(request.maxTokens ?? Infinity, this.info.ctx - tokens.length);
    let firstMs: number | undefined;
    const lease = await this.#pool.acquire(tokens, request.prefixKey, ended);
    const decode = this.#decode(lease, tokens, options, request, onPrefill);
    try {
      const text = this.#texts();
      while (written.length < limit && !writer.stopped) {
        const scored = writer.wantsScore;
        const sampled = await this.#next(decode, scored, ended);
        firstMs ??= this.#sources.nowMs() - started;
        if (sampled === undefined || this.#vocabulary.endsTurn(sampled.token)) break;
        written.push(sampled.token);
        const piece = text.push(sampled.token);
        yield* writer.push(piece, scored ? this.#score(sampled, piece, request) : undefined);
      }
      const isCut = writer.hasLooped || (written.length >= limit && !writer.stopped);
      if (!writer.stopped) yield* writer.push(text.end());
      yield* writer.end(isCut ? 'cut' : 'stopped');
      this.#measure(decode, tokens.length - lease.reused);
      yield this.#done(decode, {
        isCut,
        hasLooped: writer.hasLooped,
        calls: writer.calls,
        prompt: tokens.length,
        reused: lease.reused,
        written: written.length,
        firstMs,
      });
    } finally {
      lease.release(decode.end());
    }
  }

  /** Whether `close` was called. */
  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  rates(): { prefill?: number; decode?: number } {
    const prefill = this.#prefillRate.perSecond;
    const decode = this.#decodeRate.perSecond;
    return { ...(prefill === undefined ? {} : { prefill }), ...(decode === undefined ? {} : { decode }) };
  }

  async close(): Promise<void> {
    this.#closing.abort(new EngineError('no_model', 'The model was unloaded; load it again.', true));
    await this.#pool.settled();
    await this.#context.dispose();
    await this.#model.dispose();
  }

  #checkFits(tokens: number): void {
    if (tokens < this.info.ctx) return;
    throw new EngineError(
      'too_long',
      `The prompt has ${tokens} tokens and the context holds ${this.info.ctx}; shorten it or configure a larger context.`,
      false,
    );
  }

  /** The grammar in llama.cpp; where it does not take the schema's own, that of any JSON, which is then validated. */
  async #grammar(request: EngineRequest): Promise<{
    readonly grammar?: AnswerGrammar;
    readonly state?: Pick<SequenceEvaluateOptions, 'grammarEvaluationState'>;
  }> {
    let failure: unknown;
    for (const isLoose of [false, true]) {
      const grammar = answerGrammar(request, this.#template.isTagged, isLoose);
      if (grammar === undefined) return {};
      try {
        const compiled = await this.#llama.createGrammar({ grammar: grammar.gbnf });
        const state = new LlamaGrammarEvaluationState({ model: this.#model, grammar: compiled });
        return { grammar, state: { grammarEvaluationState: state } };
      } catch (cause) {
        failure = cause;
      }
    }
    throw new EngineError(
      'bad_request',
      'llama.cpp cannot compile the JSON schema; simplify it, above all its recursion.',
      false,
      { cause: failure },
    );
  }

  #decode(
    lease: SlotLease,
    tokens: readonly Token[],
    sampling: SequenceEvaluateOptions,
    { scores }: EngineRequest,
    onPrefill: (done: number, total: number) => void,
  ): Decode {
    return new Decode({
      sequence: lease.sequence,
      tokens,
      reused: lease.reused,
      sampling,
      metadata: { confidence: scores !== undefined, probabilities: (scores?.top ?? 0) > 0 },
      pace: this.#pace,
      isAlone: () => this.#pool.busy === 1,
      nowMs: this.#sources.nowMs,
      onPrefill,
    });
  }

  async #next(decode: Decode, scored: boolean, signal: AbortSignal): Promise<Sampled | undefined> {
    try {
      return await decode.next(scored, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw new EngineError(
        'engine',
        'llama.cpp failed while computing; ask again, and load the model anew if it persists.',
        true,
        { cause },
      );
    }
  }

  /** Joins tokens into text; tokens that mark calls or thinking count as their text. */
  #texts(): { push(token: Token): string; end(): string } {
    const decoder = new TokenDecoder<Token>((tokens, before) => this.#vocabulary.detokenize(tokens, before));
    return {
      push: (token) => {
        const mark = this.#vocabulary.mark(token);
        return mark === undefined ? decoder.push(token) : decoder.end() + mark;
      },
      end: () => decoder.end(),
    };
  }

  #score({ confidence, probabilities }: Sampled, token: string, { scores }: EngineRequest): Score | undefined {
    if (scores === undefined || confidence === undefined) return undefined;
    const lp = logProbability(confidence);
    if (probabilities === undefined) return { token, lp };
    return {
      token,
      lp,
      top: topScores(probabilities, scores.top, (other) => this.#vocabulary.detokenize([other], [])),
    };
  }

  #measure(decode: Decode, read: number): void {
    const { prefillMs, decodeMs, sampled } = decode.times;
    this.#prefillRate.add(read, prefillMs);
    this.#decodeRate.add(sampled - 1, decodeMs);
  }

  #done(
    decode: Decode,
    run: {
      isCut: boolean;
      hasLooped: boolean;
      calls: number;
      prompt: number;
      reused: number;
      written: number;
      firstMs: number | undefined;
    },
  ): EngineDone {
    const { prefillMs, decodeMs, sampled } = decode.times;
    const read = run.prompt - run.reused;
    return {
      k: 'done',
      finishReason: run.isCut ? 'length' : run.calls > 0 ? 'tool_calls' : 'stop',
      ...(run.hasLooped ? { cut: 'repetition' as const } : {}),
      usage: { prompt_tokens: run.prompt, completion_tokens: run.written, cached_tokens: run.reused },
      timing: {
        ...(run.firstMs === undefined ? {} : { ttft_ms: run.firstMs }),
        ...(prefillMs > 0 ? { prefill_tps: (read * 1000) / prefillMs } : {}),
        ...(decodeMs > 0 && sampled > 1 ? { decode_tps: ((sampled - 1) * 1000) / decodeMs } : {}),
      },
    };
  }
}

/** Text tokens to score. What a grammar leaves of the probabilities says nothing about the answer. */
function scoredTokens({ scores }: EngineRequest, grammar: AnswerGrammar | undefined): number {
  if (scores === undefined) return 0;
  if (scores.first === undefined) return Infinity;
  return grammar === undefined ? scores.first : 0;
}

/** Whether a prompt ends with the tag that opens the model's thinking. */
function endsThinking(prompt: readonly PromptSegment[]): boolean {
  return /<think>\s*$/.test(prompt.at(-1)?.text ?? '');
}

import type {
  AnswerPart,
  DeviceErrorCode,
  MessageOf,
  ModelInfo,
  RouterMessage,
  DeviceMessage,
  WireMessage,
  WireTool,
} from '@lfo/protocol';

type Complete = MessageOf<RouterMessage, 'complete'>;
type Done = MessageOf<DeviceMessage, 'done'>;

/** Runs models: llama.cpp on Node, others on phones, a scripted one in tests. The host owns queueing and the wire. */
export interface Engine {
  readonly name: string;
  readonly version: string;
  /**
   * Makes a model ready to run. Progress is in the engine's own units; `total` 0 means unknown.
   * @throws EngineError when the file cannot be loaded; the signal's reason when aborted.
   */
  load(
    model: ModelFile,
    options: EngineOptions,
    onProgress: (done: number, total: number) => void,
    signal: AbortSignal,
  ): Promise<LoadedModel>;
  /** Closes what is still loaded; idempotent. */
  close(): Promise<void>;
}

/** A model on disk, already verified. */
export interface ModelFile {
  /** Name the router asks for. */
  readonly id: string;
  readonly path: string;
  readonly quant?: string;
}

export interface EngineOptions {
  /** Of one slot; the engine may take less where the model was trained on less. */
  readonly contextTokens: number;
  /** Requests running at once. */
  readonly slots: number;
  /** Absent: cores − 1, at least 1. */
  readonly threads?: number;
  readonly gpu: 'auto' | 'none';
}

/** A model in memory. Up to `slots` runs go on at once; the host never starts more. */
export interface LoadedModel {
  readonly info: ModelInfo;
  readonly slots: number;
  /** Prompt tokens with template and tools; `warm` of them are in a cache already. */
  count(prompt: EnginePrompt, signal: AbortSignal): Promise<{ readonly tokens: number; readonly warm: number }>;
  /**
   * Answers one request in the grammar `(text|reasoning|call args* call_end|scores)* done`; `done` once and last.
   * An aborted run throws the signal's reason within 250 ms. Leaving the iteration frees the slot as an abort does.
   * @throws EngineError
   */
  run(
    request: EngineRequest,
    signal: AbortSignal,
    onPrefill: (done: number, total: number) => void,
  ): AsyncIterable<EngineEvent>;
  /**
   * Vectors of unit length, one for each text in order, and how many tokens were read; absent: it makes none. A text
   * beyond the context is cut with `truncate`, else refused.
   * @throws EngineError `too_long`; the signal's reason when aborted
   */
  embed?(
    texts: readonly string[],
    options: { readonly truncate: boolean },
    signal: AbortSignal,
  ): Promise<{ readonly vectors: readonly Float32Array[]; readonly tokens: number }>;
  /** Tokens per second measured on real requests; absent until then. */
  rates(): { readonly prefill?: number; readonly decode?: number };
  /** Frees the memory; idempotent. */
  close(): Promise<void>;
}

/** What the model reads. */
export interface EnginePrompt {
  readonly messages: readonly WireMessage[];
  readonly tools: readonly WireTool[];
  /** KV prefixes are shared only between requests of one key. */
  readonly prefixKey?: string;
}

/** A prompt and how to answer it; an absent field is the engine's default. */
export interface EngineRequest extends EnginePrompt {
  readonly toolChoice?: NonNullable<Complete['tool_choice']>;
  readonly responseFormat?: NonNullable<Complete['response_format']>;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  /** Texts that end the answer; never part of it. */
  readonly stop: readonly string[];
  /** To be gone on with as it stands, in place of the conversation; with `suffix` up to that. */
  readonly text?: { readonly prompt: string; readonly suffix?: string | undefined };
  /**
   * Token scores wanted, with `top` alternatives each. With `first` they serve to judge the answer: that many text
   * tokens and the calls begun among them are enough, and what a grammar forces needs none.
   */
  readonly scores?: { readonly top: number; readonly first?: number | undefined };
}

/** A piece of the answer, or its end. */
export type EngineEvent = AnswerPart | EngineDone;

/** Tokens of one answer as the engine counted them. */
export interface EngineUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  /** Of the prompt, read from a cache. */
  readonly cached_tokens?: number;
}

/** The end of an answer. */
export interface EngineDone {
  readonly k: 'done';
  readonly finishReason: Done['finish_reason'];
  /** The model repeated itself for ever and was stopped, which is a `length`. */
  readonly cut?: 'repetition';
  readonly usage: EngineUsage;
  readonly timing?: NonNullable<Done['timing']>;
  /** The engine's own hint, 0..1. */
  readonly confidence?: number;
  readonly cloudHandoff?: boolean;
}

/** An engine cannot do what was asked; the message is for the owner and says what to do next. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  readonly code: DeviceErrorCode;
  /** Whether the same request may succeed later or elsewhere. */
  readonly retryable: boolean;

  constructor(code: DeviceErrorCode, message: string, retryable: boolean, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.retryable = retryable;
  }
}

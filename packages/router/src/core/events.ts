/**
 * What a backend says while it answers, in the grammar
 * `start (text|reasoning|refusal|image|tool-call|scores|self-report)* finish`.
 * A delta is appended, never replaces. Errors are thrown, never yielded.
 */
export type InferenceEvent =
  | StartEvent
  | { readonly type: 'text-delta'; readonly text: string }
  | { readonly type: 'reasoning-delta'; readonly text: string }
  | { readonly type: 'refusal-delta'; readonly text: string }
  /** A whole image as a `data:` URL. */
  | { readonly type: 'image'; readonly url: string }
  | ToolCallStartEvent
  /** Fragments of one index concatenate to the arguments' JSON text. */
  | { readonly type: 'tool-call-delta'; readonly index: number; readonly json: string }
  /** Only when the call is complete; a call without its end was cut off and must not be delivered as whole. */
  | { readonly type: 'tool-call-end'; readonly index: number; readonly repaired?: boolean }
  /** Scores of tokens just written or about to be written; `about` says which part of the answer they belong to. */
  | { readonly type: 'token-scores'; readonly scores: readonly TokenScore[]; readonly about: 'text' | 'tool-call' }
  /** What the engine itself says of its answer; a hint, never trusted as a probability. */
  | { readonly type: 'self-report'; readonly confidence?: number; readonly handOff?: boolean }
  | FinishEvent;

/** Model that really answers, as the backend names it. */
export interface StartEvent {
  readonly type: 'start';
  readonly model: string;
}

export interface ToolCallStartEvent {
  readonly type: 'tool-call-start';
  /** 0, 1, 2 … in the order of appearance in the stream. */
  readonly index: number;
  /** At most 40 characters of [A-Za-z0-9_-]; unique in the answer. */
  readonly id: string;
  readonly name: string;
  readonly thoughtSignature?: string;
}

/** The native reason of an answer whose model repeated itself for ever and was stopped. */
export const repetition = 'repetition';

/** Once, and last. */
export interface FinishEvent {
  readonly type: 'finish';
  readonly reason: FinishReason;
  /** The provider's own word where it says more. */
  readonly nativeReason?: string;
  /** Which of the request's stop sequences ended it, where the backend tells. */
  readonly stopSequence?: string;
  readonly usage: Usage;
}

export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter';

/** What a token of an answer decides; `structure` is what the form of a call leaves no choice about. */
export type TokenLabel =
  | 'decision'
  | 'name'
  | 'key'
  | 'value'
  | 'after-value'
  | 'stop'
  | 'structure'
  | 'text'
  | 'reasoning';

/** Natural logarithms; at most 0. */
export interface TokenScore {
  readonly token: string;
  /** Of the model's vocabulary: tells a mark of a call from an end token of the same text. */
  readonly id?: number;
  readonly logprob: number;
  /** Most likely first; may include the chosen token. */
  readonly top?: readonly { readonly token: string; readonly id?: number; readonly logprob: number }[];
  /** Absent where nobody labelled it. */
  readonly label?: TokenLabel;
  /** Which call of the answer, 0, 1, 2 …, and which of its arguments it belongs to. */
  readonly call?: number;
  readonly argument?: string;
  /** How it was taken: a calibration must not mix them. Absent: `raw`, the full unmasked softmax at temperature 1. */
  readonly taken?: 'raw' | 'tempered' | 'grammar';
}

/** Token counts; finite non-negative integers. */
export interface Usage {
  readonly promptTokens: number;
  /** Includes reasoning. */
  readonly completionTokens: number;
  readonly reasoningTokens?: number;
  /** Part of the prompt served from a cache. */
  readonly cachedTokens?: number;
  /** True when the backend gave no counts and ours are estimates. */
  readonly estimated?: boolean;
}

/** Most tokens that any count says; what is beyond is a mistake of whoever counted. */
export const mostTokens = 2 ** 31 - 1;

/** The same counts as integers from 0 to `mostTokens`: what a backend says may be finite and absurd. */
export function boundedUsage(usage: Usage): Usage {
  const { promptTokens, completionTokens, reasoningTokens, cachedTokens } = usage;
  return {
    ...usage,
    promptTokens: boundedTokens(promptTokens),
    completionTokens: boundedTokens(completionTokens),
    ...(reasoningTokens === undefined ? {} : { reasoningTokens: boundedTokens(reasoningTokens) }),
    ...(cachedTokens === undefined ? {} : { cachedTokens: boundedTokens(cachedTokens) }),
  };
}

/** One count within its bounds; what is no number counts as none. */
export function boundedTokens(count: number): number {
  return Number.isNaN(count) ? 0 : Math.min(mostTokens, Math.max(0, Math.floor(count)));
}

import type { LfoError } from '../core/errors.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { ChatRequest } from '../core/request.ts';
import type { AnswerFacts, AnswerMetadata } from './metadata.ts';

/** The clients' wires; the name labels metrics and records. */
export type DialectName =
  | 'openai-chat'
  | 'openai-completions'
  | 'openai-embeddings'
  | 'openai-responses'
  | 'anthropic'
  | 'gemini'
  | 'ollama';

/** A validated request of any wire, what of it is not honoured, and how its answer is written. */
export interface ReadRequest {
  readonly request: ChatRequest;
  /** By parameter (`x-lfo-warning`). */
  readonly warnings: Map<string, string>;
  readonly format: AnswerFormat;
}

/** What an answer needs to know beside its events. */
export interface AnswerContext {
  /** Unix seconds. */
  readonly createdS: number;
  /** Tokens of the prompt as routing measured them; `undefined` before that. */
  readonly promptTokens: () => number | undefined;
  /** Milliseconds since the request arrived. */
  readonly elapsedMs: () => number;
}

/** How one wire writes the answer to one request. */
export interface AnswerFormat {
  readonly dialect: DialectName;
  /** Headers of this wire beside LFO's own. */
  readonly headers: Readonly<Record<string, string>>;
  /** `content-type` of a stream. */
  readonly streamType: string;
  /** The wire has a place for images in answers. */
  readonly carriesImages?: true;
  whole(context: AnswerContext): WholeAnswer;
  stream(context: AnswerContext): AnswerStream;
  /** The wire's envelope of an error. */
  errorBody(error: LfoError): object;
}

/** Gathers the events of one answer into one body. */
export interface WholeAnswer {
  facts(): AnswerFacts;
  add(event: InferenceEvent): void;
  /** @throws LfoError where the answer has no end, or a call in it has none */
  body(metadata: AnswerMetadata): object;
}

/** Turns the events of one answer into the text of a stream. */
export interface AnswerStream {
  readonly facts: AnswerFacts;
  /** What the client is sent for one event; empty where it sees nothing of it yet. */
  encode(event: InferenceEvent): string;
  /** What is sent while nothing comes; counts as nothing of the answer. */
  heartbeat(): string;
  /**
   * The end, once everything about the answer is known.
   * @throws LfoError where the answer has no end, or a call in it has none
   */
  end(metadata: AnswerMetadata): string;
  /** What a stream that has begun ends with when it fails: never what looks like an end. */
  fail(error: LfoError, metadata: AnswerMetadata): string;
}

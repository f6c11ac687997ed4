import type { Cancellation } from './abort.ts';
import type { Clock } from './clock.ts';

/** Texts to turn into vectors, of any wire, read and checked. */
export interface EmbeddingRequest {
  /** UUIDv7; returned as `x-request-id`. */
  readonly id: string;
  /** The one backend that makes them: vectors of different models cannot be compared. */
  readonly backend: string;
  /** As that backend knows it. */
  readonly model: string;
  /** As the client asked for it. */
  readonly askedModel: string;
  readonly inputs: readonly EmbeddingInput[];
  /** Length of a vector; absent: the model's own. */
  readonly dimensions?: number;
  /** What the vectors are for, in Google's words; a hint that other backends ignore. */
  readonly taskType?: string;
  readonly title?: string;
  /** A text beyond the model's context is cut rather than refused, where the backend can. */
  readonly truncate: boolean;
  readonly hints: {
    readonly mode: 'local' | 'cloud';
    readonly clientKey?: string;
    readonly deadlineMs?: number;
  };
  readonly bodyBytes: number;
}

/** A text, or the ids of its tokens as the model counts them. */
export type EmbeddingInput = string | readonly number[];

/** What a backend is asked for at once. */
export type EmbeddingAsk = Pick<EmbeddingRequest, 'inputs' | 'dimensions' | 'taskType' | 'title' | 'truncate'>;

/** What one call of a backend may use. */
export interface EmbeddingCall {
  readonly signal: Cancellation;
  readonly clock: Clock;
  readonly model: string;
}

/** One vector for each input, in their order. */
export interface EmbeddingAnswer {
  readonly vectors: readonly Float32Array[];
  /** Tokens read, as the backend counted them; absent: it does not say. */
  readonly promptTokens?: number;
}

/** A backend's models that make vectors, and the way to ask them. */
export interface Embedder {
  /** In the order in which they are offered; may grow when the backend reports. */
  readonly models: readonly string[];
  /** Context of one of them in tokens; absent: unknown. */
  contextTokens?(model: string): number | undefined;
  /** @throws BackendError; the signal's reason when aborted */
  embed(ask: EmbeddingAsk, call: EmbeddingCall): Promise<EmbeddingAnswer>;
}

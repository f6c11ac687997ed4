/** The prompt and answer of one request, kept only where `records.capture` is on. */
export interface Capture {
  /** As the client sent them; the newest are kept whole first. */
  readonly messages: readonly CapturedMessage[];
  /** Names of the tools that were offered. */
  readonly tools: readonly string[];
  readonly answer: CapturedAnswer;
  /** Some text was longer than what is kept. */
  readonly isCut: boolean;
}

export interface CapturedMessage {
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  readonly text: string;
  /** Kinds of the parts that are not text, which are not kept: `image`, `audio`, `file`. */
  readonly attachments: readonly string[];
  readonly calls: readonly CapturedCall[];
}

export interface CapturedCall {
  readonly name: string;
  /** JSON text as it was written. */
  readonly arguments: string;
}

/** What the client was sent, whole or up to where it ended. */
export interface CapturedAnswer {
  readonly text: string;
  readonly reasoning: string;
  readonly refusal: string;
  readonly calls: readonly CapturedCall[];
}

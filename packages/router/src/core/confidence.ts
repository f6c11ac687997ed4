import type { InferenceEvent } from './events.ts';
import type { JsonObject } from './json.ts';
import type { Reason } from './reason.ts';
import type { ChatRequest } from './request.ts';

/** Judges one answer while it is held back; one session an attempt. */
export interface ConfidenceSession {
  /** Called for each event in order. */
  observe(event: InferenceEvent): Verdict;
  /** The stream has ended: the last word. */
  end(): FinalVerdict;
  /** What it has seen so far, in numbers and without a word of the answer: recorded so that rules can be replayed. */
  evidence(): JsonObject;
}

/** Makes sessions; holds nothing of a request. */
export interface ConfidenceEstimator {
  readonly name: string;
  /** Text tokens whose scores it reads, those of tool calls begun among them aside; absent: all. */
  readonly scoredTokens?: number;
  begin(request: ChatRequest, threshold: number): ConfidenceSession;
}

/** A score is 0..1; absent means no evidence, never a guess. */
export type Verdict = { readonly type: 'hold' } | FinalVerdict;

export type FinalVerdict =
  | { readonly type: 'commit'; readonly score?: number; readonly reason: Reason }
  | { readonly type: 'escalate'; readonly score?: number; readonly reason: Reason };

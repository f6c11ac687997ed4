import type { InferenceEvent } from './events.ts';
import type { JsonObject } from './json.ts';
import type { Reason } from './reason.ts';
import type { ChatRequest } from './request.ts';

/** Judges one answer while it is held back; one session an attempt. */
export interface ConfidenceSession {
  /**
   * Called for each event in order. Of a call or a promised format only `escalate` is heeded before the answer's end:
   * the gate releases neither in part.
   */
  observe(event: InferenceEvent): Verdict;
  /** The stream has ended, or a limit asks for a word on what there is: the last word. */
  end(): FinalVerdict;
  /** What it has seen so far, in numbers and without a word of the answer: recorded so that rules can be replayed. */
  evidence(): JsonObject;
}

/** Makes sessions; holds nothing of a request. Built with its calibrations, which belong to model identities. */
export interface ConfidenceEstimator {
  readonly name: string;
  /** Text tokens whose scores it reads, those of tool calls begun among them aside; absent: all. */
  readonly scoredTokens?: number;
  begin(judged: JudgedAnswer): ConfidenceSession;
}

/** What a session knows before the answer begins. */
export interface JudgedAnswer {
  readonly request: ChatRequest;
  readonly model: ModelIdentity;
  /** 0..1; answers scored below it escalate. */
  readonly threshold: number;
  /** A call scored below it need not be written to its end; default `threshold`. Lower where more may be heard of it then. */
  readonly exitBelow?: number;
  /** A unary answer is judged whole; a streamed text may be released before its end. */
  readonly delivery: 'stream' | 'unary';
}

/** Which model really answers, as far as its engine tells: a calibration is only good for what it was fitted on. */
export interface ModelIdentity {
  readonly model: string;
  readonly engine?: string;
  readonly engineVersion?: string;
  /** Of the model's file, in hex. */
  readonly sha256?: string;
  readonly quantisation?: string;
  /** Hash of the chat template. */
  readonly template?: string;
}

/** A score is 0..1; absent means no evidence, never a guess. */
export type Verdict = { readonly type: 'hold' } | FinalVerdict;

export type FinalVerdict =
  | { readonly type: 'commit'; readonly score?: number; readonly reason: Reason }
  | { readonly type: 'escalate'; readonly score?: number; readonly reason: Reason };

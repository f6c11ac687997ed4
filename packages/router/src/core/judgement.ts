import type { JsonObject } from './json.ts';
import type { ModelIdentity } from './confidence.ts';
import type { Reason } from './reason.ts';

/** What the judge said of one local answer, kept for each attempt so that it can be learned from. No text of the answer. */
export interface Judgement {
  /** `judge` could withhold the answer, `observe` only watched it, `shadow` ran beside the answer that was given. */
  readonly policy: 'judge' | 'observe' | 'shadow';
  readonly model: ModelIdentity;
  /** As the session tells it: judge, calibration, heads and features. */
  readonly evidence: JsonObject;
  /** 0..1; absent without evidence. */
  readonly score: number | undefined;
  readonly threshold: number;
  readonly verdict: 'commit' | 'escalate';
  readonly reason: Reason;
}

/** Who says that a local answer was right or wrong. */
export const labelSources = ['feedback', 'tool_result', 'schema', 'agreement', 'retry'] as const;
export type LabelSource = (typeof labelSources)[number];

/** What was wrong with a call, where whoever labelled it can tell. */
export type WrongBecause = 'no_tool_fits' | 'more_calls' | 'values';

/** One word on one local answer; several may exist, none replaces another. */
export interface AnswerLabel {
  readonly requestId: string;
  /** Place of the attempt among those of its request. */
  readonly attempt: number;
  readonly source: LabelSource;
  /** 1 right, 0 wrong. */
  readonly label: number;
  /** How much it is worth beside others, 0..1. */
  readonly weight: number;
  /** Chance with which this answer was to get a label of this source. */
  readonly propensity: number;
  readonly because?: WrongBecause;
}

/** Takes labels; neither waits nor throws. */
export interface LabelSink {
  add(label: AnswerLabel): void;
}

/** The key of what was judged of an answer, in `judgements`; labels of it are found by the same. */
export function judgementId(requestId: string, attempt: number): string {
  return `${requestId}.${attempt}`;
}

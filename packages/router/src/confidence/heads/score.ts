import type { CallFeatures } from '../features/call-features.ts';
import type { Features } from '../features/features.ts';
import { probabilityOf, type Head } from './head.ts';

/** The heads of a calibration. */
export interface Heads {
  /** V: the values of a call are right. */
  readonly values: Head;
  /** I: no tool fits. */
  readonly noToolFits: Head;
  /** U: the request needs more calls. */
  readonly moreCalls: Head;
  /** N: a text is right where tools could have been called. */
  readonly noCall: Head;
  /** Text where no tools were declared. */
  readonly text: Head;
  /** Before anything is answered: the answer will be right. */
  readonly request: Head;
}

/** What the heads say of an answer that calls tools; probabilities 0..1. */
export interface CallScore {
  readonly score: number;
  /** All values of all calls are right, if a tool fits and no more calls are needed. */
  readonly values: number;
  readonly noToolFits: number;
  readonly moreCalls: number;
}

/** V · (1 − I) · (1 − U), V over all calls; undefined where no model applies. */
export function scoreCalls(heads: Heads, features: CallFeatures): CallScore | undefined {
  const noToolFits = probabilityOf(heads.noToolFits, features.answer);
  const moreCalls = probabilityOf(heads.moreCalls, features.answer);
  let values = 1;
  for (const call of features.values) {
    const value = probabilityOf(heads.values, call);
    if (value === undefined) return undefined;
    values *= value;
  }
  if (noToolFits === undefined || moreCalls === undefined) return undefined;
  return { score: values * (1 - noToolFits) * (1 - moreCalls), values, noToolFits, moreCalls };
}

/** N, or the head of text without tools; undefined where no model applies. */
export function scoreText(heads: Heads, features: Features, hasTools: boolean): number | undefined {
  return probabilityOf(hasTools ? heads.noCall : heads.text, features);
}

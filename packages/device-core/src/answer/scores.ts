import type { AnswerPart } from '@lfo/protocol';

type ScoresPart = Extract<AnswerPart, { k: 'scores' }>;
/** One token's score as it goes on the wire. */
export type Score = ScoresPart['scores'][number];

/** Below every float32 probability; JSON has no infinity. */
const floor = -100;

/** Natural logarithm of a probability, at most 0 and finite. */
export function logProbability(probability: number): number {
  return Math.max(floor, Math.min(0, Math.log(probability)));
}

/**
 * Which distribution the scores come from. llama.cpp reports the chosen token's share after its sampler: without
 * temperature and penalties that is the full softmax, with a grammar it is renormalised over what the grammar allows.
 */
export function scoreOrigin(sampling: {
  readonly temperature: number;
  readonly penalised: boolean;
  readonly grammar: boolean;
}): ScoresPart['taken'] {
  if (sampling.grammar) return 'grammar';
  return sampling.temperature > 0 || sampling.penalised ? 'tempered' : 'raw';
}

/** The likeliest tokens of a map sorted by probability. */
export function topScores<T>(
  probabilities: ReadonlyMap<T, number>,
  count: number,
  text: (token: T) => string,
): Array<{ token: string; lp: number }> {
  const top: Array<{ token: string; lp: number }> = [];
  for (const [token, probability] of probabilities) {
    if (top.length === count) break;
    top.push({ token: text(token), lp: logProbability(probability) });
  }
  return top;
}

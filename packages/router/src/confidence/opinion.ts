import { logistic } from './heads/head.ts';

/**
 * What agreement and disagreement of an unrelated model add to the log-odds of an answer. Half the logarithms of their
 * likelihood ratios as measured for a 0.5B beside an unrelated 8B on function calls (27 % agree, of those 91 % are right,
 * of all 44 %): half, since the score and the agreement tell in part the same.
 */
const agreed = 1.28;
const disagreed = -0.39;

/** The probability 0..1 that an answer is right, once another model's answer to the same is known. */
export function withOpinion(score: number, agrees: boolean): number {
  return moved(score, agrees ? agreed : disagreed);
}

/** The score of an answer that an agreement would just lift to the threshold. */
export function leastScoreToAsk(threshold: number): number {
  return moved(threshold, -agreed);
}

/** A model of the same family makes the same mistakes: `qwen` of `qwen2.5-coder-0.5b`. */
export function familyOf(model: string): string {
  const name = model.split('/').at(-1) ?? model;
  return /^[a-z]+/i.exec(name)?.[0].toLowerCase() ?? name;
}

function moved(probability: number, logOdds: number): number {
  const clamped = Math.min(Math.max(probability, 1e-6), 1 - 1e-6);
  return logistic(Math.log(clamped / (1 - clamped)) + logOdds);
}

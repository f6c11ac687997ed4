import type { TokenScore } from '../core/events.ts';

/**
 * Text by the probabilities of its tokens: the mean of the two least likely among the first `horizonTokens`. Each
 * further token can only lower the score, so a score below the threshold is final (the exact early exit), and no
 * length correction is needed. The best of a dozen rules at seven horizons tried on the rows its constants come from.
 */
export interface LogprobJudge {
  observe(scores: readonly TokenScore[]): void;
  /** Tokens with usable scores, all of them, beyond the horizon too. */
  readonly tokens: number;
  /** Nats of surprise over all tokens; at least 0. */
  readonly surprise: number;
  /** Nats of the two least likely tokens within the horizon, the less likely one first. */
  readonly worst: readonly [number, number];
  /** 0..1, never rising; undefined without any usable score. */
  readonly score: number | undefined;
  /** Later tokens no longer change the score. */
  readonly isSettled: boolean;
}

/** Tokens of a text that decide; also how much of a text is held at most when scores come with it. */
export const horizonTokens = 16;

/**
 * A fresh judge for one answer. Scores taken under a grammar are left out: they are renormalised and say nothing.
 * `no-call` is text where tools could have been called: honest refusals are written with less confidence than made-up
 * calls, so they have a constant of their own.
 */
export function judgeLogprobs(head: 'text' | 'no-call'): LogprobJudge {
  const bias = head === 'text' ? textBias : noCallBias;
  let tokens = 0;
  let surprise = 0;
  let worst = 0;
  let second = 0;
  return {
    observe(scores) {
      for (const { logprob, taken } of scores) {
        if (taken === 'grammar') continue;
        const nats = surpriseOf(logprob);
        if (tokens++ < horizonTokens) {
          second = Math.max(second, Math.min(worst, nats));
          worst = Math.max(worst, nats);
        }
        surprise += nats;
      }
    },
    get tokens() {
      return tokens;
    },
    get surprise() {
      return surprise;
    },
    get worst(): [number, number] {
      return [worst, second];
    },
    get score() {
      return tokens === 0 ? undefined : logistic(bias - textSlope * ((worst + second) / 2));
    },
    get isSettled() {
      return tokens >= horizonTokens;
    },
  };
}

/** 1 / (1 + e^-x) */
export function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** A probability of zero, or a broken number, is worth as much as a very unlikely token and no more. */
function surpriseOf(logprob: number): number {
  return Number.isFinite(logprob) ? Math.min(Math.max(-logprob, 0), maxNats) : maxNats;
}

const maxNats = 20;
/** Uncalibrated: rounded from 120 short answers of one 0.5B model. .7 is reached at a mean of .55 nats. */
const textBias = 2.5;
const noCallBias = 4;
const textSlope = 3;

import type { SequenceEvaluateOptions, Token } from 'node-llama-cpp';
import type { EngineRequest } from '@lfo/device-core';

/** Without a floor the long tail of a small model's distribution surfaces every few sentences. */
const minP = 0.05;
const topK = 40;
/** Tokens of the answer the penalties look back on. */
const penaltyWindow = 256;

/** Sampler settings, and whether they change the probabilities a token is scored by. */
export interface Sampling {
  readonly options: SequenceEvaluateOptions;
  readonly temperature: number;
  readonly penalised: boolean;
}

/**
 * Sampler settings of a request. An absent temperature is 0, not OpenAI's 1: small models answer best greedily, the
 * answer is reproducible, and only then are scores taken from the full softmax.
 * `written` are the tokens of the answer so far, read at each step.
 */
export function samplingOf(request: EngineRequest, written: readonly Token[], randomSeed: () => number): Sampling {
  const temperature = Math.max(0, request.temperature ?? 0);
  const { frequencyPenalty = 0, presencePenalty = 0 } = request;
  const penalised = frequencyPenalty !== 0 || presencePenalty !== 0;
  return {
    temperature,
    penalised,
    options: {
      temperature,
      ...(temperature === 0 ? {} : { topK, minP, topP: request.topP ?? 1, seed: request.seed ?? randomSeed() }),
      ...(penalised
        ? {
            repeatPenalty: {
              punishTokens: () => written.slice(-penaltyWindow),
              maxPunishTokens: penaltyWindow,
              penalty: 1,
              frequencyPenalty,
              presencePenalty,
            },
          }
        : {}),
    },
  };
}
